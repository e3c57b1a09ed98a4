"""Developer matrix products: one tile of the result per block, tiles by name, everything else left to the compiler."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def mkkn_gemm(M, N, K, out_dtype='float32', block_M=128, block_N=256, block_K=64):
    """C[M, N] = A[M, K] @ B[K, N]: the compiled kernel for one shape, `kernel(A, B) -> C`."""
    n_num = (N + block_N - 1) // block_N
    # A pipelined loop gives `a` and `b` slots, and a load into a slot does not clear what the tensor does not cover (dialect 4.1.4).
    stages = 0 if M % block_M or N % block_N or K % block_K else 2

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'float16'),
        B: T.Tensor((K, N), 'float16'),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(T.ceildiv(M, block_M) * n_num, threads=2, is_npu=True) as cid:
            row = cid // n_num * block_M
            col = cid % n_num * block_N
            a = T.alloc_shared((block_M, block_K), 'float16')
            b = T.alloc_shared((block_K, block_N), 'float16')
            c = T.alloc_fragment((block_M, block_N), 'float')
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=stages):
                T.copy(A[row, k * block_K], a)
                T.copy(B[k * block_K, col], b)
                T.gemm_v0(a, b, c, init=(k == 0))
            T.copy(c, C[row, col])

    return main
