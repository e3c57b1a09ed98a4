"""Kernels whose loops reach a steady state, and what can go wrong after it."""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def ring(trips, slots, late=None, left=False, ragged=False, shared=False, in_place=False, cores=2):
    """Loads into a ring, adds, stores. From iteration `late` on the store no longer waits; `left` leaves the last flags set; `ragged`
    gives later blocks fewer trips; `shared` stores every result to the same rows; `in_place` stores a second time over what it has stored."""
    late = trips if late is None else late

    @T.prim_func
    def main(X: T.Tensor((cores * 2 * trips * 16, 64), 'float16'), Y: T.Tensor((cores * 2 * trips * 16, 64), 'float16')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            u = T.alloc_ub((slots, 16, 64), 'float16')
            w = T.alloc_ub((slots, 16, 64), 'float16')
            with T.Scope('V'):
                for e in T.serial(slots):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', e)
                for i in T.serial(trips - cid * (3 if ragged else 0)):
                    row = ((cid * 2 + vid) * trips + i) * 16
                    T.wait_flag('v', 'mte2', i % slots)
                    T.copy(X[row, 0], u[i % slots, :, :])
                    T.set_flag('mte2', 'v', i % slots)
                    T.wait_flag('mte2', 'v', i % slots)
                    T.wait_flag('mte3', 'v', i % slots)
                    T.tile.add(w[i % slots, :, :], u[i % slots, :, :], 1.0)
                    T.set_flag('v', 'mte2', i % slots)
                    T.set_flag('v', 'mte3', i % slots)
                    if i < late:
                        T.wait_flag('v', 'mte3', i % slots)
                    T.copy(w[i % slots, :, :], Y[(cid * 2 + vid) * trips * 16 if shared else row, 0])
                    if in_place:
                        T.pipe_barrier('mte3')
                        T.copy(w[i % slots, :, :], Y[row, 0])
                    T.set_flag('mte3', 'v', i % slots)
                if not left:
                    for e in T.serial(slots):
                        T.wait_flag('v', 'mte2', e)
                        T.wait_flag('mte3', 'v', e)

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def beyond(trips, late):
    """From iteration `late` on the store takes a slot nobody has written."""

    @T.prim_func
    def main(X: T.Tensor((trips * 16, 64), 'float16'), Y: T.Tensor((trips * 16, 64), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((3, 16, 64), 'float16')
            with T.Scope('V'):
                if vid == 0:
                    for i in T.serial(trips):
                        T.copy(X[i * 16, 0], u[i % 2, :, :])
                        T.barrier_all()
                        if i < late:
                            T.copy(u[i % 2, :, :], Y[i * 16, 0])
                        else:
                            T.copy(u[2, :, :], Y[i * 16, 0])
                        T.barrier_all()

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def meeting(trips):
    """Blocks pass their tile on to the next block, trip by trip."""
    cores = 3

    @T.prim_func
    def main(X: T.Tensor((cores * 16, 64), 'float16'), Y: T.Tensor((cores * 16, 64), 'float16'), W: T.Tensor((2, cores * 16, 64), 'float16')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            u = T.alloc_ub((16, 64), 'float16')
            with T.Scope('C'):
                for i in T.serial(trips):
                    T.sync_all()
            with T.Scope('V'):
                T.copy(X[cid * 16, 0], u)
                for i in T.serial(trips):
                    T.barrier_all()
                    if vid == 0:
                        T.copy(u, W[i % 2, cid * 16, 0])
                    T.barrier_all()
                    T.sync_all()
                    T.copy(W[i % 2, (cid + 1) % cores * 16, 0], u)
                T.barrier_all()
                if vid == 0:
                    T.copy(u, Y[cid * 16, 0])

    return main


@tiletwin.jit(out_idx=[1], workspace_idx=[2], pass_configs=EXPERT)
def one_way(trips, back):
    """The vector cores hand tiles to the cube core through a ring of four; without an answer `back` nothing keeps them from running ahead."""

    @T.prim_func
    def main(X: T.Tensor((trips * 32, 64), 'float16'), Y: T.Tensor((32, 32), 'float'), W: T.Tensor((4, 32, 64), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((16, 64), 'float16')
            a = T.alloc_L1((32, 64), 'float16')
            l = T.alloc_L0A((32, 64), 'float16')
            r = T.alloc_L0B((64, 32), 'float16')
            o = T.alloc_L0C((32, 32), 'float')
            with T.Scope('V'):
                for i in T.serial(trips):
                    T.copy(X[i * 32 + vid * 16, 0], u)
                    T.barrier_all()
                    if back:
                        if i >= 4:
                            T.wait_cross_flag(1)
                    T.copy(u, W[i % 4, vid * 16, 0])
                    T.set_cross_flag('MTE3', 0)
                    T.barrier_all()
            with T.Scope('C'):
                for i in T.serial(trips):
                    T.wait_cross_flag(0)
                    T.copy(W[i % 4, 0, 0], a)
                    if back:
                        if i < trips - 4:
                            T.set_cross_flag('MTE2', 1)
                    T.barrier_all()
                    T.copy(a, l)
                    T.copy(a, r, transpose=True)
                    T.barrier_all()
                    T.mma(l, r, o, init=(i == 0))
                    T.barrier_all()
                T.copy(o, Y)

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def nested(outer, inner):
    @T.prim_func
    def main(X: T.Tensor((outer * inner * 16, 64), 'float16'), Y: T.Tensor((outer * 16, 64), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((2, 16, 64), 'float16')
            s = T.alloc_ub((16, 64), 'float16')
            with T.Scope('V'):
                if vid == 0:
                    for e in T.serial(2):
                        T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', 0)
                    for i in T.serial(outer):
                        T.wait_flag('mte3', 'v', 0)
                        T.tile.fill(s, 0.0)
                        for j in T.serial(inner):
                            T.wait_flag('v', 'mte2', j % 2)
                            T.copy(X[(i * inner + j) * 16, 0], u[j % 2, :, :])
                            T.set_flag('mte2', 'v', j % 2)
                            T.wait_flag('mte2', 'v', j % 2)
                            T.pipe_barrier('v')
                            T.tile.add(s, s, u[j % 2, :, :])
                            T.set_flag('v', 'mte2', j % 2)
                        T.set_flag('v', 'mte3', 0)
                        T.wait_flag('v', 'mte3', 0)
                        T.copy(s, Y[i * 16, 0])
                        T.set_flag('mte3', 'v', 0)
                    for e in T.serial(2):
                        T.wait_flag('v', 'mte2', e)
                    T.wait_flag('mte3', 'v', 0)

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def counting(trips):
    """A while loop with a counter of its own."""

    @T.prim_func
    def main(X: T.Tensor((trips * 16, 64), 'float16'), Y: T.Tensor((trips * 16, 64), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((16, 64), 'float16')
            i = T.alloc_var('int32', init=0)
            with T.Scope('V'):
                while i < trips:
                    T.copy(X[i * 16, 0], u)
                    T.barrier_all()
                    T.tile.add(u, u, 1.0)
                    T.barrier_all()
                    if vid == 0:
                        T.copy(u, Y[i * 16, 0])
                    T.barrier_all()
                    i = i + 1

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def uneven(trips):
    """The second vector core has twice the work per trip."""

    @T.prim_func
    def main(X: T.Tensor((2 * trips * 16, 64), 'float16'), Y: T.Tensor((2 * trips * 16, 64), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((16, 64), 'float16')
            with T.Scope('V'):
                for i in T.serial(trips):
                    T.copy(X[(vid * trips + i) * 16, 0], u)
                    T.barrier_all()
                    for _ in T.serial(1 + vid):
                        T.tile.add(u, u, 1.0)
                        T.pipe_barrier('v')
                    T.barrier_all()
                    T.copy(u, Y[(vid * trips + i) * 16, 0])
                    T.barrier_all()

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def lagging(trips):
    """Small vector operations without a flag between trips: issue and execution advance at nearly the same pace."""

    @T.prim_func
    def main(X: T.Tensor((16, 64), 'float16'), Y: T.Tensor((16, 64), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((16, 64), 'float16')
            w = T.alloc_ub((16, 64), 'float16')
            with T.Scope('V'):
                T.copy(X[0, 0], u)
                T.barrier_all()
                for i in T.serial(trips):
                    T.tile.add(w, u, 1.0)
                    T.pipe_barrier('v')
                    T.tile.mul(w, w, 2.0)
                    T.pipe_barrier('v')
                    T.set_flag('v', 'mte3', i % 4)
                    T.wait_flag('v', 'mte3', i % 4)
                T.barrier_all()
                if vid == 0:
                    T.copy(w, Y[0, 0])

    return main
