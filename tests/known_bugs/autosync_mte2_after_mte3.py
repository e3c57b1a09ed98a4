"""Row 3: a loop loads a tile, computes on it in place, stores it and loads the next: the compiler orders load and store, and through them everything else."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise


def kernel():
    @tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((128, 64), 'float32'), Y: T.Tensor((128, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                x = T.alloc_shared((32, 64), 'float32')
                for i in T.serial(4):
                    T.copy(X[i * 32, 0], x)
                    T.tile.exp(x, x)
                    T.copy(x, Y[i * 32, 0])
        return main
    return factory()


CASE = Case(kernel, None, lambda: (noise(128, 64),), lambda x: x.exp(), Expect(), Expect())
