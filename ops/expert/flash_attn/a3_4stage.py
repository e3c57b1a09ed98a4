"""Expert flash attention on a3: four stages with lookahead, each arrow a first-in-first-out queue of 8 slots in GM.

    cube    qk(t): Q K^T of a tile of `s1_tile` keys, 128 at a time            pv(t): P V, summed up in L0C over the tile
    vector  p(t):  exp(scale (s - max)) of the tile, `s1_tile / 128` row slices  gu(t): rescaled sum of the products

    prologue  qk(0 .. n-1)                 | p(0 .. n-1)
    steady    pv(t) and qk(t + n) in turn  | gu(t), then p(t + n)
    epilogue  pv of the last n             | gu of the last n

Scores run `qk_preload` = n tiles ahead. p(t) leaves the factor that gu(t) rescales with in slot t of a ring of n: gu(t) takes it
before p(t + n) comes round, so the ring needs no slot more than the lookahead. Queues need no flag for the way back: before a stage
writes slot t + 8 it has waited for a stage of tile t + 8 - n of the other core, which comes after that core's last use of slot t.

One slice of scores takes the same 32 KiB for every `s1_tile`. UB in KiB: scores, exponents and library scratch 32 each, half
probabilities 16, product and output 32 each, row state 256 B x (4 + n): 177.75 for n = 3.
"""

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

S0 = 128  # queries per tile, keys per product, and the head
FIFO = 8  # slots per queue
NEGATIVE = -1e30
QK_READY, P_READY, PV_READY = 0, 1, 2
# Flag ids on the cube core: of the way back from L1 (two slots of each kind) and of the two kinds of product.
Q_FREE, K_FREE, V_FREE = 0, 2, 4
PV, QK = 0, 1


def a3_4stage(Sq, Sk, D, scale=None, s1_tile=256, qk_preload=3, exp_ring=None, row_slice=True, gu_barrier=True, cores=24):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`."""
    scale = 1.0 / math.sqrt(D) if scale is None else float(scale)
    return flash_attn_a3_4stage(Sq, Sk, scale, s1_tile, qk_preload, exp_ring or qk_preload, row_slice, cores, gu_barrier)


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6], pass_configs=EXPERT)
def flash_attn_a3_4stage(Sq, Sk, scale, s1_tile, preload, ring, row_slice=True, cores=24, gu_barrier=True):
    items = Sq // S0
    tiles = Sk // s1_tile
    subs = s1_tile // S0
    rows = S0 // 2  # of a tile per vector core
    slices = subs if row_slice else 1
    part = rows // slices

    @T.macro
    def qk(Q, K, queue, q_l1, k_l1, q_l0, k_l0, s_l0, cid, item, t, sub):
        n = (item * tiles + t) * subs + sub
        if n % (tiles * subs) == 0:
            T.wait_flag('mte1', 'mte2', Q_FREE + item % 2)
            T.copy(Q[(item * cores + cid) * S0, 0], q_l1[item % 2, :, :])
        T.wait_flag('mte1', 'mte2', K_FREE + n % 2)
        T.copy(K[t * s1_tile + sub * S0, 0], k_l1[n % 2, :, :])
        T.set_flag('mte2', 'mte1', n % 2)
        T.wait_flag('mte2', 'mte1', n % 2)
        T.wait_flag('m', 'mte1', QK)
        if n % (tiles * subs) == 0:
            T.copy(q_l1[item % 2, :, :], q_l0)
            T.set_flag('mte1', 'mte2', Q_FREE + item % 2)
        T.copy(k_l1[n % 2, :, :], k_l0, transpose=True)
        T.set_flag('mte1', 'mte2', K_FREE + n % 2)
        T.set_flag('mte1', 'm', QK)
        T.wait_flag('mte1', 'm', QK)
        T.wait_flag('fix', 'm', QK)
        T.mma(q_l0, k_l0, s_l0, init=True)
        T.set_flag('m', 'mte1', QK)
        T.set_flag('m', 'fix', QK)
        T.wait_flag('m', 'fix', QK)
        T.copy(s_l0, queue[cid, (item * tiles + t) % FIFO, 0, sub * S0])
        T.set_flag('fix', 'm', QK)
        if sub == subs - 1:
            T.set_cross_flag('FIX', QK_READY)

    @T.macro
    def pv(V, P, queue, v_l1, p_l1, p_l0, v_l0, o_l0, cid, item, t, sub):
        n = (item * tiles + t) * subs + sub
        T.wait_flag('mte1', 'mte2', V_FREE + n % 2)
        T.copy(V[t * s1_tile + sub * S0, 0], v_l1[n % 2, :, :])
        if sub == 0:
            T.wait_cross_flag(P_READY)
        T.copy(P[cid, (item * tiles + t) % FIFO, 0, sub * S0], p_l1[n % 2, :, :])
        T.set_flag('mte2', 'mte1', 2 + n % 2)
        T.wait_flag('mte2', 'mte1', 2 + n % 2)
        T.wait_flag('m', 'mte1', PV)
        T.copy(p_l1[n % 2, :, :], p_l0)
        T.copy(v_l1[n % 2, :, :], v_l0)
        T.set_flag('mte1', 'mte2', V_FREE + n % 2)
        T.set_flag('mte1', 'm', PV)
        T.wait_flag('mte1', 'm', PV)
        if sub == 0:
            T.wait_flag('fix', 'm', PV)
        T.mma(p_l0, v_l0, o_l0, init=(sub == 0))
        T.set_flag('m', 'mte1', PV)
        if sub == subs - 1:
            T.set_flag('m', 'fix', PV)
            T.wait_flag('m', 'fix', PV)
            T.copy(o_l0, queue[cid, (item * tiles + t) % FIFO, 0, 0])
            T.set_flag('fix', 'm', PV)
            T.set_cross_flag('FIX', PV_READY)

    @T.macro
    def p(S, queue, s_ub, e_ub, p_ub, top, new_top, shift, total, shrink, cid, vid, item, t):
        g = item * tiles + t
        T.wait_cross_flag(QK_READY)
        for c in T.serial(slices):
            T.wait_flag('v', 'mte2', 0)
            T.copy(S[cid, g % FIFO, vid * rows + c * part, 0], s_ub)
            T.set_flag('mte2', 'v', 0)
            T.wait_flag('mte2', 'v', 0)
            T.reduce_max(s_ub, new_top[c * part:(c + 1) * part, :], dim=-1)
            T.pipe_barrier('v')
            T.tile.max(new_top[c * part:(c + 1) * part, :], new_top[c * part:(c + 1) * part, :], top[c * part:(c + 1) * part, :])
            T.pipe_barrier('v')
            T.tile.mul(shift[c * part:(c + 1) * part, :], new_top[c * part:(c + 1) * part, :], -scale)
            T.pipe_barrier('v')
            T.tile.broadcast(e_ub, shift[c * part:(c + 1) * part, :])
            T.pipe_barrier('v')
            # exp(scale * s - scale * max): the maximum stays unscaled, the scale rides on the subtraction.
            T.tile.axpy(e_ub, s_ub, scale)
            T.set_flag('v', 'mte2', 0)
            T.pipe_barrier('v')
            T.tile.exp(e_ub, e_ub)
            T.pipe_barrier('v')
            T.wait_flag('mte3', 'v', 0)
            T.tile.cast(p_ub, e_ub, 'CAST_RINT', part * s1_tile)
            T.set_flag('v', 'mte3', 0)
            T.reduce_sum(e_ub, shift[c * part:(c + 1) * part, :], dim=-1)
            T.wait_flag('v', 'mte3', 0)
            T.copy(p_ub, queue[cid, g % FIFO, vid * rows + c * part, 0])
            T.set_flag('mte3', 'v', 0)
        T.set_cross_flag('MTE3', P_READY)
        # Row state of the whole tile at once.
        T.tile.sub(shrink[g % ring, :, :], top, new_top)
        T.pipe_barrier('v')
        T.tile.mul(shrink[g % ring, :, :], shrink[g % ring, :, :], scale)
        T.copy(new_top, top)
        T.pipe_barrier('v')
        T.tile.exp(shrink[g % ring, :, :], shrink[g % ring, :, :])
        T.pipe_barrier('v')
        T.tile.mul(total, total, shrink[g % ring, :, :])
        T.pipe_barrier('v')
        T.tile.add(total, total, shift)

    @T.macro
    def gu(O, pv_ub, o_ub, spread, shrink, cid, vid, item, t):
        g = item * tiles + t
        T.wait_cross_flag(PV_READY)
        T.wait_flag('v', 'mte2', 1)
        T.copy(O[cid, g % FIFO, vid * rows, 0], pv_ub)
        T.set_flag('mte2', 'v', 1)
        if t == 0:
            T.wait_flag('mte3', 'v', 1)
            T.wait_flag('mte2', 'v', 1)
            T.copy(pv_ub, o_ub)
        else:
            T.tile.brcb_experiment(spread[g % 2, :, :], shrink[g % ring, :, :], rows // 8, 1, 8)
            T.pipe_barrier('v')
            for c in T.serial(2):
                T.tile.row_expand_mul_experiment(o_ub[:, c * 64:(c + 1) * 64], o_ub[:, c * 64:(c + 1) * 64], spread[g % 2, :, :])
            if gu_barrier:
                T.pipe_barrier('v')
            T.wait_flag('mte2', 'v', 1)
            T.tile.add(o_ub, o_ub, pv_ub)
        T.set_flag('v', 'mte2', 1)

    @T.prim_func
    def main(
        Q: T.Tensor((Sq, S0), 'float16'),
        K: T.Tensor((Sk, S0), 'float16'),
        V: T.Tensor((Sk, S0), 'float16'),
        Out: T.Tensor((Sq, S0), 'float'),
        workspace_qk: T.Tensor((cores, FIFO, S0, s1_tile), 'float'),
        workspace_pv: T.Tensor((cores, FIFO, S0, S0), 'float'),
        workspace_p: T.Tensor((cores, FIFO, S0, s1_tile), 'float16'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            q_l1 = T.alloc_L1((2, S0, S0), 'float16')
            k_l1 = T.alloc_L1((2, S0, S0), 'float16')
            v_l1 = T.alloc_L1((2, S0, S0), 'float16')
            p_l1 = T.alloc_L1((2, S0, S0), 'float16')
            q_l0 = T.alloc_L0A((S0, S0), 'float16')
            p_l0 = T.alloc_L0A((S0, S0), 'float16')
            k_l0 = T.alloc_L0B((S0, S0), 'float16')
            v_l0 = T.alloc_L0B((S0, S0), 'float16')
            s_l0 = T.alloc_L0C((S0, S0), 'float')
            o_l0 = T.alloc_L0C((S0, S0), 'float')

            s_ub = T.alloc_ub((part, s1_tile), 'float')
            e_ub = T.alloc_ub((part, s1_tile), 'float')
            p_ub = T.alloc_ub((part, s1_tile), 'float16')
            pv_ub = T.alloc_ub((rows, S0), 'float')
            o_ub = T.alloc_ub((rows, S0), 'float')
            top = T.alloc_ub((rows, 1), 'float')
            new_top = T.alloc_ub((rows, 1), 'float')
            shift = T.alloc_ub((rows, 1), 'float')  # of the exponents, then the sums of their slice
            total = T.alloc_ub((rows, 1), 'float')
            shrink = T.alloc_ub((ring, rows, 1), 'float')
            spread = T.alloc_ub((2, rows, 8), 'float')
            # Between two tiles of probabilities nobody needs the exponents: their place takes the row factors, one block per row. Two slots,
            # so that the factors of a tile need not wait for the last use of those before them.
            T.annotate_address({e_ub: 0, spread: 0})

            with T.Scope('C'):
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', Q_FREE + e)
                    T.set_flag('mte1', 'mte2', K_FREE + e)
                    T.set_flag('mte1', 'mte2', V_FREE + e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('fix', 'm', e)
                for i in T.serial((items - cid + cores - 1) // cores):
                    for t in T.serial(preload):
                        for sub in T.serial(subs):
                            qk(Q, K, workspace_qk, q_l1, k_l1, q_l0, k_l0, s_l0, cid, i, t, sub)
                    for t in T.serial(tiles - preload):
                        for sub in T.serial(subs):
                            pv(V, workspace_p, workspace_pv, v_l1, p_l1, p_l0, v_l0, o_l0, cid, i, t, sub)
                            qk(Q, K, workspace_qk, q_l1, k_l1, q_l0, k_l0, s_l0, cid, i, t + preload, sub)
                    for t in T.serial(preload):
                        for sub in T.serial(subs):
                            pv(V, workspace_p, workspace_pv, v_l1, p_l1, p_l0, v_l0, o_l0, cid, i, tiles - preload + t, sub)
                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', Q_FREE + e)
                    T.wait_flag('mte1', 'mte2', K_FREE + e)
                    T.wait_flag('mte1', 'mte2', V_FREE + e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('fix', 'm', e)

            with T.Scope('V'):
                # Flag 0: scores in, probabilities out. Flag 1: products in, finished rows out.
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', e)
                for i in T.serial((items - cid + cores - 1) // cores):
                    T.tile.fill(top, NEGATIVE)
                    T.tile.fill(total, 0.0)
                    for t in T.serial(preload):
                        p(workspace_qk, workspace_p, s_ub, e_ub, p_ub, top, new_top, shift, total, shrink, cid, vid, i, t)
                    for t in T.serial(tiles - preload):
                        gu(workspace_pv, pv_ub, o_ub, spread, shrink, cid, vid, i, t)
                        p(workspace_qk, workspace_p, s_ub, e_ub, p_ub, top, new_top, shift, total, shrink, cid, vid, i, t + preload)
                    for t in T.serial(preload):
                        gu(workspace_pv, pv_ub, o_ub, spread, shrink, cid, vid, i, tiles - preload + t)
                    T.tile.brcb_experiment(spread[(i + 1) * tiles % 2, :, :], total, rows // 8, 1, 8)
                    T.pipe_barrier('v')
                    for c in T.serial(2):
                        T.tile.row_expand_div_experiment(o_ub[:, c * 64:(c + 1) * 64], o_ub[:, c * 64:(c + 1) * 64],
                                                            spread[(i + 1) * tiles % 2, :, :])
                    T.set_flag('v', 'mte3', 1)
                    T.wait_flag('v', 'mte3', 1)
                    T.copy(o_ub, Out[(i * cores + cid) * S0 + vid * rows, 0])
                    T.set_flag('mte3', 'v', 1)
                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', e)
                    T.wait_flag('mte3', 'v', e)

    return main
