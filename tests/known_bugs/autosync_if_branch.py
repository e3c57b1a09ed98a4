"""Row 2: vector code on one tile inside and after an `if`. The compiler clears its history at the branch; the PIPE_ALL it puts around is what saves the kernel."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise


def kernel():
    @tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((64, 64), 'float32'), Y: T.Tensor((64, 64), 'float32')):
            with T.Kernel(2, threads=2, is_npu=True) as cid:
                x = T.alloc_shared((32, 64), 'float32')
                T.copy(X[cid * 32, 0], x)
                if cid == 0:
                    T.tile.add(x, x, 1.0)
                T.tile.mul(x, x, 2.0)
                T.copy(x, Y[cid * 32, 0])
        return main
    return factory()


def reference(x):
    y = x.clone()
    y[:32] += 1
    return y * 2


CASE = Case(kernel, None, lambda: (noise(64, 64),), reference, Expect(), Expect())
