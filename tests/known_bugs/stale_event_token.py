"""Row 4: expert double buffering leaves one release flag set at the end; the next work item on the core passes its first wait too early."""

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(drained):
    @tiletwin.jit(out_idx=[1])
    def factory():
        @T.prim_func
        def main(X: T.Tensor((128, 64), 'float32'), Y: T.Tensor((128, 64), 'float32')):
            with T.Kernel(2, is_npu=True) as (cid, vid):
                x = T.alloc_ub((2, 16, 64), 'float32')
                with T.Scope('V'):
                    for e in T.serial(2):
                        T.set_flag('mte3', 'mte2', e)
                    for i in T.serial(2):
                        T.wait_flag('mte3', 'mte2', i % 2)
                        T.copy(X[cid * 64 + i * 32 + vid * 16, 0], x[i % 2, :, :])
                        T.set_flag('mte2', 'mte3', i % 2)
                        T.wait_flag('mte2', 'mte3', i % 2)
                        T.copy(x[i % 2, :, :], Y[cid * 64 + i * 32 + vid * 16, 0])
                        T.set_flag('mte3', 'mte2', i % 2)
                    T.wait_flag('mte3', 'mte2', 0)
                    if drained:
                        T.wait_flag('mte3', 'mte2', 1)
        return main
    return factory()


_LEFT = Expect(words('flag'), ('MTE3->MTE2 1', 'still set when the kernel ends'))
CASE = Case(lambda: kernel(False), lambda: kernel(True), lambda: (noise(128, 64),), lambda x: x, _LEFT, _LEFT)
