"""Developer matrix products with a vector prologue: a tile of the result per block, so that the way to the cube core is used once."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def abs_sqrt_nd(M, N, K, block_M=32, block_N=64):
    """Z = sqrt(|X|) Y^T: the compiled kernel for one shape, `kernel(x, y) -> z`."""
    n_num = (N + block_N - 1) // block_N

    @T.prim_func
    def main(
        X: T.Tensor((M, K), 'float16'),
        Y: T.Tensor((N, K), 'float16'),
        Z: T.Tensor((M, N), 'float'),
    ):
        with T.Kernel(M // block_M * n_num, threads=2, is_npu=True) as cid:
            row = cid // n_num * block_M
            col = cid % n_num * block_N
            x = T.alloc_shared((block_M, K), 'float16')
            w = T.alloc_shared((block_M, K), 'float')
            root = T.alloc_shared((block_M, K), 'float16')
            a = T.alloc_shared((block_M, K), 'float16')
            y = T.alloc_shared((block_N, K), 'float16')
            z = T.alloc_fragment((block_M, block_N), 'float')
            T.copy(X[row, 0], x)
            T.copy(x, w)
            T.tile.abs(w, w)
            T.tile.sqrt(w, w)
            T.copy(w, root)
            T.copy(root, a)
            T.copy(Y[col, 0], y)
            T.gemm_v0(a, y, z, transpose_B=True, init=True)
            T.copy(z, Z[row, col])

    return main
