"""K7: live UB tiles beyond 196 352 bytes crash the planner when nothing has expired; a byte map is what the user needs."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T

from .case import Case, Expect, noise


def kernel(rows):
    @tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(X: T.Tensor((2 * rows, 128), 'float32'), Z: T.Tensor((2 * rows, 128), 'float32'), Y: T.Tensor((2 * rows, 128), 'float32')):
            with T.Kernel(1, threads=2, is_npu=True) as cid:
                a = T.alloc_shared((2 * rows, 128), 'float32')
                b = T.alloc_shared((2 * rows, 128), 'float32')
                c = T.alloc_shared((2 * rows, 128), 'float32')
                T.copy(X[0, 0], a)
                T.copy(Z[0, 0], b)
                T.tile.add(c, a, b)
                T.tile.mul(c, c, a)
                T.tile.mul(c, c, b)
                T.copy(c, Y[0, 0])
        return main
    return factory()


_FULL = Expect(refusal='196352')
CASE = Case(lambda: kernel(160), lambda: kernel(64), lambda: (noise(128, 128), noise(128, 128, seed=1)), lambda x, z: (x + z) * x * z, _FULL, _FULL)
