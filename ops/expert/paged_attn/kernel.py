"""Expert paged attention, one query position per sequence, KV split over the cores.

A work item is 16 query heads (4 groups that share a KV head each) and one split of the pages of their sequence. Its pages go through

    cube    loads K(h) | scores(h-1) -> slot | loads V(h-3) | probabilities(h-3) from slot, times V -> slot
    vector  slot -> scale, mask, softmax(h) -> slot | slot -> rescaled sum(h-2)

in two slots per workspace, page & 1. Cube and vector are two pages apart, so each side comes round to a slot the other may still
read: three pairs of flags say 'ready', three say 'free', one flag per slot each.

Products have 16 rows of which 4 belong to the KV head at hand: the A operand is a window of 16 rows into the tile, and 4 rows are stored.
The splits of a sequence meet behind a barrier of all vector cores, where their sums are weighted by exp(L - max L): see `combine`.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .combine import combine_bulk, combine_scalar
from .tile import DIM, HEADS, LOWEST, PAGE, SHARE

QK_READY, QK_FREE, P_READY, P_FREE, PV_READY, PV_FREE = 0, 2, 4, 6, 8, 10  # + slot
ALL_SPLITS = 12
MASKED = 1e30  # per half column beyond the end: finite, and below every score


def split_kv(B, Hq, Hkv, blocks, maxblk, splits=4, scale=None, combine='bulk', cores=24):
    """The compiled kernel for one shape: `kernel(q, k_cache, v_cache, block_table, kv_lens) -> out, partialOut, partialL`."""
    return paged_attn_split_kv(B, Hq, Hkv, blocks, maxblk, splits, DIM ** -0.5 if scale is None else float(scale), combine, cores)


@tiletwin.jit(out_idx=[5, 6, 7], workspace_idx=[8, 9, 10], pass_configs=EXPERT)
def paged_attn_split_kv(B, Hq, Hkv, blocks, maxblk, splits, scale, combine='bulk', cores=24):
    head_blocks = Hq // HEADS
    items = B * head_blocks * splits
    groups = HEADS // SHARE
    wide = groups * DIM  # a page row of all KV heads of an item
    half = wide // 2
    rows = HEADS // 2  # per vector core
    units = B * Hq // rows  # of the combination

    @T.prim_func
    def main(
        q: T.Tensor((B, Hq, DIM), 'float16'),
        k_cache: T.Tensor((blocks, PAGE, Hkv, DIM), 'float16'),
        v_cache: T.Tensor((blocks, PAGE, Hkv, DIM), 'float16'),
        block_table: T.Tensor((B, maxblk), 'int32'),
        kv_lens: T.Tensor((B,), 'int32'),
        out: T.Tensor((B, Hq, DIM), 'float16'),
        partialOut: T.Tensor((B, splits, Hq, DIM), 'float'),
        partialL: T.Tensor((B, splits, Hq), 'float'),
        workspace_s: T.Tensor((cores, 2, HEADS, PAGE), 'float'),
        workspace_p: T.Tensor((cores, 2, HEADS, PAGE), 'float16'),
        workspace_o: T.Tensor((cores, 2, HEADS, DIM), 'float'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            k_rows = T.reshape(k_cache, (blocks * PAGE, Hkv * DIM))
            v_rows = T.reshape(v_cache, (blocks * PAGE, Hkv * DIM))
            # The window of the last KV head of an item ends 12 rows behind the item's heads.
            q_l1 = T.alloc_L1((2 * HEADS, DIM), 'float16')
            p_ping = T.alloc_L1((2 * HEADS, PAGE), 'float16')
            p_pong = T.alloc_L1((2 * HEADS, PAGE), 'float16')
            # Whole buffers: a load into one zeroes the rows beyond the end of the sequence.
            k_ping = T.alloc_L1((PAGE, wide), 'float16')
            k_pong = T.alloc_L1((PAGE, wide), 'float16')
            v_low = T.alloc_L1((PAGE, half), 'float16')
            v_high = T.alloc_L1((PAGE, half), 'float16')
            a_l0 = T.alloc_L0A((2, HEADS, DIM), 'float16')
            b_l0 = T.alloc_L0B((2, DIM, PAGE), 'float16')
            c_l0 = T.alloc_L0C((groups, HEADS, PAGE), 'float')

            s_ub = T.alloc_ub((rows, PAGE), 'float')
            b_ub = T.alloc_ub((rows, PAGE), 'float')
            p_ub = T.alloc_ub((rows, PAGE), 'float16')
            column = T.alloc_ub((1, PAGE), 'float')
            columns = T.alloc_ub((rows, PAGE), 'float')
            beyond = T.alloc_ub((rows, PAGE), 'float')
            pv_ub = T.alloc_ub((rows, DIM), 'float')
            o_ub = T.alloc_ub((rows, DIM), 'float')
            r_ub = T.alloc_ub((rows, DIM), 'float')
            top = T.alloc_ub((rows, 1), 'float')
            new_top = T.alloc_ub((rows, 1), 'float')
            tile_top = T.alloc_ub((rows, 1), 'float')
            tile_sum = T.alloc_ub((rows, 1), 'float')
            total = T.alloc_ub((rows, 1), 'float')
            shrink = T.alloc_ub((3, rows, 1), 'float')  # by page: its product is rescaled two pages later
            stat = T.alloc_ub((rows,), 'float')
            log_ub = T.alloc_ub((splits, rows), 'float')
            log_b = T.alloc_ub((splits, rows), 'float')
            log_top = T.alloc_ub((1, rows), 'float')
            weights = T.alloc_ub((splits, rows), 'float')
            weight = T.reshape(weights, (splits * rows,))
            part_ub = T.alloc_ub((2, rows, DIM), 'float')
            if combine == 'bulk':
                out_ub = T.alloc_ub((rows, DIM), 'float16')

            with T.Scope('C'):
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('mte1', 'mte2', 2 + e)
                    T.set_flag('mte1', 'mte2', 4 + e)
                    T.set_flag('m', 'mte1', e)
                T.set_flag('mte1', 'mte2', 6)
                for e in T.serial(groups):
                    T.set_flag('fix', 'm', e)

                for i in T.serial((items - cid + cores - 1) // cores):
                    item = i * cores + cid
                    b = item // splits // head_blocks
                    head = item // splits % head_blocks * HEADS
                    length = kv_lens[b]
                    pages = (length + PAGE - 1) // PAGE
                    share = (pages + splits - 1) // splits
                    first = item % splits * share
                    n = T.max(T.min(share, pages - first), 0)
                    for h in T.serial(n + 3):
                        if h < n:
                            if h == 0:
                                T.wait_flag('mte1', 'mte2', 6)
                                T.copy(q[b, head, 0], q_l1)
                            row = block_table[b, first + h] * PAGE
                            live = T.min(length - (first + h) * PAGE, PAGE)
                            T.wait_flag('mte1', 'mte2', h % 2)
                            if h % 2 == 0:
                                T.copy(k_rows[row:row + live, head // SHARE * DIM:head // SHARE * DIM + wide], k_ping)
                            else:
                                T.copy(k_rows[row:row + live, head // SHARE * DIM:head // SHARE * DIM + wide], k_pong)
                            T.set_flag('mte2', 'mte1', h % 2)

                        if T.And(h >= 1, h <= n):
                            s = (h - 1) % 2
                            T.wait_flag('mte2', 'mte1', s)
                            if h > 2:
                                T.wait_cross_flag(QK_FREE + s)
                            for g in T.serial(groups):
                                T.wait_flag('m', 'mte1', g % 2)
                                T.copy(q_l1[g * SHARE:g * SHARE + HEADS, :], a_l0[g % 2, :, :])
                                if s == 0:
                                    T.copy(k_ping[:, g * DIM:(g + 1) * DIM], b_l0[g % 2, :, :], transpose=True)
                                else:
                                    T.copy(k_pong[:, g * DIM:(g + 1) * DIM], b_l0[g % 2, :, :], transpose=True)
                                T.set_flag('mte1', 'm', g % 2)
                                T.wait_flag('mte1', 'm', g % 2)
                                T.wait_flag('fix', 'm', g)
                                T.mma(a_l0[g % 2, :, :], b_l0[g % 2, :, :], c_l0[g, :, :], init=True)
                                T.set_flag('m', 'mte1', g % 2)
                                T.set_flag('m', 'fix', g)
                                T.wait_flag('m', 'fix', g)
                                T.copy(c_l0[g, :, :], workspace_s[cid, s, g * SHARE:(g + 1) * SHARE, :])
                                T.set_flag('fix', 'm', g)
                            T.set_flag('mte1', 'mte2', s)
                            if h == n:
                                T.set_flag('mte1', 'mte2', 6)
                            T.set_cross_flag('FIX', QK_READY + s)

                        if h >= 3:
                            f = h - 3
                            v_row = block_table[b, first + f] * PAGE
                            v_live = T.min(length - (first + f) * PAGE, PAGE)
                            T.wait_flag('mte1', 'mte2', 2)
                            T.copy(v_rows[v_row:v_row + v_live, head // SHARE * DIM:head // SHARE * DIM + half], v_low)
                            T.set_flag('mte2', 'mte1', 2)
                            T.wait_flag('mte1', 'mte2', 3)
                            T.copy(v_rows[v_row:v_row + v_live, head // SHARE * DIM + half:head // SHARE * DIM + wide], v_high)
                            T.set_flag('mte2', 'mte1', 3)
                            T.wait_flag('mte1', 'mte2', 4 + f % 2)
                            T.wait_cross_flag(P_READY + f % 2)
                            if f % 2 == 0:
                                T.copy(workspace_p[cid, 0, 0, 0], p_ping)
                            else:
                                T.copy(workspace_p[cid, 1, 0, 0], p_pong)
                            if f + 2 < n:
                                T.set_cross_flag('MTE2', P_FREE + f % 2)
                            T.set_flag('mte2', 'mte1', 4)
                            T.wait_flag('mte2', 'mte1', 4)
                            if f >= 2:
                                T.wait_cross_flag(PV_FREE + f % 2)
                            for g in T.serial(groups):
                                T.wait_flag('m', 'mte1', g % 2)
                                if f % 2 == 0:
                                    T.copy(p_ping[g * SHARE:g * SHARE + HEADS, :], a_l0[g % 2, :, :])
                                else:
                                    T.copy(p_pong[g * SHARE:g * SHARE + HEADS, :], a_l0[g % 2, :, :])
                                if g % 2 == 0:
                                    T.wait_flag('mte2', 'mte1', 2 + g // 2)
                                if g < 2:
                                    T.copy(v_low[:, g * DIM:(g + 1) * DIM], b_l0[g % 2, :, :])
                                else:
                                    T.copy(v_high[:, (g - 2) * DIM:(g - 1) * DIM], b_l0[g % 2, :, :])
                                if g % 2 == 1:
                                    T.set_flag('mte1', 'mte2', 2 + g // 2)
                                T.set_flag('mte1', 'm', g % 2)
                                T.wait_flag('mte1', 'm', g % 2)
                                T.wait_flag('fix', 'm', g)
                                T.mma(a_l0[g % 2, :, :], b_l0[g % 2, :, :], c_l0[g, :, :], init=True)
                                T.set_flag('m', 'mte1', g % 2)
                                T.set_flag('m', 'fix', g)
                                T.wait_flag('m', 'fix', g)
                                T.copy(c_l0[g, :, :], workspace_o[cid, f % 2, g * SHARE:(g + 1) * SHARE, :])
                                T.set_flag('fix', 'm', g)
                            T.set_flag('mte1', 'mte2', 4 + f % 2)
                            T.set_cross_flag('FIX', PV_READY + f % 2)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('mte1', 'mte2', 2 + e)
                    T.wait_flag('mte1', 'mte2', 4 + e)
                    T.wait_flag('m', 'mte1', e)
                T.wait_flag('mte1', 'mte2', 6)
                for e in T.serial(groups):
                    T.wait_flag('fix', 'm', e)

            with T.Scope('V'):
                # Flag 0: scores in, probabilities out. Flag 1: products in, finished sums out. 2 and 3: partial sums in.
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('v', 'mte2', 2 + e)
                    T.set_flag('mte3', 'v', e)
                T.tile.createvecindex(column, 0)
                T.pipe_barrier('v')
                T.tile.broadcast(columns, column)
                T.pipe_barrier('v')

                for i in T.serial((items - cid + cores - 1) // cores):
                    item_v = i * cores + cid
                    b_v = item_v // splits // head_blocks
                    split = item_v % splits
                    head_v = item_v // splits % head_blocks * HEADS + vid * rows
                    length_v = kv_lens[b_v]
                    pages_v = (length_v + PAGE - 1) // PAGE
                    share_v = (pages_v + splits - 1) // splits
                    first_v = split * share_v
                    n_v = T.max(T.min(share_v, pages_v - first_v), 0)
                    T.tile.fill(top, LOWEST)
                    T.tile.fill(total, 0.0)

                    for h in T.serial(n_v + 2):
                        if h < n_v:
                            left = length_v - (first_v + h) * PAGE
                            T.wait_flag('v', 'mte2', 0)
                            T.wait_cross_flag(QK_READY + h % 2)
                            T.copy(workspace_s[cid, h % 2, vid * rows, 0], s_ub)
                            if h + 2 < n_v:
                                T.set_cross_flag('MTE2', QK_FREE + h % 2)
                            T.set_flag('mte2', 'v', 0)

                            T.wait_flag('mte2', 'v', 0)
                            T.tile.mul(s_ub, s_ub, scale)
                            if left < PAGE:
                                # 0 before the end of the sequence, far below every score behind it.
                                T.tile.mul(beyond, columns, -1.0)
                                T.pipe_barrier('v')
                                T.tile.add(beyond, beyond, T.cast(left, 'float32') - 0.5)
                                T.pipe_barrier('v')
                                T.tile.min(beyond, beyond, 0.0)
                                T.pipe_barrier('v')
                                T.tile.mul(beyond, beyond, MASKED)
                                T.pipe_barrier('v')
                                T.tile.add(s_ub, s_ub, beyond)
                            T.pipe_barrier('v')
                            T.reduce_max(s_ub, tile_top, dim=-1)
                            T.pipe_barrier('v')
                            T.tile.max(new_top, top, tile_top)
                            T.pipe_barrier('v')
                            T.tile.broadcast(b_ub, new_top)
                            T.tile.sub(shrink[h % 3, :, :], top, new_top)
                            T.pipe_barrier('v')
                            T.tile.sub(b_ub, s_ub, b_ub)
                            T.set_flag('v', 'mte2', 0)
                            T.tile.add(top, new_top, 0.0)
                            if h == 0:
                                # Nothing came before: whatever exp(LOWEST - max) is, it must not count.
                                T.tile.fill(shrink[h % 3, :, :], 0.0)
                            else:
                                T.tile.exp(shrink[h % 3, :, :], shrink[h % 3, :, :])
                            T.pipe_barrier('v')
                            T.tile.exp(b_ub, b_ub)
                            T.tile.mul(total, total, shrink[h % 3, :, :])
                            T.pipe_barrier('v')
                            T.wait_flag('mte3', 'v', 0)
                            T.tile.cast(p_ub, b_ub, 'CAST_RINT', rows * PAGE)
                            T.set_flag('v', 'mte3', 0)
                            T.reduce_sum(b_ub, tile_sum, dim=-1)
                            T.pipe_barrier('v')
                            T.tile.add(total, total, tile_sum)
                            T.wait_flag('v', 'mte3', 0)
                            if h >= 2:
                                T.wait_cross_flag(P_FREE + h % 2)
                            T.copy(p_ub, workspace_p[cid, h % 2, vid * rows, 0])
                            T.set_flag('mte3', 'v', 0)
                            T.set_cross_flag('MTE3', P_READY + h % 2)

                        if h >= 2:
                            u = h - 2
                            T.wait_flag('v', 'mte2', 1)
                            T.wait_cross_flag(PV_READY + u % 2)
                            T.copy(workspace_o[cid, u % 2, vid * rows, 0], pv_ub)
                            if u + 2 < n_v:
                                T.set_cross_flag('MTE2', PV_FREE + u % 2)
                            T.set_flag('mte2', 'v', 1)
                            T.wait_flag('mte2', 'v', 1)
                            if u == 0:
                                T.copy(pv_ub, o_ub)
                            else:
                                T.tile.broadcast(r_ub, shrink[u % 3, :, :])
                                T.pipe_barrier('v')
                                T.tile.mul(o_ub, o_ub, r_ub)
                                T.pipe_barrier('v')
                                T.tile.add(o_ub, o_ub, pv_ub)
                            T.set_flag('v', 'mte2', 1)
                            T.pipe_barrier('v')

                    T.wait_flag('mte3', 'v', 1)
                    if n_v > 0:
                        T.tile.broadcast(r_ub, total)
                        T.tile.ln(stat, total)
                        T.pipe_barrier('v')
                        T.tile.div(o_ub, o_ub, r_ub)
                        T.tile.add(stat, stat, top)
                    else:
                        T.tile.fill(o_ub, 0.0)
                        T.tile.fill(stat, LOWEST)
                    T.pipe_barrier('v')
                    T.set_flag('v', 'mte3', 1)
                    T.wait_flag('v', 'mte3', 1)
                    T.copy(o_ub, partialOut[b_v, split, head_v, 0])
                    T.copy(stat, partialL[b_v, split, head_v])
                    T.set_flag('mte3', 'v', 1)

                if combine == 'scalar':
                    # What the scalar unit is about to read was written past its cache.
                    T.tile.datacachecleanandinvalid_experiment(partialL, 'ENTIRE_DATA_CACHE', 'CACHELINE_OUT')
                # Every vector core arrives, also one without a work item.
                T.set_cross_flag('MTE3', ALL_SPLITS, mode=0)
                T.wait_cross_flag(ALL_SPLITS)

                if combine == 'bulk':
                    combine_bulk(partialOut, partialL, out, log_ub, log_b, log_top, weights, weight, part_ub, r_ub, o_ub, out_ub,
                                 Hq, units, splits, 2 * cores, cid * 2 + vid)
                else:
                    combine_scalar(partialOut, partialL, out, log_ub, log_b, log_top, weights, weight, part_ub, r_ub, o_ub,
                                   Hq, units, splits, 2 * cores, cid * 2 + vid)

                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', e)
                    T.wait_flag('v', 'mte2', 2 + e)
                T.wait_flag('mte3', 'v', 0)

    return main
