"""Developer flash attention over three workspaces, the kernel of the expert form left to the compiler.

One block of queries per block of the launch. The four products of a step (scores, probabilities, their product with V, the sum)
stand one after the other; the pass that pipelines across the cores runs two steps of each stage back to back, with two slots
per workspace. An odd number of steps runs one by one: that pass drops what does not fill its stages (dialect 7.1).
"""

import math

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


def ws3(B, H, S, D, scale=None):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    return flash_attn_ws3(B, H, S, D, 1.0 / math.sqrt(D) if scale is None else float(scale))


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6], pass_configs=DEVELOPER)
def flash_attn_ws3(B, H, S, D, scale, block=64):
    kv = S // block
    q_tiles = S // block
    blocks = B * H * q_tiles
    rows = block // 2  # of a tile per vector core
    stages = 0 if kv % 2 else 2

    @T.prim_func
    def main(
        Q: T.Tensor((B, H, S, D), 'float16'),
        K: T.Tensor((B, H, S, D), 'float16'),
        V: T.Tensor((B, H, S, D), 'float16'),
        Out: T.Tensor((B, H, S, D), 'float16'),
        workspace_1: T.Tensor((blocks, block, block), 'float'),
        workspace_2: T.Tensor((blocks, block, block), 'float16'),
        workspace_3: T.Tensor((blocks, block, D), 'float'),
    ):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            head = cid // q_tiles
            q = T.alloc_shared((block, D), 'float16')
            k = T.alloc_shared((block, D), 'float16')
            v = T.alloc_shared((block, D), 'float16')
            p_l1 = T.alloc_shared((block, block), 'float16')
            s = T.alloc_fragment((block, block), 'float')
            pv = T.alloc_fragment((block, D), 'float')

            s_ub = T.alloc_shared((rows, block), 'float')
            b_ub = T.alloc_shared((rows, block), 'float')
            p_ub = T.alloc_shared((rows, block), 'float16')
            pv_ub = T.alloc_shared((rows, D), 'float')
            o_ub = T.alloc_shared((rows, D), 'float')
            out_ub = T.alloc_shared((rows, D), 'float16')
            top = T.alloc_shared((rows, 1), 'float')
            new_top = T.alloc_shared((rows, 1), 'float')
            shrink = T.alloc_shared((rows, 1), 'float')
            tile_sum = T.alloc_shared((rows, 1), 'float')
            total = T.alloc_shared((rows, 1), 'float')

            T.tile.fill(top, -1e30)
            T.tile.fill(total, 0.0)
            T.tile.fill(o_ub, 0.0)
            T.copy(Q[head // H, head % H, cid % q_tiles * block, 0], q)
            for j in T.Pipelined(kv, num_stages=stages):
                T.copy(K[head // H, head % H, j * block, 0], k)
                T.gemm_v0(q, k, s, transpose_B=True, init=True)
                T.copy(s, workspace_1[cid, 0, 0])

                T.copy(workspace_1[cid, vid * rows, 0], s_ub)
                T.tile.mul(s_ub, s_ub, scale)
                T.reduce_max(s_ub, new_top, dim=-1)
                T.tile.max(new_top, new_top, top)
                T.tile.sub(shrink, top, new_top)
                T.tile.exp(shrink, shrink)
                T.copy(new_top, top)
                T.tile.broadcast(b_ub, new_top)
                T.tile.sub(s_ub, s_ub, b_ub)
                T.tile.exp(s_ub, s_ub)
                T.reduce_sum(s_ub, tile_sum, dim=-1)
                T.tile.mul(total, total, shrink)
                T.tile.add(total, total, tile_sum)
                T.copy(s_ub, p_ub)
                T.copy(p_ub, workspace_2[cid, vid * rows, 0])

                T.copy(workspace_2[cid, 0, 0], p_l1)
                T.copy(V[head // H, head % H, j * block, 0], v)
                T.gemm_v0(p_l1, v, pv, init=True)
                T.copy(pv, workspace_3[cid, 0, 0])

                T.copy(workspace_3[cid, vid * rows, 0], pv_ub)
                for r in T.serial(rows):
                    T.tile.mul(o_ub[r, :], o_ub[r, :], shrink[r, 0])
                T.tile.add(o_ub, o_ub, pv_ub)
            for r in T.serial(rows):
                T.tile.div(o_ub[r, :], o_ub[r, :], total[r, 0])
            T.copy(o_ub, out_ub)
            T.copy(out_ub, Out[head // H, head % H, cid % q_tiles * block + vid * rows, 0])

    return main
