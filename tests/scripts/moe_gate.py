"""Softmax over experts and the two best of each token."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def gate(tokens, E, K):
    @T.prim_func
    def main(X: T.Tensor((tokens, E), 'float'), Y: T.Tensor((tokens, 2 * K), 'float')):
        with T.Kernel(tokens // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((E,), 'float')
            m = T.alloc_ub((8,), 'float')
            y = T.alloc_ub((2 * K,), 'float')
            with T.Scope('V'):
                T.copy(X[cid * 2 + vid, 0], x)
                T.barrier_all()
                T.tile.fill(m, 0.0)
                T.barrier_all()
                T.reduce_max(x, m[0:1], dim=-1)
                T.barrier_all()
                T.tile.sub(x, x, m[0])
                T.barrier_all()
                T.tile.exp(x, x)
                T.barrier_all()
                T.reduce_sum(x, m[0:1], dim=-1)
                T.barrier_all()
                T.tile.div(x, x, m[0])
                T.barrier_all()
                T.tile.topk(y, x, K, E)
                T.barrier_all()
                T.copy(y, Y[cid * 2 + vid, 0])

    return main


x = torch.randn(8, 32).npu()
y = gate(8, 32, 4)(x)
values, index = x.softmax(-1).topk(4)
torch.testing.assert_close(y[:, 0::2], values, rtol=1e-4, atol=1e-6)
assert torch.equal(y[:, 1::2].long(), index)
print('gate ok')
