"""The chip a kernel is compiled for, and what it makes of the time."""
import tilelang
import tilelang.language as T
import torch
from tilelang.utils.target import determine_platform

assert determine_platform('auto') in ('A2', 'A3', 'A5')


def make(platform):
    @tilelang.jit(out_idx=[-1], platform=platform)
    def factory(M, N):
        @T.prim_func
        def main(A: T.Tensor((M, N), 'float'), B: T.Tensor((M, N), 'float')):
            with T.Kernel(M // 16, is_npu=True) as (cid, vid):
                a = T.alloc_ub((8, N), 'float')
                with T.Scope('V'):
                    T.copy(A[cid * 16 + vid * 8, 0], a)
                    T.barrier_all()
                    T.tile.add(a, a, 1.0)
                    T.barrier_all()
                    T.copy(a, B[cid * 16 + vid * 8, 0])

        return main

    return factory(64, 64)


x = torch.randn(64, 64).npu()
for platform in ('A2', 'A3', 'A5'):
    torch.testing.assert_close(make(platform)(x), x + 1)
    print(platform, 'ok')
