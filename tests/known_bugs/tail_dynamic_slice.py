"""Row 12: a slice whose start comes from a scalar argument runs past the tensor in a dim that copies do not clip."""

import torch

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(guarded):
    @tiletwin.jit(out_idx=[2])
    def factory():
        @T.prim_func
        def main(n: T.int32, X: T.Tensor((6, 16, 64), 'float32'), Y: T.Tensor((4, 16, 64), 'float32')):
            with T.Kernel(4, is_npu=True) as (cid, vid):
                x = T.alloc_ub((8, 64), 'float32')
                with T.Scope('V'):
                    T.tile.fill(x, 0.0)
                    T.barrier_all()
                    if guarded:
                        if cid + n < 6:
                            T.copy(X[cid + n, vid * 8, 0], x)
                    else:
                        T.copy(X[cid + n, vid * 8, 0], x)
                    T.barrier_all()
                    T.copy(x, Y[cid, vid * 8, 0])
        return main
    return factory()


_OUTSIDE = Expect(words('oob'), ('leaves dim 0 of extent 6',), numbers=False)
CASE = Case(lambda: kernel(False), lambda: kernel(True), lambda: (3, noise(6, 16, 64)),
            lambda n, x: torch.cat([x[n:n + 4], torch.zeros(4, 16, 64)])[:4], _OUTSIDE, _OUTSIDE)
