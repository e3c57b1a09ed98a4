"""K5: sync insertion remembers only the last access per buffer: load, read by V, then store of the same tile; the pair load -> store is never looked at."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise, words


def kernel(stored_first):
    @tiletwin.jit(out_idx=[1, 2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((32, 64), 'float32'), Y: T.Tensor((32, 64), 'float32'), Z: T.Tensor((32, 64), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((32, 64), 'float32')
                b = T.alloc_shared((32, 64), 'float32')
                T.copy(X[0, 0], a)
                if stored_first:
                    T.copy(a, Y[0, 0])
                    T.tile.add(b, a, a)
                else:
                    T.tile.add(b, a, a)
                    T.copy(a, Y[0, 0])
                T.copy(b, Z[0, 0])
        return main
    return factory()


CASE = Case(lambda: kernel(False), None, lambda: (noise(32, 64),), lambda x: (x, x + x),
            Expect(words('race'), ('RAW on a', 'MTE3', 'MTE2'), numbers=None), Expect())
