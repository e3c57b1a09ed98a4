"""K4: with CV combine, stores to an `alloc_var` scalar stay on the cube core; vector code keeps the initial value."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel():
    @tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((192, 64), 'float32'), Y: T.Tensor((192, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                x = T.alloc_shared((64, 64), 'float32')
                s = T.alloc_var('int32', init=0)
                for i in T.serial(3):
                    T.copy(X[s * 64, 0], x)
                    T.tile.add(x, x, 1.0)
                    T.copy(x, Y[i * 64, 0])
                    s = s + 1
        return main
    return factory()


CASE = Case(kernel, None, lambda: (noise(192, 64),), lambda x: x + 1, Expect(words('meaning'), ('s is updated on the cube core only',), numbers=False), Expect())
