"""K8: `threads=2` halves an odd number of rows by floor division: the last row is dropped and the halved element count runs past the tile."""

import torch

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(rows):
    @tiletwin.jit(out_idx=[1], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((rows, 64), 'float32'), Y: T.Tensor((rows, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                x = T.alloc_shared((rows, 64), 'float32')
                T.copy(X[0, 0], x)
                T.tile.exp(x, x)
                T.copy(x, Y[0, 0])
        return main
    return factory()


CASE = Case(lambda: kernel(33), lambda: kernel(34), lambda: (noise(33, 64),), lambda x: torch.exp(x),
            Expect(words('oob', 'uninit', 'meaning'), ('by 128 bytes', 'x has 33 rows'), numbers=None), Expect())
