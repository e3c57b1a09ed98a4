"""Row 7: the last slice of K is narrower than the tile and lands in a ring slot, where the load clears nothing: the product multiplies what lay there."""

import torch

import tiletwin
from tiletwin import language as T

from .case import Case, Expect, noise, words

K = 104


def kernel(slots):
    @tiletwin.jit(out_idx=[2])
    def factory():
        @T.prim_func
        def main(A: T.Tensor((64, K), 'float16'), B: T.Tensor((K, 64), 'float16'), C: T.Tensor((64, 64), 'float32')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                a = T.alloc_L1((2, 64, 64), 'float16')
                b = T.alloc_L1((2, 64, 64), 'float16')
                a0 = T.alloc_L1((64, 64), 'float16')
                b0 = T.alloc_L1((64, 64), 'float16')
                c = T.alloc_L0C((64, 64), 'float32')
                with T.Scope('C'):
                    for k in T.serial(2):
                        if slots:
                            T.copy(A[0, k * 64], a[k, :, :])
                            T.copy(B[k * 64, 0], b[k, :, :])
                            T.barrier_all()
                            T.gemm_v0(a[k, :, :], b[k, :, :], c, init=(k == 0))
                        else:
                            T.copy(A[0, k * 64], a0)
                            T.copy(B[k * 64, 0], b0)
                            T.barrier_all()
                            T.gemm_v0(a0, b0, c, init=(k == 0))
                        T.barrier_all()
                    T.copy(c, C[0, 0])
        return main
    return factory()


_HOLE = Expect(words('uninit'), ('that nothing has written',), numbers=False)
CASE = Case(lambda: kernel(True), lambda: kernel(False), lambda: (noise(64, K, dtype=torch.float16), noise(K, 64, seed=1, dtype=torch.float16)),
            lambda a, b: a.float() @ b.float(), _HOLE, _HOLE)
