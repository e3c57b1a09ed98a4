"""Reductions per repeat and per block, as older kernels write them."""
import warnings

import tilelang
import tilelang.language as T
import torch

warnings.simplefilter('ignore', DeprecationWarning)


@tilelang.jit(out_idx=[1, 2, 3])
def whole(R):
    @T.prim_func
    def main(X: T.Tensor((R, 64), 'float'), Max: T.Tensor((8,), 'float'), Min: T.Tensor((8,), 'float'), Sum: T.Tensor((8,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((R, 64), 'float')
            a = T.alloc_ub((8,), 'float')
            b = T.alloc_ub((8,), 'float')
            c = T.alloc_ub((8,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.tile.fill(a, 0.0)
                    T.tile.fill(b, 0.0)
                    T.tile.fill(c, 0.0)
                    T.barrier_all()
                    T.tile.wholereducemax(a, x, 64, R, 1, 1, 8, 'ORDER_ONLY_VALUE')
                    T.tile.wholereducemin(b, x, 64, R, 1, 1, 8, 'ORDER_ONLY_VALUE')
                    T.tile.wholereducesum(c, x, 64, R, 1, 1, 8)
                    T.barrier_all()
                    T.copy(a, Max)
                    T.copy(b, Min)
                    T.copy(c, Sum)

    return main


@tilelang.jit(out_idx=[1, 2, 3])
def blocks(R):
    @T.prim_func
    def main(X: T.Tensor((R * 64,), 'float'), Max: T.Tensor((R * 8,), 'float'), Min: T.Tensor((R * 8,), 'float'), Sum: T.Tensor((R * 8,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((R * 64,), 'float')
            a = T.alloc_ub((R * 8,), 'float')
            b = T.alloc_ub((R * 8,), 'float')
            c = T.alloc_ub((R * 8,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.barrier_all()
                    T.tile.block_reduce_max(a, x, R, 64, 1, 1, 8)
                    T.tile.block_reduce_min(b, x, R, 64, 1, 1, 8)
                    T.tile.block_reduce_sum(c, x, R, 64, 1, 1, 8)
                    T.barrier_all()
                    T.copy(a, Max)
                    T.copy(b, Min)
                    T.copy(c, Sum)

    return main


x = torch.randn(8, 64, device='npu')
for got, want in zip(whole(8)(x), (x.amax(1), x.amin(1), x.sum(1))):
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
y = x.view(-1, 8)
for got, want in zip(blocks(8)(x.view(-1)), (y.amax(1), y.amin(1), y.sum(1))):
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
print('raw reduce ok')
