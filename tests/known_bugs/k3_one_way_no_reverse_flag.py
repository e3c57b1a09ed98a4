"""K3: a loop that only sends cube -> vector gets no reverse flag; the next product overwrites the workspace while it may still be read."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(trips):
    @tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(A: T.Tensor((256, 64), 'float16'), B: T.Tensor((64, 64), 'float16'), Y: T.Tensor((256, 64), 'float32')):
            with T.Kernel(4 // trips, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((64, 64), 'float16')
                b = T.alloc_shared((64, 64), 'float16')
                c = T.alloc_fragment((64, 64), 'float32')
                u = T.alloc_shared((64, 64), 'float32')
                T.copy(B[0, 0], b)
                for i in T.serial(trips):
                    T.copy(A[(cid * trips + i) * 64, 0], a)
                    T.gemm_v0(a, b, c, init=True)
                    T.copy(c, u)
                    T.tile.add(u, u, 1.0)
                    T.copy(u, Y[(cid * trips + i) * 64, 0])
        return main
    return factory()


CASE = Case(lambda: kernel(4), lambda: kernel(1), lambda: (noise(256, 64, dtype=torch.float16), noise(64, 64, seed=1, dtype=torch.float16)),
            lambda a, b: a.float() @ b.float() + 1, Expect(words('race'), ('WAR on workspace_1',), numbers=None), Expect())
