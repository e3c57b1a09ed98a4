import tilelang
import tilelang.language as T
import torch

K_ = tilelang.PassConfigKey


@tilelang.jit(out_idx=[-1], pass_configs={K_.TL_ASCEND_AUTO_SYNC: True, K_.TL_ASCEND_MEMORY_PLANNING: True})
def matmul(N, K, bM, bN, dtype='float16'):
    M = T.symbolic('M')
    n_num = T.ceildiv(N, bN)

    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, bM) * n_num, is_npu=True) as (cid, _):
            bx = cid // n_num
            by = cid % n_num
            a = T.alloc_L1((bM, K), dtype)
            b = T.alloc_L1((K, bN), dtype)
            c = T.alloc_L0C((bM, bN), 'float')
            with T.Scope('C'):
                T.copy(A[bx * bM, 0], a)
                T.copy(B[0, by * bN], b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, C[bx * bM, by * bN])

    return main


func = matmul(64, 64, 32, 64)
b = torch.randn(64, 64).half().npu()
for m in (32, 50, 96):
    a = torch.randn(m, 64).half().npu()
    torch.testing.assert_close(func(a, b), a @ b, rtol=1e-2, atol=1e-2)
print('symbolic ok')
