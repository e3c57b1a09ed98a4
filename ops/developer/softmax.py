"""Developer row softmax, mixed mode: hand-picked vector primitives, and no flag, barrier or address.

* `base`: whole rows in UB;
* `online`: rows longer than UB, two passes over tiles of N.

A row's maximum and sum are taken from their tile as scalars, row by row: the split over the two vector cores halves a tile, but
not what `T.tile.broadcast` would spread over it (dialect 8.4).
"""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

UB_BYTES = 196352
LOWEST = -3.4028234663852886e38


def softmax(M, N, dtype='float32', variant='base'):
    """The compiled kernel for one shape: `kernel(x) -> y`."""
    return softmax_online(M, N, dtype) if variant == 'online' else softmax_base(M, N, dtype)


@tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
def softmax_base(M, N, dtype='float32', block_M=32):
    wide = dtype == 'float32'
    width = (N + 15) // 16 * 16
    # Per vector core half of the rows in a tile of each dtype, and the scratch of the reductions for all of them: not every profile
    # of the passes splits it.
    block_M = min(block_M, max(2, (UB_BYTES - 1024) // (width * (16 if wide else 14)) * 2))

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, block_M), threads=2, is_npu=True) as cid:
            x = T.alloc_shared((block_M, width), dtype)
            e = T.alloc_shared((block_M, width), 'float')
            top = T.alloc_shared((block_M, 1), 'float')
            total = T.alloc_shared((block_M, 1), 'float')
            T.copy(X[cid * block_M, 0], x, pad_value=-T.infinity(dtype))
            T.copy(x, e)
            T.reduce_max(e, top, dim=-1)
            for r in T.serial(block_M):
                T.tile.sub(e[r, :], e[r, :], top[r, 0])
            T.tile.exp(e, e)
            T.reduce_sum(e, total, dim=-1)
            for r in T.serial(block_M):
                T.tile.div(e[r, :], e[r, :], total[r, 0])
            T.copy(e, x)
            T.copy(x, Y[cid * block_M, 0])

    return main


@tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
def softmax_online(M, N, dtype='float32', block_M=32, block_N=512):
    n_num = (N + block_N - 1) // block_N

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, block_M), threads=2, is_npu=True) as cid:
            x = T.alloc_shared((block_M, block_N), dtype)
            e = T.alloc_shared((block_M, block_N), 'float')
            y = T.alloc_shared((block_M, block_N), dtype)
            top = T.alloc_shared((block_M, 1), 'float')
            total = T.alloc_shared((block_M, 1), 'float')
            old_top = T.alloc_shared((block_M, 1), 'float')
            tile_sum = T.alloc_shared((block_M, 1), 'float')
            T.tile.fill(top, LOWEST)
            T.tile.fill(total, 0.0)
            for n in T.serial(n_num):
                T.copy(X[cid * block_M, n * block_N], x, pad_value=-T.infinity(dtype))
                T.copy(x, e)
                T.copy(top, old_top)
                T.reduce_max(e, top, dim=-1)
                T.tile.max(top, top, old_top)
                for r in T.serial(block_M):
                    T.tile.sub(e[r, :], e[r, :], top[r, 0])
                T.tile.exp(e, e)
                T.reduce_sum(e, tile_sum, dim=-1)
                T.tile.sub(old_top, old_top, top)
                T.tile.exp(old_top, old_top)
                T.tile.mul(total, total, old_top)
                T.tile.add(total, total, tile_sum)
            for n in T.serial(n_num):
                T.copy(X[cid * block_M, n * block_N], x, pad_value=-T.infinity(dtype))
                T.copy(x, e)
                for r in T.serial(block_M):
                    T.tile.sub(e[r, :], e[r, :], top[r, 0])
                T.tile.exp(e, e)
                for r in T.serial(block_M):
                    T.tile.div(e[r, :], e[r, :], total[r, 0])
                T.copy(e, y)
                T.copy(y, Y[cid * block_M, n * block_N])

    return main
