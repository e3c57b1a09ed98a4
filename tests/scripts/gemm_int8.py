import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def matmul_s8(M, N, K, out='int32'):
    @T.prim_func
    def main(A: T.Tensor((M, K), 'int8'), B: T.Tensor((N, K), 'int8'), C: T.Tensor((M, N), out)):
        with T.Kernel(1, is_npu=True) as (cid, _):
            a = T.alloc_L1((M, K), 'int8')
            b = T.alloc_L1((N, K), 'int8')
            c = T.alloc_L0C((M, N), 'int32')
            with T.Scope('C'):
                T.copy(A[0, 0], a)
                T.copy(B[0, 0], b)
                T.gemm_v0(a, b, c, transpose_B=True, init=True)
                T.copy(c, C[0, 0])

    return main


@tilelang.jit(out_idx=[-1])
def matmul_s8_half(M, N, K, scale):
    @T.prim_func
    def main(A: T.Tensor((M, K), 'int8'), B: T.Tensor((N, K), 'int8'), C: T.Tensor((M, N), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, _):
            a = T.alloc_L1((M, K), 'int8')
            b = T.alloc_L1((N, K), 'int8')
            c = T.alloc_L0C((M, N), 'int32')
            with T.Scope('C'):
                T.set_deq_scale(scale)
                T.copy(A[0, 0], a)
                T.copy(B[0, 0], b)
                T.gemm_v0(a, b, c, transpose_B=True, init=True)
                T.copy(c, C[0, 0])

    return main


a = torch.randint(-8, 8, (64, 64), dtype=torch.int8, device='npu')
b = torch.randint(-8, 8, (32, 64), dtype=torch.int8, device='npu')
ref = a.to(torch.int32) @ b.to(torch.int32).T
assert torch.equal(matmul_s8(64, 32, 64)(a, b), ref)
torch.testing.assert_close(matmul_s8_half(64, 32, 64, 0.125)(a, b), (ref.float() * 0.125).half(), rtol=1e-3, atol=1e-3)
print('int8 ok')
