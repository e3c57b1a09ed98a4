"""All cores meet between two stages; every core reads what its neighbour wrote."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[2], workspace_idx=[1])
def rotate(cores, N):
    @T.prim_func
    def main(X: T.Tensor((cores * 2, N), 'float'), W: T.Tensor((cores * 2, N), 'float'), Y: T.Tensor((cores * 2, N), 'float')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            me = cid * 2 + vid
            with T.Scope('V'):
                T.copy(X[me, 0], x)
                T.barrier_all()
                T.tile.add(x, x, 1.0)
                T.barrier_all()
                T.copy(x, W[me, 0])
                T.barrier_all()
            T.sync_all()
            with T.Scope('V'):
                T.copy(W[(me + 1) % (cores * 2), 0], x)
                T.barrier_all()
                T.copy(x, Y[me, 0])

    return main


x = torch.randn(8, 64).npu()
torch.testing.assert_close(rotate(4, 64)(x), (x + 1).roll(-1, 0))
print('sync_all ok')
