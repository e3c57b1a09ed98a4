"""Expert flash attention.

`ws3`: softmax(Q K^T / sqrt(D)) V over the way cube -> vector -> cube -> vector, each arrow a ring of slots in a GM workspace.

The key tiles of all work items of a core form one sequence of steps, and the stages of different steps overlap: scores run
`ahead` steps before the product with V, so that neither kind of core waits for the way through GM and back. With `ahead + 1`
slots per ring no flag has to say 'slot free': before a stage comes round to a slot, it has waited for a later stage of the step
that used the slot last.

    cube    loads K(h) | scores(h-1) -> ws1 | loads V | probabilities(h-1-ahead) from ws2, times V -> ws3
    vector  ws1 -> softmax(h) -> ws2 | ws3 -> rescaled sum(h-ahead), the last one of an item -> Out
"""

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

L0_BYTES = 65536
L0C_BYTES = 131072
QK_READY, P_READY, PV_READY = 0, 1, 2


def ws3(B, H, S, D, scale=None, block=None, ahead=2, cores=24):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    scale = 1.0 / math.sqrt(D) if scale is None else float(scale)
    return flash_attn_ws3(B, H, S, D, scale, block or ws3_block(S, D), ahead, cores)


def ws3_block(S, D):
    """Rows of Q and of K per step: 128 where the tiles of both products fit L0 side by side."""
    return 128 if S % 128 == 0 and D <= 128 else 64


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6], pass_configs=EXPERT)
def flash_attn_ws3(B, H, S, D, scale, block, ahead=2, cores=24):
    bm = bn = block
    kv = S // bn  # steps per work item
    items = B * H * (S // bm)
    ring = ahead + 1
    sums = (ahead + kv - 1) // kv + 1  # work items between their first softmax and their last product
    dc = min(D, 128)  # slice of D per product
    parts = D // dc
    rows = bm // 2  # of a tile per vector core
    o_rows = min(rows, 8192 // D)  # of the output per pass
    o_parts = rows // o_rows
    f_rows = min(rows, 4096 // D)  # of the finished output per store
    f_parts = rows // f_rows
    two_operands = 4 * bm * dc + 2 * bm * bn <= L0_BYTES and 8 * bn * dc <= L0_BYTES
    ab = 2 if two_operands else 1
    cc = 2 if 4 * bm * (bn + 2 * dc) <= L0C_BYTES else 1

    @T.prim_func
    def main(
        Q: T.Tensor((B, H, S, D), 'float16'),
        K: T.Tensor((B, H, S, D), 'float16'),
        V: T.Tensor((B, H, S, D), 'float16'),
        Out: T.Tensor((B, H, S, D), 'float16'),
        workspace_1: T.Tensor((cores, ring, bm, bn), 'float'),
        workspace_2: T.Tensor((cores, ring, bm, bn), 'float16'),
        workspace_3: T.Tensor((cores, ring, bm, D), 'float'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            q_l1 = T.alloc_L1((2, bm, D), 'float16')
            k_l1 = T.alloc_L1((2, bn, D), 'float16')
            v_l1 = T.alloc_L1((2, bn, D), 'float16')
            p_l1 = T.alloc_L1((2, bm, bn), 'float16')
            q_l0 = T.alloc_L0A((ab, bm, dc), 'float16')
            p_l0 = T.alloc_L0A((bm, bn), 'float16')
            k_l0 = T.alloc_L0B((ab, dc, bn), 'float16')
            v_l0 = T.alloc_L0B((ab, bn, dc), 'float16')
            s_l0 = T.alloc_L0C((bm, bn), 'float')
            o_l0 = T.alloc_L0C((cc, bm, dc), 'float')

            s_ub = T.alloc_ub((rows, bn), 'float')
            b_ub = T.alloc_ub((rows, bn), 'float')
            p_ub = T.alloc_ub((rows, bn), 'float16')
            pv_ub = T.alloc_ub((o_rows, D), 'float')
            o_ub = T.alloc_ub((rows, D), 'float')
            r_ub = T.alloc_ub((o_rows, D), 'float')
            f_ub = T.alloc_ub((f_rows, D), 'float16')
            top = T.alloc_ub((rows, 1), 'float')
            new_top = T.alloc_ub((rows, 1), 'float')
            shift = T.alloc_ub((rows, 1), 'float')
            tile_top = T.alloc_ub((rows, 1), 'float')
            tile_sum = T.alloc_ub((rows, 1), 'float')
            shrink = T.alloc_ub((ring, rows, 1), 'float')  # by step: its output is rescaled `ahead` steps later
            total = T.alloc_ub((sums, rows, 1), 'float')  # by item: the next one starts before the last one is divided
            # A row factor is spread over the score tile in the softmax and over the output tile in the rescaling, never at once.
            T.annotate_address({b_ub: 0, r_ub: 0})

            with T.Scope('C'):
                steps = (items - cid + cores - 1) // cores * kv
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('mte1', 'mte2', 2 + e)
                    T.set_flag('mte1', 'mte2', 4 + e)
                for e in T.serial(ab):
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('m', 'mte1', 2 + e)
                T.set_flag('m', 'mte1', 4)
                T.set_flag('fix', 'm', 0)
                for e in T.serial(cc):
                    T.set_flag('fix', 'm', 1 + e)

                for h in T.serial(steps + 1 + ahead):
                    if h < steps:
                        item = h // kv * cores + cid
                        head = item // (S // bm)
                        if h % kv == 0:
                            T.wait_flag('mte1', 'mte2', h // kv % 2)
                            T.copy(Q[head // H, head % H, item % (S // bm) * bm, 0], q_l1[h // kv % 2, :, :])
                        T.wait_flag('mte1', 'mte2', 2 + h % 2)
                        T.copy(K[head // H, head % H, h % kv * bn, 0], k_l1[h % 2, :, :])
                        T.set_flag('mte2', 'mte1', 2 + h % 2)

                    if T.And(h >= 1, h <= steps):
                        g = h - 1
                        T.wait_flag('mte2', 'mte1', 2 + g % 2)
                        T.wait_flag('fix', 'm', 0)
                        for c in T.serial(parts):
                            u = (g * parts + c) % ab
                            T.wait_flag('m', 'mte1', u)
                            T.copy(q_l1[g // kv % 2, :, c * dc:(c + 1) * dc], q_l0[u, :, :])
                            T.copy(k_l1[g % 2, :, c * dc:(c + 1) * dc], k_l0[u, :, :], transpose=True)
                            T.set_flag('mte1', 'm', u)
                            T.wait_flag('mte1', 'm', u)
                            T.mma(q_l0[u, :, :], k_l0[u, :, :], s_l0, init=(c == 0))
                            T.set_flag('m', 'mte1', u)
                        T.set_flag('mte1', 'mte2', 2 + g % 2)
                        if g % kv == kv - 1:
                            T.set_flag('mte1', 'mte2', g // kv % 2)
                        T.set_flag('m', 'fix', 0)
                        T.wait_flag('m', 'fix', 0)
                        T.copy(s_l0, workspace_1[cid, g % ring, 0, 0])
                        T.set_flag('fix', 'm', 0)
                        T.set_cross_flag('FIX', QK_READY)

                    # V is loaded an iteration before its product; the slot is free once the product before last has read V and P.
                    if T.And(h >= ahead, h < steps + ahead):
                        d = h - ahead
                        item_v = d // kv * cores + cid
                        head_v = item_v // (S // bm)
                        T.wait_flag('mte1', 'mte2', 4 + d % 2)
                        T.copy(V[head_v // H, head_v % H, d % kv * bn, 0], v_l1[d % 2, :, :])

                    if h > ahead:
                        f = h - 1 - ahead
                        T.wait_cross_flag(P_READY)
                        T.copy(workspace_2[cid, f % ring, 0, 0], p_l1[f % 2, :, :])
                        T.set_flag('mte2', 'mte1', 4 + f % 2)
                        T.wait_flag('mte2', 'mte1', 4 + f % 2)
                        T.wait_flag('m', 'mte1', 4)
                        T.copy(p_l1[f % 2, :, :], p_l0)
                        for c in T.serial(parts):
                            u = (f * parts + c) % ab
                            w = (f * parts + c) % cc
                            T.wait_flag('m', 'mte1', 2 + u)
                            T.copy(v_l1[f % 2, :, c * dc:(c + 1) * dc], v_l0[u, :, :])
                            T.set_flag('mte1', 'm', 2 + u)
                            T.wait_flag('mte1', 'm', 2 + u)
                            T.wait_flag('fix', 'm', 1 + w)
                            T.mma(p_l0, v_l0[u, :, :], o_l0[w, :, :], init=True)
                            T.set_flag('m', 'mte1', 2 + u)
                            T.set_flag('m', 'fix', 1 + w)
                            T.wait_flag('m', 'fix', 1 + w)
                            T.copy(o_l0[w, :, :], workspace_3[cid, f % ring, 0, c * dc])
                            T.set_flag('fix', 'm', 1 + w)
                        T.set_flag('m', 'mte1', 4)
                        T.set_flag('mte1', 'mte2', 4 + f % 2)
                        T.set_cross_flag('FIX', PV_READY)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('mte1', 'mte2', 2 + e)
                    T.wait_flag('mte1', 'mte2', 4 + e)
                for e in T.serial(ab):
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('m', 'mte1', 2 + e)
                T.wait_flag('m', 'mte1', 4)
                T.wait_flag('fix', 'm', 0)
                for e in T.serial(cc):
                    T.wait_flag('fix', 'm', 1 + e)

            with T.Scope('V'):
                steps_v = (items - cid + cores - 1) // cores * kv
                # Flag 0: scores in, probabilities out. Flag 1: products in, finished rows out.
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', e)

                for h in T.serial(steps_v + ahead):
                    if h < steps_v:
                        T.wait_cross_flag(QK_READY)
                        T.wait_flag('v', 'mte2', 0)
                        T.copy(workspace_1[cid, h % ring, vid * rows, 0], s_ub)
                        T.set_flag('mte2', 'v', 0)
                        if h % kv == 0:
                            T.tile.fill(top, -1e30)
                            T.tile.fill(total[h // kv % sums, :, :], 0.0)

                        T.wait_flag('mte2', 'v', 0)
                        T.reduce_max(s_ub, tile_top, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.max(new_top, top, tile_top)
                        T.pipe_barrier('v')
                        T.tile.sub(shrink[h % ring, :, :], top, new_top)
                        T.tile.mul(shift, new_top, -scale)
                        T.pipe_barrier('v')
                        T.tile.mul(shrink[h % ring, :, :], shrink[h % ring, :, :], scale)
                        T.tile.broadcast(b_ub, shift)
                        T.tile.add(top, new_top, 0.0)
                        T.pipe_barrier('v')
                        # exp(scale * s - scale * max): the maximum stays unscaled, the scale rides on the subtraction.
                        T.tile.axpy(b_ub, s_ub, scale)
                        T.set_flag('v', 'mte2', 0)
                        T.tile.exp(shrink[h % ring, :, :], shrink[h % ring, :, :])
                        T.pipe_barrier('v')
                        T.tile.exp(b_ub, b_ub)
                        T.tile.mul(total[h // kv % sums, :, :], total[h // kv % sums, :, :], shrink[h % ring, :, :])
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', 0)
                        T.tile.cast(p_ub, b_ub, 'CAST_RINT', rows * bn)
                        T.set_flag('v', 'mte3', 0)
                        T.reduce_sum(b_ub, tile_sum, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.add(total[h // kv % sums, :, :], total[h // kv % sums, :, :], tile_sum)

                        T.wait_flag('v', 'mte3', 0)
                        T.copy(p_ub, workspace_2[cid, h % ring, vid * rows, 0])
                        T.set_flag('mte3', 'v', 0)
                        T.set_cross_flag('MTE3', P_READY)

                    if h >= ahead:
                        u = h - ahead
                        item_u = u // kv * cores + cid
                        head_u = item_u // (S // bm)
                        T.wait_cross_flag(PV_READY)
                        for r in T.serial(o_parts):
                            T.wait_flag('v', 'mte2', 1)
                            T.copy(workspace_3[cid, u % ring, vid * rows + r * o_rows, 0], pv_ub)
                            T.set_flag('mte2', 'v', 1)
                            T.wait_flag('mte2', 'v', 1)
                            if u % kv == 0:
                                T.copy(pv_ub, o_ub[r * o_rows:(r + 1) * o_rows, :])
                            else:
                                T.tile.broadcast(r_ub, shrink[u % ring, r * o_rows:(r + 1) * o_rows, :])
                                T.pipe_barrier('v')
                                T.tile.mul(o_ub[r * o_rows:(r + 1) * o_rows, :], o_ub[r * o_rows:(r + 1) * o_rows, :], r_ub)
                                T.pipe_barrier('v')
                                T.tile.add(o_ub[r * o_rows:(r + 1) * o_rows, :], o_ub[r * o_rows:(r + 1) * o_rows, :], pv_ub)
                            T.set_flag('v', 'mte2', 1)

                        if u % kv == kv - 1:
                            T.pipe_barrier('v')
                            for r in T.serial(o_parts):
                                T.tile.broadcast(r_ub, total[u // kv % sums, r * o_rows:(r + 1) * o_rows, :])
                                T.pipe_barrier('v')
                                T.tile.div(o_ub[r * o_rows:(r + 1) * o_rows, :], o_ub[r * o_rows:(r + 1) * o_rows, :], r_ub)
                                T.pipe_barrier('v')
                            for r in T.serial(f_parts):
                                T.wait_flag('mte3', 'v', 1)
                                T.tile.cast(f_ub, o_ub[r * f_rows:(r + 1) * f_rows, :], 'CAST_RINT', f_rows * D)
                                T.set_flag('v', 'mte3', 1)
                                T.wait_flag('v', 'mte3', 1)
                                T.copy(f_ub, Out[head_u // H, head_u % H, item_u % (S // bm) * bm + vid * rows + r * f_rows, 0])
                                T.set_flag('mte3', 'v', 1)
                            T.pipe_barrier('v')

                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', e)
                    T.wait_flag('mte3', 'v', e)

    return main
