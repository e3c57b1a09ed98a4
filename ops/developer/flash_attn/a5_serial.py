"""Developer flash attention for a5: the plain text, whose bridges the compiler takes through GM as on every chip.

The expert form of this kernel keeps them on the chip; the compiler has no such bridge (the copies become workspaces), which is
what the two forms differ in.
"""

import math

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


def a5_serial(B, H, S, D, scale=None, block_m=128, block_n=128, dtype='float16'):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    return flash_attn_a5_serial(B, H, S, D, 1.0 / math.sqrt(D) if scale is None else float(scale), block_m, block_n, dtype)


@tiletwin.jit(out_idx=[3], platform='A5', pass_configs=DEVELOPER)
def flash_attn_a5_serial(B, H, S, D, scale, bm, bn, dtype='float16'):
    q_tiles = S // bm

    @T.prim_func
    def main(
        Q: T.Tensor((B, H, S, D), dtype),
        K: T.Tensor((B, H, S, D), dtype),
        V: T.Tensor((B, H, S, D), dtype),
        Out: T.Tensor((B, H, S, D), dtype),
    ):
        with T.Kernel(B * H * q_tiles, threads=2, is_npu=True) as cid:
            head = cid // q_tiles
            q = T.alloc_shared((bm, D), dtype)
            k = T.alloc_shared((bn, D), dtype)
            v = T.alloc_shared((bn, D), dtype)
            p_l1 = T.alloc_shared((bm, bn), dtype)
            qk = T.alloc_fragment((bm, bn), 'float')
            pv = T.alloc_fragment((bm, D), 'float')

            qk_ub = T.alloc_shared((bm, bn), 'float')
            p_ub = T.alloc_shared((bm, bn), dtype)
            pv_ub = T.alloc_shared((bm, D), 'float')
            o_ub = T.alloc_shared((bm, D), 'float')
            out_ub = T.alloc_shared((bm, D), dtype)
            top = T.alloc_shared((bm,), 'float')
            old_top = T.alloc_shared((bm,), 'float')
            shrink = T.alloc_shared((bm,), 'float')
            tile_sum = T.alloc_shared((bm,), 'float')
            total = T.alloc_shared((bm,), 'float')

            T.tile.fill(o_ub, 0.0)
            T.tile.fill(total, 0.0)
            T.tile.fill(top, -1e30)
            T.copy(Q[head // H, head % H, cid % q_tiles * bm, 0], q)
            for j in T.serial(S // bn):
                T.copy(K[head // H, head % H, j * bn, 0], k)
                T.gemm_v0(q, k, qk, transpose_B=True, init=True)
                T.copy(qk, qk_ub)
                T.tile.mul(qk_ub, qk_ub, scale)
                T.copy(top, old_top)
                T.reduce_max(qk_ub, top, dim=-1)
                T.tile.max(top, top, old_top)
                T.tile.sub(shrink, old_top, top)
                T.tile.exp(shrink, shrink)
                for i, c in T.Parallel(bm, bn):
                    qk_ub[i, c] = qk_ub[i, c] - top[i]
                T.tile.exp(qk_ub, qk_ub)
                T.reduce_sum(qk_ub, tile_sum, dim=-1)
                T.tile.mul(total, total, shrink)
                T.tile.add(total, total, tile_sum)
                T.copy(qk_ub, p_ub)
                T.copy(p_ub, p_l1)
                T.copy(V[head // H, head % H, j * bn, 0], v)
                T.gemm_v0(p_l1, v, pv, init=True)
                T.copy(pv, pv_ub)
                for i, c in T.Parallel(bm, D):
                    o_ub[i, c] = o_ub[i, c] * shrink[i]
                T.tile.add(o_ub, o_ub, pv_ub)
            for i, c in T.Parallel(bm, D):
                o_ub[i, c] = o_ub[i, c] / total[i]
            T.copy(o_ub, out_ub)
            T.copy(out_ub, Out[head // H, head % H, cid % q_tiles * bm, 0])

    return main
