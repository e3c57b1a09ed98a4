"""Developer paged attention: one block per sequence, 16 query heads and split of the pages; a second kernel joins the splits.

The tiles of the four KV heads of a block have 4 rows each, which are taken as windows of 16 out of workspaces: rows the compiler's
own exchange between the cores cannot name.
"""

import tiletwin
from pass_configs import DEVELOPER, VECTOR_ONLY
from tiletwin import language as T

LOWEST = -3.4028234663852886e38
MASKED = 1e30  # per half column beyond the end: finite, and below every score
PAGE = 128
DIM = 128
HEADS = 16  # query heads per block
SHARE = 4  # query heads per KV head


def split_kv(B, Hq, Hkv, blocks, maxblk, splits=4, scale=None):
    """Both kernels for one shape: `(q, k_cache, v_cache, block_table, kv_lens) -> out, partialOut, partialL`."""
    one_split = paged_attn_split(B, Hq, Hkv, blocks, maxblk, splits, DIM ** -0.5 if scale is None else float(scale))
    join = paged_attn_join(B, Hq, splits)

    def run(q, k_cache, v_cache, block_table, kv_lens):
        partial_out, partial_l = one_split(q, k_cache, v_cache, block_table, kv_lens)
        return join(partial_out, partial_l), partial_out, partial_l

    run.kernels = (one_split, join)
    return run


@tiletwin.jit(out_idx=[5, 6], workspace_idx=[7, 8, 9], pass_configs=DEVELOPER)
def paged_attn_split(B, Hq, Hkv, blocks, maxblk, splits, scale):
    head_blocks = Hq // HEADS
    items = B * head_blocks * splits
    rows = HEADS // 2  # per vector core

    @T.prim_func
    def main(
        q: T.Tensor((B, Hq, DIM), 'float16'),
        k_cache: T.Tensor((blocks, PAGE, Hkv, DIM), 'float16'),
        v_cache: T.Tensor((blocks, PAGE, Hkv, DIM), 'float16'),
        block_table: T.Tensor((B, maxblk), 'int32'),
        kv_lens: T.Tensor((B,), 'int32'),
        partialOut: T.Tensor((B, splits, Hq, DIM), 'float'),
        partialL: T.Tensor((B, splits, Hq), 'float'),
        workspace_1: T.Tensor((items, HEADS, PAGE), 'float'),
        workspace_2: T.Tensor((items, HEADS, PAGE), 'float16'),
        workspace_3: T.Tensor((items, HEADS, DIM), 'float'),
    ):
        with T.Kernel(items, is_npu=True) as (cid, vid):
            b = cid // splits // head_blocks
            head = cid // splits % head_blocks * HEADS
            split = cid % splits
            length = kv_lens[b]
            pages = (length + PAGE - 1) // PAGE
            share = (pages + splits - 1) // splits
            first = split * share
            n = T.max(T.min(share, pages - first), 0)

            q_l1 = T.alloc_shared((HEADS, DIM), 'float16')
            k_l1 = T.alloc_shared((PAGE, DIM), 'float16')
            v_l1 = T.alloc_shared((PAGE, DIM), 'float16')
            p_l1 = T.alloc_shared((HEADS, PAGE), 'float16')
            s = T.alloc_fragment((HEADS, PAGE), 'float')
            o = T.alloc_fragment((HEADS, DIM), 'float')

            s_ub = T.alloc_shared((rows, PAGE), 'float')
            b_ub = T.alloc_shared((rows, PAGE), 'float')
            p_ub = T.alloc_shared((rows, PAGE), 'float16')
            column = T.alloc_shared((1, PAGE), 'float')
            columns = T.alloc_shared((rows, PAGE), 'float')
            pv_ub = T.alloc_shared((rows, DIM), 'float')
            o_ub = T.alloc_shared((rows, DIM), 'float')
            top = T.alloc_shared((rows, 1), 'float')
            new_top = T.alloc_shared((rows, 1), 'float')
            shrink = T.alloc_shared((rows, 1), 'float')
            tile_sum = T.alloc_shared((rows, 1), 'float')
            total = T.alloc_shared((rows, 1), 'float')
            stat = T.alloc_shared((rows,), 'float')

            T.tile.createvecindex(column, 0)
            T.tile.broadcast(columns, column)
            T.tile.fill(top, LOWEST)
            T.tile.fill(total, 0.0)
            T.tile.fill(o_ub, 0.0)
            for t in T.serial(n):
                for g in T.serial(HEADS // SHARE):
                    T.copy(q[b, head + g * SHARE, 0], q_l1)
                    T.copy(k_cache[block_table[b, first + t], 0:T.min(length - (first + t) * PAGE, PAGE), head // SHARE + g, 0:DIM], k_l1)
                    T.gemm_v0(q_l1, k_l1, s, transpose_B=True, init=True)
                    T.copy(s, workspace_1[cid, g * SHARE:(g + 1) * SHARE, :])

                T.copy(workspace_1[cid, vid * rows, 0], s_ub)
                T.tile.mul(s_ub, s_ub, scale)
                # 0 before the end of the sequence, far below every score behind it.
                T.tile.mul(b_ub, columns, -1.0)
                T.tile.add(b_ub, b_ub, T.cast(length - (first + t) * PAGE, 'float32') - 0.5)
                T.tile.min(b_ub, b_ub, 0.0)
                T.tile.mul(b_ub, b_ub, MASKED)
                T.tile.add(s_ub, s_ub, b_ub)
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

                for g in T.serial(HEADS // SHARE):
                    T.copy(workspace_2[cid, g * SHARE, 0], p_l1)
                    T.copy(v_cache[block_table[b, first + t], 0:T.min(length - (first + t) * PAGE, PAGE), head // SHARE + g, 0:DIM], v_l1)
                    T.gemm_v0(p_l1, v_l1, o, init=True)
                    T.copy(o, workspace_3[cid, g * SHARE:(g + 1) * SHARE, :])

                T.copy(workspace_3[cid, vid * rows, 0], pv_ub)
                T.tile.broadcast(b_ub, shrink)
                T.tile.mul(o_ub, o_ub, b_ub)
                T.tile.add(o_ub, o_ub, pv_ub)

            if n > 0:
                T.tile.broadcast(b_ub, total)
                T.tile.div(o_ub, o_ub, b_ub)
                T.tile.ln(stat, total)
                T.tile.add(stat, stat, top)
            else:
                T.tile.fill(stat, LOWEST)
            T.copy(o_ub, partialOut[b, split, head + vid * rows, 0])
            T.copy(stat, partialL[b, split, head + vid * rows])

    return main


@tiletwin.jit(out_idx=[2], pass_configs=VECTOR_ONLY)
def paged_attn_join(B, Hq, splits):
    rows = HEADS // 2

    @T.prim_func
    def main(
        partialOut: T.Tensor((B, splits, Hq, DIM), 'float'),
        partialL: T.Tensor((B, splits, Hq), 'float'),
        out: T.Tensor((B, Hq, DIM), 'float16'),
    ):
        with T.Kernel(B * Hq // HEADS, is_npu=True) as (cid, vid):
            b = cid * HEADS // Hq
            head = cid * HEADS % Hq + vid * rows
            weights = T.alloc_shared((splits, rows), 'float')
            spread = T.alloc_shared((splits, rows), 'float')
            row = T.alloc_shared((1, rows), 'float')
            weight = T.alloc_shared((splits * rows,), 'float')
            part = T.alloc_shared((rows, DIM), 'float')
            factor = T.alloc_shared((rows, DIM), 'float')
            total = T.alloc_shared((rows, DIM), 'float')
            half = T.alloc_shared((rows, DIM), 'float16')

            T.copy(partialL[b, 0:splits, head:head + rows], weights)
            T.reduce_max(weights, row, dim=0)
            T.tile.broadcast(spread, row)
            T.tile.sub(weights, weights, spread)
            T.tile.exp(weights, weights)
            T.reduce_sum(weights, row, dim=0)
            T.tile.broadcast(spread, row)
            T.tile.div(weight, weights, spread)
            T.tile.fill(total, 0.0)
            for s in T.serial(splits):
                T.copy(partialOut[b, s, head, 0], part)
                T.tile.broadcast(factor, weight[s * rows:(s + 1) * rows], axis=1)
                T.tile.mul(part, part, factor)
                T.tile.add(total, total, part)
            T.copy(total, half)
            T.copy(half, out[b, head, 0])

    return main
