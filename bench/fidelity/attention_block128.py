"""Flash attention in tiles of 128 queries and 128 keys: the expert kernel of the TileLang-Ascend rows, and the steps of its tuning ladder.

Work items (a tile of queries of one head) go round the cores; K and V heads may be shared by several heads. Scores, probabilities and
products cross between the cube and the vector cores through three queues of `depth` slots in GM, one cross flag per `every` tiles:

    cube    scores(t)         -> queue | probabilities(t - ahead) from their queue, times V -> queue
    vector  scores -> softmax(t) -> queue | products -> rescaled sum(t - ahead), the last one of an item -> Out

Scores run `ahead` = depth - every tiles before the products. No flag says 'slot free': before a stage comes round to a slot it has
waited for a stage of the other core that comes after the last use of that slot. Q stays in L1 for the whole item.
"""

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

BLOCK = 128  # queries and keys per tile, and the head
ROWS = BLOCK // 2  # of a tile per vector core
QK_READY, P_READY, PV_READY = 0, 1, 2
# Flag ids on the cube core: of the way back from L1 (two slots of each kind) and of the two kinds of product.
Q_FREE, K_FREE, V_FREE = 0, 2, 4
PV, QK = 0, 1

# Slots per queue, tiles per cross flag, and whether axpy takes the place of mul + sub: the published steps, and the published kernel. The
# first step has the three slots that one flag per two tiles cannot do without: scores are one tile ahead.
STEPS = {'resident': (3, 2, False), 'pipelined': (8, 2, False), 'axpy': (8, 2, True), 'best': (14, 2, True)}


def attention_block128(B, H, KV, Sq, Sk, depth=14, every=2, axpy=True, cores=24):
    """The compiled kernel for one shape: `kernel(q, k, v) -> out`; every dimension of a tile is 128."""
    return flash_attention(B, H, KV, Sq, Sk, 1.0 / math.sqrt(BLOCK), depth, every, axpy, cores)


@tiletwin.jit(out_idx=[3], workspace_idx=[4, 5, 6], pass_configs=EXPERT)
def flash_attention(B, H, KV, Sq, Sk, scale, depth, every, axpy, cores):
    blocks = Sq // BLOCK
    items = B * H * blocks
    tiles = Sk // BLOCK
    ahead = min(depth - every, tiles)
    shared = H // KV

    @T.macro
    def qk(Q, K, queue, q_l1, k_l1, q_l0, k_l0, s_l0, cid, i, t):
        item = i * cores + cid
        head = item // blocks
        if t == 0:
            T.wait_flag('mte1', 'mte2', Q_FREE + i % 2)
            T.copy(Q[head // H, head % H, item % blocks * BLOCK, 0], q_l1[i % 2, :, :])
        T.wait_flag('mte1', 'mte2', K_FREE + t % 2)
        T.copy(K[head // H, head % H // shared, t * BLOCK, 0], k_l1[t % 2, :, :])
        T.set_flag('mte2', 'mte1', t % 2)
        T.wait_flag('mte2', 'mte1', t % 2)
        T.wait_flag('m', 'mte1', QK)
        T.copy(q_l1[i % 2, :, :], q_l0)
        if t == tiles - 1:
            T.set_flag('mte1', 'mte2', Q_FREE + i % 2)
        T.copy(k_l1[t % 2, :, :], k_l0, transpose=True)
        T.set_flag('mte1', 'mte2', K_FREE + t % 2)
        T.set_flag('mte1', 'm', QK)
        T.wait_flag('mte1', 'm', QK)
        T.wait_flag('fix', 'm', QK)
        T.mma(q_l0, k_l0, s_l0, init=True)
        T.set_flag('m', 'mte1', QK)
        T.set_flag('m', 'fix', QK)
        T.wait_flag('m', 'fix', QK)
        T.copy(s_l0, queue[cid, t % depth, 0, 0])
        T.set_flag('fix', 'm', QK)
        if t % every == every - 1:
            T.set_cross_flag('FIX', QK_READY)

    @T.macro
    def pv(V, P, queue, v_l1, p_l1, p_l0, v_l0, o_l0, cid, i, t):
        head = (i * cores + cid) // blocks
        T.wait_flag('mte1', 'mte2', V_FREE + t % 2)
        T.copy(V[head // H, head % H // shared, t * BLOCK, 0], v_l1[t % 2, :, :])
        if t % every == 0:
            T.wait_cross_flag(P_READY)
        T.copy(P[cid, t % depth, 0, 0], p_l1[t % 2, :, :])
        T.set_flag('mte2', 'mte1', 2 + t % 2)
        T.wait_flag('mte2', 'mte1', 2 + t % 2)
        T.wait_flag('m', 'mte1', PV)
        T.copy(p_l1[t % 2, :, :], p_l0)
        T.copy(v_l1[t % 2, :, :], v_l0)
        T.set_flag('mte1', 'mte2', V_FREE + t % 2)
        T.set_flag('mte1', 'm', PV)
        T.wait_flag('mte1', 'm', PV)
        T.wait_flag('fix', 'm', PV)
        T.mma(p_l0, v_l0, o_l0, init=True)
        T.set_flag('m', 'mte1', PV)
        T.set_flag('m', 'fix', PV)
        T.wait_flag('m', 'fix', PV)
        T.copy(o_l0, queue[cid, t % depth, 0, 0])
        T.set_flag('fix', 'm', PV)
        if t % every == every - 1:
            T.set_cross_flag('FIX', PV_READY)

    @T.macro
    def softmax(S, queue, s_ub, e_ub, p_ub, top, new_top, tile_top, shift, total, tile_sum, shrink, cid, vid, t):
        if t % every == 0:
            T.wait_cross_flag(QK_READY)
        T.wait_flag('v', 'mte2', 0)
        T.copy(S[cid, t % depth, vid * ROWS, 0], s_ub)
        T.set_flag('mte2', 'v', 0)
        T.wait_flag('mte2', 'v', 0)
        if not axpy:
            T.tile.mul(s_ub, s_ub, scale)
            T.pipe_barrier('v')
        T.reduce_max(s_ub, tile_top, dim=-1)
        T.pipe_barrier('v')
        T.tile.max(new_top, top, tile_top)
        T.pipe_barrier('v')
        T.tile.sub(shrink[t % depth, :, :], top, new_top)
        if axpy:
            # exp(scale * s - scale * max): the maximum stays unscaled, the scale rides on the subtraction.
            T.tile.mul(shift, new_top, -scale)
            T.pipe_barrier('v')
            T.tile.mul(shrink[t % depth, :, :], shrink[t % depth, :, :], scale)
            T.tile.broadcast(e_ub, shift)
        else:
            T.tile.broadcast(e_ub, new_top)
        T.pipe_barrier('v')
        T.tile.add(top, new_top, 0.0)
        if axpy:
            T.tile.axpy(e_ub, s_ub, scale)
        else:
            T.tile.sub(e_ub, s_ub, e_ub)
        T.set_flag('v', 'mte2', 0)
        T.tile.exp(shrink[t % depth, :, :], shrink[t % depth, :, :])
        T.pipe_barrier('v')
        T.tile.exp(e_ub, e_ub)
        T.tile.mul(total, total, shrink[t % depth, :, :])
        T.pipe_barrier('v')
        T.wait_flag('mte3', 'v', 0)
        T.tile.cast(p_ub, e_ub, 'CAST_RINT', ROWS * BLOCK)
        T.set_flag('v', 'mte3', 0)
        T.reduce_sum(e_ub, tile_sum, dim=-1)
        T.pipe_barrier('v')
        T.tile.add(total, total, tile_sum)
        T.wait_flag('v', 'mte3', 0)
        T.copy(p_ub, queue[cid, t % depth, vid * ROWS, 0])
        T.set_flag('mte3', 'v', 0)
        if t % every == every - 1:
            T.set_cross_flag('MTE3', P_READY)

    @T.macro
    def rescale(O, pv_ub, o_ub, r_ub, shrink, cid, vid, t):
        if t % every == 0:
            T.wait_cross_flag(PV_READY)
        T.wait_flag('v', 'mte2', 1)
        T.copy(O[cid, t % depth, vid * ROWS, 0], pv_ub)
        T.set_flag('mte2', 'v', 1)
        if t == 0:
            T.wait_flag('mte2', 'v', 1)
            T.copy(pv_ub, o_ub)
        else:
            T.tile.broadcast(r_ub, shrink[t % depth, :, :])
            T.pipe_barrier('v')
            T.tile.mul(o_ub, o_ub, r_ub)
            T.pipe_barrier('v')
            T.wait_flag('mte2', 'v', 1)
            T.tile.add(o_ub, o_ub, pv_ub)
        T.set_flag('v', 'mte2', 1)
        T.pipe_barrier('v')

    @T.prim_func
    def main(
        Q: T.Tensor((B, H, Sq, BLOCK), 'float16'),
        K: T.Tensor((B, KV, Sk, BLOCK), 'float16'),
        V: T.Tensor((B, KV, Sk, BLOCK), 'float16'),
        Out: T.Tensor((B, H, Sq, BLOCK), 'float16'),
        workspace_qk: T.Tensor((cores, depth, BLOCK, BLOCK), 'float'),
        workspace_p: T.Tensor((cores, depth, BLOCK, BLOCK), 'float16'),
        workspace_pv: T.Tensor((cores, depth, BLOCK, BLOCK), 'float'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            q_l1 = T.alloc_L1((2, BLOCK, BLOCK), 'float16')
            k_l1 = T.alloc_L1((2, BLOCK, BLOCK), 'float16')
            v_l1 = T.alloc_L1((2, BLOCK, BLOCK), 'float16')
            p_l1 = T.alloc_L1((2, BLOCK, BLOCK), 'float16')
            q_l0 = T.alloc_L0A((BLOCK, BLOCK), 'float16')
            p_l0 = T.alloc_L0A((BLOCK, BLOCK), 'float16')
            k_l0 = T.alloc_L0B((BLOCK, BLOCK), 'float16')
            v_l0 = T.alloc_L0B((BLOCK, BLOCK), 'float16')
            s_l0 = T.alloc_L0C((BLOCK, BLOCK), 'float')
            o_l0 = T.alloc_L0C((BLOCK, BLOCK), 'float')

            s_ub = T.alloc_ub((ROWS, BLOCK), 'float')
            e_ub = T.alloc_ub((ROWS, BLOCK), 'float')
            p_ub = T.alloc_ub((ROWS, BLOCK), 'float16')
            pv_ub = T.alloc_ub((ROWS, BLOCK), 'float')
            o_ub = T.alloc_ub((ROWS, BLOCK), 'float')
            r_ub = T.alloc_ub((ROWS, BLOCK), 'float')
            f_ub = T.alloc_ub((ROWS, BLOCK), 'float16')
            top = T.alloc_ub((ROWS, 1), 'float')
            new_top = T.alloc_ub((ROWS, 1), 'float')
            tile_top = T.alloc_ub((ROWS, 1), 'float')
            shift = T.alloc_ub((ROWS, 1), 'float')
            total = T.alloc_ub((ROWS, 1), 'float')
            tile_sum = T.alloc_ub((ROWS, 1), 'float')
            shrink = T.alloc_ub((depth, ROWS, 1), 'float')
            # Row factors are spread over the scores in the softmax and over the output in the rescaling, never at once; the finished
            # output leaves through the place of the probabilities.
            T.annotate_address({e_ub: 0, r_ub: 0, p_ub: ROWS * BLOCK * 4, f_ub: ROWS * BLOCK * 4})

            with T.Scope('C'):
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', Q_FREE + e)
                    T.set_flag('mte1', 'mte2', K_FREE + e)
                    T.set_flag('mte1', 'mte2', V_FREE + e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('fix', 'm', e)
                for i in T.serial((items - cid + cores - 1) // cores):
                    for t in T.serial(ahead):
                        qk(Q, K, workspace_qk, q_l1, k_l1, q_l0, k_l0, s_l0, cid, i, t)
                    for t in T.serial(tiles - ahead):
                        qk(Q, K, workspace_qk, q_l1, k_l1, q_l0, k_l0, s_l0, cid, i, t + ahead)
                        pv(V, workspace_p, workspace_pv, v_l1, p_l1, p_l0, v_l0, o_l0, cid, i, t)
                    for t in T.serial(ahead):
                        pv(V, workspace_p, workspace_pv, v_l1, p_l1, p_l0, v_l0, o_l0, cid, i, tiles - ahead + t)
                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', Q_FREE + e)
                    T.wait_flag('mte1', 'mte2', K_FREE + e)
                    T.wait_flag('mte1', 'mte2', V_FREE + e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('fix', 'm', e)

            with T.Scope('V'):
                # Flag 0: scores in, probabilities and finished rows out. Flag 1: products in.
                T.set_flag('v', 'mte2', 0)
                T.set_flag('v', 'mte2', 1)
                T.set_flag('mte3', 'v', 0)
                for i in T.serial((items - cid + cores - 1) // cores):
                    T.tile.fill(top, -1e30)
                    T.tile.fill(total, 0.0)
                    T.pipe_barrier('v')
                    for t in T.serial(ahead):
                        softmax(workspace_qk, workspace_p, s_ub, e_ub, p_ub, top, new_top, tile_top, shift, total, tile_sum, shrink, cid, vid, t)
                    for t in T.serial(tiles - ahead):
                        softmax(workspace_qk, workspace_p, s_ub, e_ub, p_ub, top, new_top, tile_top, shift, total, tile_sum, shrink,
                                cid, vid, t + ahead)
                        rescale(workspace_pv, pv_ub, o_ub, r_ub, shrink, cid, vid, t)
                    for t in T.serial(ahead):
                        rescale(workspace_pv, pv_ub, o_ub, r_ub, shrink, cid, vid, tiles - ahead + t)
                    T.tile.broadcast(r_ub, total)
                    T.pipe_barrier('v')
                    T.tile.div(o_ub, o_ub, r_ub)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', 0)
                    T.tile.cast(f_ub, o_ub, 'CAST_RINT', ROWS * BLOCK)
                    T.set_flag('v', 'mte3', 0)
                    T.wait_flag('v', 'mte3', 0)
                    T.copy(f_ub, Out[(i * cores + cid) // blocks // H, (i * cores + cid) // blocks % H,
                                     (i * cores + cid) % blocks * BLOCK + vid * ROWS, 0])
                    T.set_flag('mte3', 'v', 0)
                T.wait_flag('v', 'mte2', 0)
                T.wait_flag('v', 'mte2', 1)
                T.wait_flag('mte3', 'v', 0)

    return main
