"""Row 14: a wait behind a loop whose body sets the flag; for a trip count of zero it never returns."""

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(preset):
    @tiletwin.jit(out_idx=[2])
    def factory():
        @T.prim_func
        def main(trips: T.int32, X: T.Tensor((32, 64), 'float32'), Y: T.Tensor((32, 64), 'float32')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                x = T.alloc_ub((16, 64), 'float32')
                with T.Scope('V'):
                    T.copy(X[vid * 16, 0], x)
                    T.barrier_all()
                    if preset:
                        T.set_flag('v', 'mte3', 0)
                    for i in T.serial(trips):
                        if preset:
                            T.wait_flag('v', 'mte3', 0)
                        T.tile.add(x, x, 1.0)
                        T.pipe_barrier('v')
                        T.set_flag('v', 'mte3', 0)
                    T.wait_flag('v', 'mte3', 0)
                    T.copy(x, Y[vid * 16, 0])
        return main
    return factory()


_HANG = Expect(words('deadlock'), ('V->MTE3 0', 'which nothing has set'), numbers=None)
CASE = Case(lambda: kernel(False), lambda: kernel(True), lambda: (0, noise(32, 64)), lambda trips, x: x + trips, _HANG, _HANG)
