"""K6: a scalar store behind a vector write of the same tile gets no V -> S flag outside loops."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel():
    @tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((2, 64), 'float32'), Y: T.Tensor((2, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                u = T.alloc_shared((2, 64), 'float32')
                T.tile.fill(u, 0.0)
                u[0, 0] = T.float32(1.0)
                T.copy(u, Y[0, 0])
        return main
    return factory()


def reference(x):
    y = x * 0
    y[0, 0] = 1
    return y


CASE = Case(kernel, None, lambda: (noise(2, 64),), reference, Expect(words('race', 'meaning'), ('WAW on u', 'V', 'S'), numbers=None), Expect())
