"""Developer flash attention in four stages: two products and two vector stages per tile of keys, overlapped by the compiler.

`T.Pipelined` across the cores runs `stages` tiles of one stage back to back and gives each its own slot of every workspace, and of
the factors the last stage takes from the second. Tiles are 128 keys wide, as wide as one product.
"""

import math

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


def a3_4stage(Sq, Sk, D, scale=None):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    # The compiler drops the tiles that do not fill its stages (dialect 7.1).
    stages = 4 if Sk % 512 == 0 else 2
    return flash_attn_a3_4stage(Sq, Sk, D, 1.0 / math.sqrt(D) if scale is None else float(scale), stages)


@tiletwin.jit(out_idx=[3], pass_configs=DEVELOPER)
def flash_attn_a3_4stage(Sq, Sk, D, scale, stages, tile=128):
    @T.prim_func
    def main(
        Q: T.Tensor((Sq, D), 'float16'),
        K: T.Tensor((Sk, D), 'float16'),
        V: T.Tensor((Sk, D), 'float16'),
        Out: T.Tensor((Sq, D), 'float'),
    ):
        with T.Kernel(Sq // tile, threads=2, is_npu=True) as cid:
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
            T.copy(Q[cid * tile, 0], q)
            for j in T.Pipelined(Sk // tile, num_stages=stages):
                T.copy(K[j * tile, 0], k)
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
                T.copy(V[j * tile, 0], v)
                T.gemm_v0(p_l1, v, pv, init=True)
                T.copy(pv, pv_ub)
                for i, c in T.Parallel(tile, D):
                    o_ub[i, c] = o_ub[i, c] * shrink[i]
                T.tile.add(o_ub, o_ub, pv_ub)
            for i, c in T.Parallel(tile, D):
                o_ub[i, c] = o_ub[i, c] / total[i]
            T.copy(o_ub, Out[cid * tile, 0])

    return main
