"""Row 1: an expert vector kernel leaves out the flag between its load and its computation; the compiler of one target inserts it, the other does not."""

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(flag):
    @tiletwin.jit(out_idx=[1])
    def factory():
        @T.prim_func
        def main(X: T.Tensor((32, 64), 'float32'), Y: T.Tensor((32, 64), 'float32')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                x = T.alloc_ub((16, 64), 'float32')
                y = T.alloc_ub((16, 64), 'float32')
                with T.Scope('V'):
                    T.copy(X[vid * 16, 0], x)
                    if flag:
                        T.set_flag('mte2', 'v', 0)
                        T.wait_flag('mte2', 'v', 0)
                    T.tile.exp(y, x)
                    T.set_flag('v', 'mte3', 0)
                    T.wait_flag('v', 'mte3', 0)
                    T.copy(y, Y[vid * 16, 0])
        return main
    return factory()


_RACE = Expect(words('race'), ('RAW on x', "T.set_flag('mte2', 'v', id)"))
CASE = Case(lambda: kernel(False), lambda: kernel(True), lambda: (noise(32, 64),), lambda x: x.exp(), _RACE, _RACE)
