"""Row 16: event id 8. AscendC passes it on to hardware that has ids 0 to 7."""

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(ident):
    @tiletwin.jit(out_idx=[1])
    def factory():
        @T.prim_func
        def main(X: T.Tensor((32, 64), 'float32'), Y: T.Tensor((32, 64), 'float32')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                x = T.alloc_ub((16, 64), 'float32')
                with T.Scope('V'):
                    T.copy(X[vid * 16, 0], x)
                    T.set_flag('mte2', 'mte3', ident)
                    T.wait_flag('mte2', 'mte3', ident)
                    T.copy(x, Y[vid * 16, 0])
        return main
    return factory()


_RANGE = Expect(words('flag'), ('event id 8 does not exist',))
CASE = Case(lambda: kernel(8), lambda: kernel(7), lambda: (noise(32, 64),), lambda x: x, _RANGE, _RANGE)
