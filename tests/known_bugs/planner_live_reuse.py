"""Row 8: two tiles that are live at the same time are given overlapping addresses; the second load overwrites what the first still needs."""

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(second):
    @tiletwin.jit(out_idx=[1])
    def factory():
        @T.prim_func
        def main(X: T.Tensor((2, 16, 64), 'float32'), Y: T.Tensor((2, 16, 64), 'float32')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                a = T.alloc_ub((8, 64), 'float32')
                b = T.alloc_ub((8, 64), 'float32')
                T.annotate_address({a: 0, b: second})
                with T.Scope('V'):
                    T.copy(X[0, vid * 8, 0], a)
                    T.copy(X[1, vid * 8, 0], b)
                    T.set_flag('mte2', 'mte3', 0)
                    T.wait_flag('mte2', 'mte3', 0)
                    T.copy(a, Y[0, vid * 8, 0])
                    T.copy(b, Y[1, vid * 8, 0])
        return main
    return factory()


_OVERLAP = Expect(words('race'), ('WAW on b', 'UB bytes [1024, 2048)'), numbers=False)
CASE = Case(lambda: kernel(1024), lambda: kernel(2048), lambda: (noise(2, 16, 64),), lambda x: x, _OVERLAP, _OVERLAP)
