"""Row 10: the same loop serial and pipelined; a cross-core pipeline whose trip count is no multiple of its stages drops the rest."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(trips, stages):
    @tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(A: T.Tensor((trips * 64, 64), 'float16'), B: T.Tensor((64, 64), 'float16'), Y: T.Tensor((trips * 64, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((64, 64), 'float16')
                b = T.alloc_shared((64, 64), 'float16')
                c = T.alloc_fragment((64, 64), 'float32')
                u = T.alloc_shared((64, 64), 'float32')
                T.copy(B[0, 0], b)
                for i in T.Pipelined(trips, num_stages=stages):
                    T.copy(A[i * 64, 0], a)
                    T.gemm_v0(a, b, c, init=True)
                    T.copy(c, u)
                    T.tile.add(u, u, 1.0)
                    T.copy(u, Y[i * 64, 0])
        return main
    return factory()


CASE = Case(lambda: kernel(3, 2), lambda: kernel(2, 2), lambda: (noise(192, 64, dtype=torch.float16), noise(64, 64, seed=1, dtype=torch.float16)),
            lambda a, b: a.float() @ b.float() + 1, Expect(words('meaning'), ('the last 1 is dropped',), numbers=False), Expect())
