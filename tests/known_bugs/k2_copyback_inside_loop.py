"""K2: the copy-back lands inside the loop that reads the tile, so every iteration reloads it and in-place updates of earlier ones are lost."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel():
    @tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(A: T.Tensor((64, 64), 'float16'), B: T.Tensor((64, 64), 'float16'), Y: T.Tensor((64, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((64, 64), 'float16')
                b = T.alloc_shared((64, 64), 'float16')
                c = T.alloc_fragment((64, 64), 'float32')
                u = T.alloc_shared((64, 64), 'float32')
                T.copy(A[0, 0], a)
                T.copy(B[0, 0], b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, u)
                for i in T.serial(3):
                    T.tile.add(u, u, 1.0)
                T.copy(u, Y[0, 0])
        return main
    return factory()


CASE = Case(kernel, None, lambda: (noise(64, 64, dtype=torch.float16), noise(64, 64, seed=1, dtype=torch.float16)), lambda a, b: a.float() @ b.float() + 3,
            Expect(words('meaning'), ('u is loaded again in every iteration',), numbers=False), Expect())
