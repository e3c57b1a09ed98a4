"""Row 14: `T.sync_all()` in a launch with more blocks than the chip has cores waits for blocks that cannot start."""

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(blocks):
    rows = 96 // blocks

    @tiletwin.jit(out_idx=[1])
    def factory():
        @T.prim_func
        def main(X: T.Tensor((96, 64), 'float32'), Y: T.Tensor((96, 64), 'float32')):
            with T.Kernel(blocks, is_npu=True) as (cid, vid):
                x = T.alloc_ub((rows, 64), 'float32')
                with T.Scope('V'):
                    if vid == 0:
                        T.copy(X[cid * rows, 0], x)
                    T.barrier_all()
                T.sync_all()
                with T.Scope('V'):
                    if vid == 0:
                        T.copy(x, Y[cid * rows, 0])
        return main
    return factory()


_STUCK = Expect(words('deadlock'), ('48 blocks', '24 at a time'), numbers=None)
CASE = Case(lambda: kernel(48), lambda: kernel(24), lambda: (noise(96, 64),), lambda x: x, _STUCK, _STUCK)
