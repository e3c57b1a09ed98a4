"""Developer matrix products with a vector epilogue: a tile of the result per block, so that its way to the vector cores is used once."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def abs_add1(M, N, K, block_M=64, block_N=128, block_K=64):
    """Z = |X Y^T| + 1: the compiled kernel for one shape, `kernel(x, y) -> z`."""
    n_num = (N + block_N - 1) // block_N

    @T.prim_func
    def main(
        X: T.Tensor((M, K), 'float16'),
        Y: T.Tensor((N, K), 'float16'),
        Z: T.Tensor((M, N), 'float'),
    ):
        with T.Kernel(T.ceildiv(M, block_M) * n_num, threads=2, is_npu=True) as cid:
            row = cid // n_num * block_M
            col = cid % n_num * block_N
            x = T.alloc_shared((block_M, block_K), 'float16')
            y = T.alloc_shared((block_N, block_K), 'float16')
            c = T.alloc_fragment((block_M, block_N), 'float')
            z = T.alloc_shared((block_M, block_N), 'float')
            for k in T.serial(T.ceildiv(K, block_K)):
                T.copy(X[row, k * block_K], x)
                T.copy(Y[col, k * block_K], y)
                T.gemm_v0(x, y, c, transpose_B=True, init=(k == 0))
            T.copy(c, z)
            T.tile.abs(z, z)
            T.tile.add(z, z, 1.0)
            T.copy(z, Z[row, col])

    return main
