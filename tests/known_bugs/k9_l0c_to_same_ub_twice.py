"""K9: the compiler's maps are keyed by buffer name, so a second copy from L0C into the same UB tile replaces the first and the kernel is rejected."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise


def kernel(one_tile):
    @tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(A: T.Tensor((64, 64), 'float16'), B: T.Tensor((64, 64), 'float16'), Y: T.Tensor((2, 64, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((64, 64), 'float16')
                b = T.alloc_shared((64, 64), 'float16')
                c = T.alloc_fragment((64, 64), 'float32')
                d = T.alloc_fragment((64, 64), 'float32')
                u = T.alloc_shared((64, 64), 'float32')
                v = T.alloc_shared((64, 64), 'float32')
                T.copy(A[0, 0], a)
                T.copy(B[0, 0], b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, u)
                T.tile.add(u, u, 1.0)
                T.copy(u, Y[0, 0, 0])
                T.gemm_v0(b, a, d, init=True)
                if one_tile:
                    T.copy(d, u)
                    T.tile.add(u, u, 2.0)
                    T.copy(u, Y[1, 0, 0])
                else:
                    T.copy(d, v)
                    T.tile.add(v, v, 2.0)
                    T.copy(v, Y[1, 0, 0])
        return main
    return factory()


CASE = Case(lambda: kernel(True), lambda: kernel(False), lambda: (noise(64, 64, dtype=torch.float16), noise(64, 64, seed=1, dtype=torch.float16)),
            lambda a, b: torch.stack([a.float() @ b.float() + 1, b.float() @ a.float() + 2]), Expect(refusal='rejects'), Expect())
