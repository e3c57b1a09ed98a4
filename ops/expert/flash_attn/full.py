"""Expert flash attention of the a2 chain: Q K^T -> softmax -> P V -> rescaled sum, over three bridges through GM.

Each bridge is a ring of `lag + 1` full tiles per core, and scores run `lag` steps before the product with V. No flag has to
say 'slot free': a stage that comes round to a slot has waited for a later stage of the step that used the slot last.

Both products of a step take turns in one pair of L0C tiles, counted by `made`: 2 x 128 x 128 x 4 bytes are all of L0C.
A score tile is kept in UB as two column halves of 64 (one vector repeat wide), so that a row is folded by whole-tile
operations: the row maximum from the larger of the halves, the row sum as 64 partial sums that are added up once per item.
Row factors are spread to one 32-byte block per row ([rows, 8]) and applied to 64 columns at a time.
"""

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

TILE = 128
HALF = 64  # columns of one vector repeat in float32
BLOCK = 8  # float32 values of one 32-byte block
NEGATIVE = -1e30
QK_READY, P_READY, PV_READY = 0, 1, 2


def full(BH, S1, S2, D, scale=None, lag=3, cores=24):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    scale = 1.0 / math.sqrt(D) if scale is None else float(scale)
    return flash_attn_full(BH, S1, S2, D, scale, lag, cores)


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6], pass_configs=EXPERT)
def flash_attn_full(BH, S1, S2, D, scale, lag=3, cores=24, ring=None):
    kv = S2 // TILE  # steps per work item
    q_tiles = S1 // TILE
    items = BH * q_tiles
    ring = ring or lag + 1
    sums = (lag + kv - 1) // kv + 1  # work items between their first softmax and their last product
    rows = TILE // 2  # of a tile per vector core

    @T.prim_func
    def main(
        Q: T.Tensor((BH, S1, D), 'float16'),
        K: T.Tensor((BH, S2, D), 'float16'),
        V: T.Tensor((BH, S2, D), 'float16'),
        Out: T.Tensor((BH * S1, D), 'float'),
        workspace_1: T.Tensor((cores, ring, TILE, TILE), 'float'),
        workspace_2: T.Tensor((cores, ring, TILE, TILE), 'float16'),
        workspace_3: T.Tensor((cores, ring, TILE, D), 'float'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            q_l1 = T.alloc_L1((2, TILE, D), 'float16')
            k_l1 = T.alloc_L1((2, TILE, D), 'float16')
            v_l1 = T.alloc_L1((2, TILE, D), 'float16')
            p_l1 = T.alloc_L1((2, TILE, TILE), 'float16')
            a_l0 = T.alloc_L0A((2, TILE, TILE), 'float16')
            b_l0 = T.alloc_L0B((2, TILE, TILE), 'float16')
            c_l0 = T.alloc_L0C((2, TILE, TILE), 'float')

            s_ub = T.alloc_ub((2, rows, HALF), 'float')
            e_ub = T.alloc_ub((2, rows, HALF), 'float')
            p_ub = T.alloc_ub((2, rows, HALF), 'float16')
            o_ub = T.alloc_ub((rows, D), 'float')
            pv_ub = T.alloc_ub((rows, D), 'float')
            part = T.alloc_ub((rows, HALF), 'float')  # sums of the probabilities of this item, one per lane
            wide = T.alloc_ub((rows, HALF), 'float')
            top = T.alloc_ub((rows, 1), 'float')
            new_top = T.alloc_ub((rows, 1), 'float')
            tile_top = T.alloc_ub((rows, 1), 'float')
            shift = T.alloc_ub((rows, 1), 'float')
            factor = T.alloc_ub((rows, 1), 'float')
            shrink = T.alloc_ub((ring, rows, BLOCK), 'float')  # by step: its output is rescaled `lag` steps later
            spread = T.alloc_ub((rows, BLOCK), 'float')
            total = T.alloc_ub((sums, rows, 1), 'float')  # by item: the next one starts before the last one is divided
            # The larger of the score halves is looked at before the exponents are written, in the same bytes. Sums lie half a turn of the
            # bank groups (256 of 512 bytes) from what is added to them.
            T.annotate_address({s_ub: 0, e_ub: 32768, wide: 32768, p_ub: 65536, o_ub: 81920, pv_ub: 114944, part: 147712})

            with T.Scope('C'):
                steps = (items - cid + cores - 1) // cores * kv
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('mte1', 'mte2', 2 + e)
                    T.set_flag('mte1', 'mte2', 4 + e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('fix', 'm', e)

                for h in T.serial(steps + 1 + lag):
                    if h < steps:
                        item = h // kv * cores + cid
                        if h % kv == 0:
                            T.wait_flag('mte1', 'mte2', h // kv % 2)
                            T.copy(Q[item // q_tiles, item % q_tiles * TILE, 0], q_l1[h // kv % 2, :, :])
                        T.wait_flag('mte1', 'mte2', 2 + h % 2)
                        T.copy(K[item // q_tiles, h % kv * TILE, 0], k_l1[h % 2, :, :])
                        T.set_flag('mte2', 'mte1', h % 2)

                    # Scores of step h - 1. Products made so far: one per step, and one more per step whose product with V is done.
                    if T.And(h >= 1, h <= steps):
                        g = h - 1
                        made = g + T.max(g - lag, 0)
                        c = made % 2
                        T.wait_flag('mte2', 'mte1', g % 2)
                        T.wait_flag('m', 'mte1', c)
                        T.copy(q_l1[g // kv % 2, :, :], a_l0[c, :, :])
                        T.copy(k_l1[g % 2, :, :], b_l0[c, :, :], transpose=True)
                        T.set_flag('mte1', 'mte2', 2 + g % 2)
                        if g % kv == kv - 1:
                            T.set_flag('mte1', 'mte2', g // kv % 2)
                        T.set_flag('mte1', 'm', c)
                        T.wait_flag('mte1', 'm', c)
                        T.wait_flag('fix', 'm', c)
                        T.mma(a_l0[c, :, :], b_l0[c, :, :], c_l0[c, :, :], init=True)
                        T.set_flag('m', 'mte1', c)
                        T.set_flag('m', 'fix', c)
                        T.wait_flag('m', 'fix', c)
                        T.copy(c_l0[c, :, :], workspace_1[cid, g % ring, 0, 0])
                        T.set_flag('fix', 'm', c)
                        T.set_cross_flag('FIX', QK_READY)

                    # V is loaded an iteration before its product; the slot is free once the product before last has read V and P.
                    if T.And(h >= lag, h < steps + lag):
                        d = h - lag
                        item_v = d // kv * cores + cid
                        T.wait_flag('mte1', 'mte2', 4 + d % 2)
                        T.copy(V[item_v // q_tiles, d % kv * TILE, 0], v_l1[d % 2, :, :])

                    if h > lag:
                        f = h - 1 - lag
                        made_v = T.min(f + lag + 1, steps) + f
                        w = made_v % 2
                        T.wait_cross_flag(P_READY)
                        T.copy(workspace_2[cid, f % ring, 0, 0], p_l1[f % 2, :, :])
                        T.set_flag('mte2', 'mte1', 2 + f % 2)
                        T.wait_flag('mte2', 'mte1', 2 + f % 2)
                        T.wait_flag('m', 'mte1', w)
                        T.copy(p_l1[f % 2, :, :], a_l0[w, :, :])
                        T.copy(v_l1[f % 2, :, :], b_l0[w, :, :])
                        T.set_flag('mte1', 'mte2', 4 + f % 2)
                        T.set_flag('mte1', 'm', w)
                        T.wait_flag('mte1', 'm', w)
                        T.wait_flag('fix', 'm', w)
                        T.mma(a_l0[w, :, :], b_l0[w, :, :], c_l0[w, :, :], init=True)
                        T.set_flag('m', 'mte1', w)
                        T.set_flag('m', 'fix', w)
                        T.wait_flag('m', 'fix', w)
                        T.copy(c_l0[w, :, :], workspace_3[cid, f % ring, 0, 0])
                        T.set_flag('fix', 'm', w)
                        T.set_cross_flag('FIX', PV_READY)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('mte1', 'mte2', 2 + e)
                    T.wait_flag('mte1', 'mte2', 4 + e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('fix', 'm', e)

            with T.Scope('V'):
                steps_v = (items - cid + cores - 1) // cores * kv
                # Flag 0: scores in, probabilities out. Flag 1: products in, finished rows out.
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', e)

                for h in T.serial(steps_v + lag):
                    if h < steps_v:
                        T.wait_cross_flag(QK_READY)
                        T.wait_flag('v', 'mte2', 0)
                        for e in T.serial(2):
                            T.copy(workspace_1[cid, h % ring, vid * rows, e * HALF], s_ub[e, :, :])
                        T.set_flag('mte2', 'v', 0)
                        if h % kv == 0:
                            T.tile.fill(top, NEGATIVE)
                            T.tile.fill(part, 0.0)

                        T.wait_flag('mte2', 'v', 0)
                        T.tile.max(wide, s_ub[0, :, :], s_ub[1, :, :])
                        T.pipe_barrier('v')
                        T.reduce_max(wide, tile_top, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.max(new_top, top, tile_top)
                        T.pipe_barrier('v')
                        T.tile.sub(factor, top, new_top)
                        T.tile.mul(shift, new_top, -scale)
                        T.pipe_barrier('v')
                        T.tile.add(top, new_top, 0.0)
                        T.tile.mul(factor, factor, scale)
                        T.tile.broadcast(e_ub[0, :, :], shift)
                        T.tile.broadcast(e_ub[1, :, :], shift)
                        T.pipe_barrier('v')
                        # exp(scale * s - scale * max): the maximum stays unscaled, the scale rides on the subtraction.
                        T.tile.axpy(e_ub, s_ub, scale)
                        T.set_flag('v', 'mte2', 0)
                        T.tile.exp(factor, factor)
                        T.pipe_barrier('v')
                        T.tile.exp(e_ub, e_ub)
                        T.tile.brcb_experiment(shrink[h % ring, :, :], factor, rows // 8, 1, 8)
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', 0)
                        T.tile.cast(p_ub, e_ub, 'CAST_RINT', rows * TILE)
                        T.set_flag('v', 'mte3', 0)
                        T.tile.row_expand_mul_experiment(part, part, shrink[h % ring, :, :])
                        for e in T.serial(2):
                            T.pipe_barrier('v')
                            T.tile.add(part, part, e_ub[e, :, :])
                        T.wait_flag('v', 'mte3', 0)
                        for e in T.serial(2):
                            T.copy(p_ub[e, :, :], workspace_2[cid, h % ring, vid * rows, e * HALF])
                        T.set_flag('mte3', 'v', 0)
                        T.set_cross_flag('MTE3', P_READY)
                        T.pipe_barrier('v')
                        if h % kv == kv - 1:
                            T.reduce_sum(part, total[h // kv % sums, :, :], dim=-1)
                            T.pipe_barrier('v')

                    if h >= lag:
                        u = h - lag
                        T.wait_cross_flag(PV_READY)
                        T.wait_flag('v', 'mte2', 1)
                        T.copy(workspace_3[cid, u % ring, vid * rows, 0], pv_ub)
                        T.set_flag('mte2', 'v', 1)
                        if u % kv == 0:
                            T.wait_flag('mte3', 'v', 1)
                            T.wait_flag('mte2', 'v', 1)
                            T.copy(pv_ub, o_ub)
                        else:
                            for e in T.serial(D // HALF):
                                T.tile.row_expand_mul_experiment(o_ub[:, e * HALF:(e + 1) * HALF], o_ub[:, e * HALF:(e + 1) * HALF],
                                                                    shrink[u % ring, :, :])
                            T.wait_flag('mte2', 'v', 1)
                            T.pipe_barrier('v')
                            T.tile.add(o_ub, o_ub, pv_ub)
                        T.set_flag('v', 'mte2', 1)
                        T.pipe_barrier('v')

                        if u % kv == kv - 1:
                            item_u = u // kv * cores + cid
                            T.tile.brcb_experiment(spread, total[u // kv % sums, :, :], rows // 8, 1, 8)
                            T.pipe_barrier('v')
                            for e in T.serial(D // HALF):
                                T.tile.row_expand_div_experiment(o_ub[:, e * HALF:(e + 1) * HALF], o_ub[:, e * HALF:(e + 1) * HALF],
                                                                    spread)
                            T.set_flag('v', 'mte3', 1)
                            T.wait_flag('v', 'mte3', 1)
                            T.copy(o_ub, Out[item_u * TILE + vid * rows, 0])
                            T.set_flag('mte3', 'v', 1)

                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', e)
                    T.wait_flag('mte3', 'v', e)

    return main
