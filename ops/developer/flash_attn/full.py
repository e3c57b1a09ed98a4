"""Developer flash attention in tiles of 128 keys: no cores, no workspaces, no flags; `threads=2` halves the rows of every tile.

One block of 128 queries per block of the launch. The bridges between the products and the softmax are plain copies, which the
compiler takes through workspaces of its own. Each tile of scores waits for the probabilities before it, and those for the scores:
the two ways cover each other, no tile is overwritten early.
"""

import math

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


def full(BH, S1, S2, D, scale=None):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    return flash_attn_full(BH, S1, S2, D, 1.0 / math.sqrt(D) if scale is None else float(scale))


@tiletwin.jit(out_idx=[3], pass_configs=DEVELOPER)
def flash_attn_full(BH, S1, S2, D, scale, tile=128):
    q_tiles = S1 // tile

    @T.prim_func
    def main(
        Q: T.Tensor((BH, S1, D), 'float16'),
        K: T.Tensor((BH, S2, D), 'float16'),
        V: T.Tensor((BH, S2, D), 'float16'),
        Out: T.Tensor((BH * S1, D), 'float'),
    ):
        with T.Kernel(BH * q_tiles, threads=2, is_npu=True) as cid:
            q = T.alloc_shared((tile, D), 'float16')
            k = T.alloc_shared((tile, D), 'float16')
            v = T.alloc_shared((tile, D), 'float16')
            p_l1 = T.alloc_shared((tile, tile), 'float16')
            s = T.alloc_fragment((tile, tile), 'float')
            pv = T.alloc_fragment((tile, D), 'float')

            s_ub = T.alloc_shared((tile, tile), 'float')
            p_ub = T.alloc_shared((tile, tile), 'float16')
            pv_ub = T.alloc_shared((tile, D), 'float')
            o_ub = T.alloc_shared((tile, D), 'float')
            top = T.alloc_shared((tile,), 'float')
            old_top = T.alloc_shared((tile,), 'float')
            shrink = T.alloc_shared((tile,), 'float')
            tile_sum = T.alloc_shared((tile,), 'float')
            total = T.alloc_shared((tile,), 'float')

            T.tile.fill(o_ub, 0.0)
            T.tile.fill(total, 0.0)
            T.tile.fill(top, -1e30)
            T.copy(Q[cid // q_tiles, cid % q_tiles * tile, 0], q)
            for j in T.serial(S2 // tile):
                T.copy(K[cid // q_tiles, j * tile, 0], k)
                T.gemm_v0(q, k, s, transpose_B=True, init=True)
                T.copy(s, s_ub)
                T.tile.mul(s_ub, s_ub, scale)
                T.copy(top, old_top)
                T.reduce_max(s_ub, top, dim=-1)
                T.tile.max(top, top, old_top)
                T.tile.sub(shrink, old_top, top)
                T.tile.exp(shrink, shrink)
                for i, c in T.Parallel(tile, tile):
                    s_ub[i, c] = s_ub[i, c] - top[i]
                T.tile.exp(s_ub, s_ub)
                T.reduce_sum(s_ub, tile_sum, dim=-1)
                T.tile.mul(total, total, shrink)
                T.tile.add(total, total, tile_sum)
                T.copy(s_ub, p_ub)
                T.copy(p_ub, p_l1)
                T.copy(V[cid // q_tiles, j * tile, 0], v)
                T.gemm_v0(p_l1, v, pv, init=True)
                T.copy(pv, pv_ub)
                for i, c in T.Parallel(tile, D):
                    o_ub[i, c] = o_ub[i, c] * shrink[i]
                T.tile.add(o_ub, o_ub, pv_ub)
            for i, c in T.Parallel(tile, D):
                o_ub[i, c] = o_ub[i, c] / total[i]
            T.copy(o_ub, Out[cid * tile, 0])

    return main
