import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def matmul(M, N, K, bM, bN, dtype='bfloat16'):
    n_num = N // bN

    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel((M // bM) * n_num, is_npu=True) as (cid, vid):
            a = T.alloc_L1((bM, K), dtype)
            b = T.alloc_L1((bN, K), dtype)
            c = T.alloc_L0C((bM, bN), 'float')
            with T.Scope('C'):
                T.copy(A[(cid // n_num) * bM, 0], a)
                T.copy(B[(cid % n_num) * bN, 0], b)
                T.gemm_v0(a, b, c, transpose_B=True, init=True)
                T.copy(c, C[(cid // n_num) * bM, (cid % n_num) * bN])

    return main


a, b = torch.randn(64, 128).to(torch.bfloat16).npu(), torch.randn(64, 128).to(torch.bfloat16).npu()
torch.testing.assert_close(matmul(64, 64, 128, 32, 32)(a, b), a @ b.T, rtol=1e-2, atol=1e-1)
print('bf16 ok')
