import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def sort_row(N):
    @T.prim_func
    def main(X: T.Tensor((2, N), 'float'), Y: T.Tensor((2, 2 * N), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            y = T.alloc_ub((2 * N,), 'float')
            with T.Scope('V'):
                T.copy(X[vid, 0], x)
                T.barrier_all()
                T.tile.sort(y, x, N)
                T.barrier_all()
                T.copy(y, Y[vid, 0])

    return main


x = torch.randn(2, 96).npu()
y = sort_row(96)(x)
values, index = torch.sort(x, dim=-1, descending=True)
torch.testing.assert_close(y[:, 0::2], values)
assert torch.equal(y[:, 1::2].long(), index)
print('sort ok')
