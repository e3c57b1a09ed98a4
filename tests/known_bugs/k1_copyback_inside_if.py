"""K1: the copy-back of a cube result is placed before its first reader; that reader stands in an `if`, so without the branch later readers see stale bytes and the flag stays."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(limit):
    @tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(A: T.Tensor((128, 64), 'float16'), B: T.Tensor((64, 64), 'float16'), Y: T.Tensor((128, 64), 'float32')):
            with T.Kernel(2, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((64, 64), 'float16')
                b = T.alloc_shared((64, 64), 'float16')
                c = T.alloc_fragment((64, 64), 'float32')
                u = T.alloc_shared((64, 64), 'float32')
                T.copy(A[cid * 64, 0], a)
                T.copy(B[0, 0], b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, u)
                if cid < limit:
                    T.tile.add(u, u, 1.0)
                T.tile.mul(u, u, 2.0)
                T.copy(u, Y[cid * 64, 0])
        return main
    return factory()


def reference(a, b):
    y = a.float() @ b.float()
    y[:64] += 1
    return y * 2


CASE = Case(lambda: kernel(1), None, lambda: (noise(128, 64, dtype=torch.float16), noise(64, 64, seed=1, dtype=torch.float16)), reference,
            Expect(words('uninit'), ('u that nothing has written',), numbers=False), Expect())
