"""Expert sparse flash attention: every query attends to the `topk` rows of KV that Indices names for it.

A row of KV holds the value in its first D numbers and is the key as a whole. All heads of a group share their rows, so a work item
is one query position with up to 64 heads as the rows of Q. The stages of different tiles of 64 indices overlap as in `flash_attn.ws3`:

    vector  gathers KV(h)                       | softmax(h-1) -> ws2 | ws3 -> rescaled sum(h-1-ahead), the last one of an item -> Output
    cube    scores(h-1) -> ws1 | loads KV(h)    | probabilities(h-1-ahead) from ws2, times values -> ws3

* `workspace_vid`: each vector core gathers its half of the rows into UB and passes them on through a workspace;
* `vid_eliminated`: the cube gathers row by row straight into its L1 tile; the vector cores have no part in it.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

QK_READY, P_READY, PV_READY, KV_READY = 0, 1, 2, 3
BLOCK = 64  # indices per tile


def workspace_vid(B, S, H, D, Dt, Skv, G, topk, ahead=2, cores=24):
    """The compiled kernel for one shape: `kernel(Q, KV, Indices) -> Output`."""
    return sparse_flash_attn(B, S, H, D, Dt, Skv, G, topk, True, ahead, cores)


def vid_eliminated(B, S, H, D, Dt, Skv, G, topk, ahead=2, cores=24):
    """The compiled kernel for one shape: `kernel(Q, KV, Indices) -> Output`."""
    return sparse_flash_attn(B, S, H, D, Dt, Skv, G, topk, False, ahead, cores)


def slice_of(depth):
    """The largest slice of the contraction that whole fractals divide it into."""
    return max(d for d in range(16, 129, 16) if depth % d == 0)


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6, 7], pass_configs=EXPERT)
def sparse_flash_attn(B, S, H, D, Dt, Skv, G, topk, through_ub, ahead=2, cores=24):
    depth = D + Dt
    scale = depth ** -0.5
    group = H // G  # heads that share their rows
    bm = min(64, (group + 15) // 16 * 16)
    head_blocks = (group + bm - 1) // bm
    bn = BLOCK
    kv = topk // bn  # steps per work item
    items = B * S * G * head_blocks
    ring = ahead + 1
    kv_slots = ahead + 2  # a tile stays from its scores to its product
    sums = (ahead + kv - 1) // kv + 1  # work items between their first softmax and their last product
    dc = slice_of(depth)
    parts = depth // dc
    dv = min(D, 128)
    v_parts = D // dv
    rows = bm // 2  # of a tile per vector core
    o_rows = min(rows, 4096 // D)  # of the output per pass
    o_parts = rows // o_rows
    f_rows = min(rows, 4096 // D)  # of the finished output per store
    f_parts = rows // f_rows
    g_rows = 8  # gathered per store
    g_parts = bn // 2 // g_rows

    @T.prim_func
    def main(
        Q: T.Tensor((B, S, H, depth), 'float16'),
        KV: T.Tensor((B, Skv, G, depth), 'float16'),
        Indices: T.Tensor((B, S, G, topk), 'int32'),
        Output: T.Tensor((B, S, H, D), 'float16'),
        workspace_1: T.Tensor((cores, ring, bm, bn), 'float'),
        workspace_2: T.Tensor((cores, ring, bm, bn), 'float16'),
        workspace_3: T.Tensor((cores, ring, bm, D), 'float'),
        workspace_4: T.Tensor((cores, 2, bn, depth) if through_ub else (1, 1, 1, 16), 'float16'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            # Two buffers rather than one with two slots: a load into a whole L1 buffer zeroes the rows beyond H.
            q_ping = T.alloc_L1((bm, depth), 'float16')
            q_pong = T.alloc_L1((bm, depth), 'float16')
            kv_l1 = T.alloc_L1((kv_slots, bn, depth), 'float16')
            p_l1 = T.alloc_L1((2, bm, bn), 'float16')
            q_l0 = T.alloc_L0A((2, bm, dc), 'float16')
            p_l0 = T.alloc_L0A((bm, bn), 'float16')
            k_l0 = T.alloc_L0B((2, dc, bn), 'float16')
            v_l0 = T.alloc_L0B((2, bn, dv), 'float16')
            s_l0 = T.alloc_L0C((bm, bn), 'float')
            o_l0 = T.alloc_L0C((2, bm, dv), 'float')

            s_ub = T.alloc_ub((rows, bn), 'float')
            b_ub = T.alloc_ub((rows, bn), 'float')
            p_ub = T.alloc_ub((rows, bn), 'float16')
            pv_ub = T.alloc_ub((2, o_rows, D), 'float')
            o_ub = T.alloc_ub((rows, D), 'float')
            r_ub = T.alloc_ub((o_rows, D), 'float')
            f_ub = T.alloc_ub((f_rows, D), 'float16')
            g_ub = T.alloc_ub((2, g_rows, depth), 'float16')
            index_ub = T.alloc_ub((2, bn // 2), 'int32')
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
                    T.set_flag('mte1', 'mte2', 6 + e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('m', 'mte1', 2 + e)
                    T.set_flag('fix', 'm', 1 + e)
                for e in T.serial(kv_slots):
                    T.set_flag('mte1', 'mte2', 2 + e)
                T.set_flag('m', 'mte1', 4)
                T.set_flag('fix', 'm', 0)

                for h in T.serial(steps + 1 + ahead):
                    if T.And(h >= 1, h <= steps):
                        g = h - 1
                        T.wait_flag('mte2', 'mte1', 2 + g % kv_slots)
                        T.wait_flag('fix', 'm', 0)
                        for c in T.serial(parts):
                            u = (g * parts + c) % 2
                            T.wait_flag('m', 'mte1', u)
                            if g // kv % 2 == 0:
                                T.copy(q_ping[:, c * dc:(c + 1) * dc], q_l0[u, :, :])
                            else:
                                T.copy(q_pong[:, c * dc:(c + 1) * dc], q_l0[u, :, :])
                            T.copy(kv_l1[g % kv_slots, :, c * dc:(c + 1) * dc], k_l0[u, :, :], transpose=True)
                            T.set_flag('mte1', 'm', u)
                            T.wait_flag('mte1', 'm', u)
                            T.mma(q_l0[u, :, :], k_l0[u, :, :], s_l0, init=(c == 0))
                            T.set_flag('m', 'mte1', u)
                            if bm < 48:
                                T.pipe_barrier('m')
                        if g % kv == kv - 1:
                            T.set_flag('mte1', 'mte2', g // kv % 2)
                        T.set_flag('m', 'fix', 0)
                        T.wait_flag('m', 'fix', 0)
                        T.copy(s_l0, workspace_1[cid, g % ring, 0, 0])
                        T.set_flag('fix', 'm', 0)
                        T.set_cross_flag('FIX', QK_READY)

                    if h > ahead:
                        f = h - 1 - ahead
                        T.wait_flag('mte1', 'mte2', 6 + f % 2)
                        T.wait_cross_flag(P_READY)
                        T.copy(workspace_2[cid, f % ring, 0, 0], p_l1[f % 2, :, :])
                        T.set_flag('mte2', 'mte1', f % 2)
                        T.wait_flag('mte2', 'mte1', f % 2)
                        T.wait_flag('m', 'mte1', 4)
                        T.copy(p_l1[f % 2, :, :], p_l0)
                        T.set_flag('mte1', 'mte2', 6 + f % 2)
                        for c in T.serial(v_parts):
                            u = (f * v_parts + c) % 2
                            T.wait_flag('m', 'mte1', 2 + u)
                            T.copy(kv_l1[f % kv_slots, :, c * dv:(c + 1) * dv], v_l0[u, :, :])
                            T.set_flag('mte1', 'm', 2 + u)
                            T.wait_flag('mte1', 'm', 2 + u)
                            T.wait_flag('fix', 'm', 1 + u)
                            T.mma(p_l0, v_l0[u, :, :], o_l0[u, :, :], init=True)
                            T.set_flag('m', 'mte1', 2 + u)
                            T.set_flag('m', 'fix', 1 + u)
                            T.wait_flag('m', 'fix', 1 + u)
                            T.copy(o_l0[u, :, :], workspace_3[cid, f % ring, 0, c * dv])
                            T.set_flag('fix', 'm', 1 + u)
                        T.set_flag('m', 'mte1', 4)
                        T.set_flag('mte1', 'mte2', 2 + f % kv_slots)
                        T.set_cross_flag('FIX', PV_READY)

                    if h < steps:
                        item = h // kv * cores + cid
                        token = item // head_blocks // G
                        kv_head = item // head_blocks % G
                        if h % kv == 0:
                            T.wait_flag('mte1', 'mte2', h // kv % 2)
                            if h // kv % 2 == 0:
                                T.copy(Q[token // S, token % S, kv_head * group + item % head_blocks * bm, 0], q_ping)
                            else:
                                T.copy(Q[token // S, token % S, kv_head * group + item % head_blocks * bm, 0], q_pong)
                        T.wait_flag('mte1', 'mte2', 2 + h % kv_slots)
                        if through_ub:
                            T.wait_cross_flag(KV_READY)
                            T.copy(workspace_4[cid, h % 2, 0, 0], kv_l1[h % kv_slots, :, :])
                        else:
                            for i in T.serial(bn):
                                T.copy(KV[token // S, Indices[token // S, token % S, kv_head, h % kv * bn + i], kv_head, 0:depth],
                                       kv_l1[h % kv_slots, i, :])
                        T.set_flag('mte2', 'mte1', 2 + h % kv_slots)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('mte1', 'mte2', 6 + e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('m', 'mte1', 2 + e)
                    T.wait_flag('fix', 'm', 1 + e)
                for e in T.serial(kv_slots):
                    T.wait_flag('mte1', 'mte2', 2 + e)
                T.wait_flag('m', 'mte1', 4)
                T.wait_flag('fix', 'm', 0)

            with T.Scope('V'):
                steps_v = (items - cid + cores - 1) // cores * kv
                # V->MTE2: 0 scores, 1 and 2 products. MTE3->V: 0 probabilities, 1 finished rows. MTE3->MTE2: 2 and 3 gathered rows.
                T.set_flag('v', 'mte2', 0)
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', 1 + e)
                    T.set_flag('mte3', 'v', e)
                    if through_ub:
                        T.set_flag('mte3', 'mte2', 2 + e)
                        T.set_flag('s', 'mte2', e)

                if through_ub:
                    if steps_v > 0:
                        item_0 = cid // head_blocks
                        T.wait_flag('s', 'mte2', 0)
                        T.copy(Indices[item_0 // G // S, item_0 // G % S, item_0 % G, vid * (bn // 2)], index_ub[0, :])
                        T.set_flag('mte2', 's', 0)

                for h in T.serial(steps_v + 2 + ahead):
                    if T.And(h >= 2, h < steps_v + 2):
                        d = h - 2
                        T.wait_flag('v', 'mte2', 0)
                        T.wait_cross_flag(QK_READY)
                        T.copy(workspace_1[cid, d % ring, vid * rows, 0], s_ub)
                        T.set_flag('mte2', 'v', 0)
                        if d % kv == 0:
                            T.tile.fill(top, -1e30)
                            T.tile.fill(total[d // kv % sums, :, :], 0.0)

                        T.wait_flag('mte2', 'v', 0)
                        T.reduce_max(s_ub, tile_top, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.max(new_top, top, tile_top)
                        T.pipe_barrier('v')
                        T.tile.sub(shrink[d % ring, :, :], top, new_top)
                        T.tile.mul(shift, new_top, -scale)
                        T.pipe_barrier('v')
                        T.tile.mul(shrink[d % ring, :, :], shrink[d % ring, :, :], scale)
                        T.tile.broadcast(b_ub, shift)
                        T.tile.add(top, new_top, 0.0)
                        T.pipe_barrier('v')
                        # exp(scale * s - scale * max): the maximum stays unscaled, the scale rides on the subtraction.
                        T.tile.axpy(b_ub, s_ub, scale)
                        T.set_flag('v', 'mte2', 0)
                        T.tile.exp(shrink[d % ring, :, :], shrink[d % ring, :, :])
                        T.pipe_barrier('v')
                        T.tile.exp(b_ub, b_ub)
                        T.tile.mul(total[d // kv % sums, :, :], total[d // kv % sums, :, :], shrink[d % ring, :, :])
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', 0)
                        T.tile.cast(p_ub, b_ub, 'CAST_RINT', rows * bn)
                        T.set_flag('v', 'mte3', 0)
                        T.reduce_sum(b_ub, tile_sum, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.add(total[d // kv % sums, :, :], total[d // kv % sums, :, :], tile_sum)

                    if through_ub:
                        if h < steps_v:
                            item_g = h // kv * cores + cid
                            token_g = item_g // head_blocks // G
                            kv_head_g = item_g // head_blocks % G
                            if h + 1 < steps_v:
                                item_n = (h + 1) // kv * cores + cid
                                token_n = item_n // head_blocks // G
                                T.wait_flag('s', 'mte2', (h + 1) % 2)
                                T.copy(Indices[token_n // S, token_n % S, item_n // head_blocks % G, (h + 1) % kv * bn + vid * (bn // 2)],
                                       index_ub[(h + 1) % 2, :])
                                T.set_flag('mte2', 's', (h + 1) % 2)
                            T.wait_flag('mte2', 's', h % 2)
                            for r in T.serial(g_parts):
                                T.wait_flag('mte3', 'mte2', 2 + r % 2)
                                for i in T.serial(g_rows):
                                    T.copy(KV[token_g // S, index_ub[h % 2, r * g_rows + i], kv_head_g, 0:depth], g_ub[r % 2, i, :])
                                T.set_flag('mte2', 'mte3', r % 2)
                                T.wait_flag('mte2', 'mte3', r % 2)
                                T.copy(g_ub[r % 2, :, :], workspace_4[cid, h % 2, vid * (bn // 2) + r * g_rows, 0])
                                T.set_flag('mte3', 'mte2', 2 + r % 2)
                            T.set_flag('s', 'mte2', h % 2)
                            T.set_cross_flag('MTE3', KV_READY)

                    # The rows gathered meanwhile leave before the probabilities: their stores need not wait for the vector unit.
                    if T.And(h >= 2, h < steps_v + 2):
                        w = h - 2
                        T.wait_flag('v', 'mte3', 0)
                        T.copy(p_ub, workspace_2[cid, w % ring, vid * rows, 0])
                        T.set_flag('mte3', 'v', 0)
                        T.set_cross_flag('MTE3', P_READY)

                    if h >= 2 + ahead:
                        x = h - 2 - ahead
                        T.wait_cross_flag(PV_READY)
                        for r in T.serial(o_parts):
                            y = (x * o_parts + r) % 2
                            T.wait_flag('v', 'mte2', 1 + y)
                            T.copy(workspace_3[cid, x % ring, vid * rows + r * o_rows, 0], pv_ub[y, :, :])
                            T.set_flag('mte2', 'v', 1 + y)
                            T.wait_flag('mte2', 'v', 1 + y)
                            if x % kv == 0:
                                T.copy(pv_ub[y, :, :], o_ub[r * o_rows:(r + 1) * o_rows, :])
                            else:
                                T.tile.broadcast(r_ub, shrink[x % ring, r * o_rows:(r + 1) * o_rows, :])
                                T.pipe_barrier('v')
                                T.tile.mul(o_ub[r * o_rows:(r + 1) * o_rows, :], o_ub[r * o_rows:(r + 1) * o_rows, :], r_ub)
                                T.pipe_barrier('v')
                                T.tile.add(o_ub[r * o_rows:(r + 1) * o_rows, :], o_ub[r * o_rows:(r + 1) * o_rows, :], pv_ub[y, :, :])
                            T.set_flag('v', 'mte2', 1 + y)

                        if x % kv == kv - 1:
                            item_x = x // kv * cores + cid
                            token_x = item_x // head_blocks // G
                            kv_head_x = item_x // head_blocks % G
                            first = item_x % head_blocks * bm + vid * rows  # head of the group in the first row
                            T.pipe_barrier('v')
                            for r in T.serial(o_parts):
                                T.tile.broadcast(r_ub, total[x // kv % sums, r * o_rows:(r + 1) * o_rows, :])
                                T.pipe_barrier('v')
                                T.tile.div(o_ub[r * o_rows:(r + 1) * o_rows, :], o_ub[r * o_rows:(r + 1) * o_rows, :], r_ub)
                                T.pipe_barrier('v')
                            for r in T.serial(f_parts):
                                T.wait_flag('mte3', 'v', 1)
                                T.tile.cast(f_ub, o_ub[r * f_rows:(r + 1) * f_rows, :], 'CAST_RINT', f_rows * D)
                                T.set_flag('v', 'mte3', 1)
                                T.wait_flag('v', 'mte3', 1)
                                # Rows beyond the group are padding: the next group's heads are not ours to write.
                                live = T.min(T.max(group - first - r * f_rows, 0), f_rows)
                                head = kv_head_x * group + first + r * f_rows
                                T.copy(f_ub, Output[token_x // S, token_x % S, head:head + live, 0:D])
                                T.set_flag('mte3', 'v', 1)
                            T.pipe_barrier('v')

                T.wait_flag('v', 'mte2', 0)
                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', 1 + e)
                    T.wait_flag('mte3', 'v', e)
                    if through_ub:
                        T.wait_flag('mte3', 'mte2', 2 + e)
                        T.wait_flag('s', 'mte2', e)

    return main
