import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def matmul_relu(M, N, K, bM, bN, dtype='float16'):
    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel((M // bM) * (N // bN), is_npu=True) as (cid, _):
            bx, by = cid // (N // bN), cid % (N // bN)
            a = T.alloc_L1((bM, K), dtype)
            b = T.alloc_L1((K, bN), dtype)
            c = T.alloc_L0C((bM, bN), 'float')
            with T.Scope('C'):
                T.copy(A[bx * bM, 0], a)
                T.copy(B[0, by * bN], b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, C[bx * bM, by * bN], enable_relu=True)

    return main


kernel = matmul_relu(128, 128, 96, 64, 64)
a, b = torch.randn(128, 96).half().npu(), torch.randn(96, 128).half().npu()
torch.testing.assert_close(kernel(a, b), torch.relu(a @ b), rtol=1e-2, atol=1e-2)
