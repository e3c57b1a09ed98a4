import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True, 'tl.ascend_memory_planning': True})
def topk(M, N, K):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float'), Y: T.Tensor((M, 2 * K), 'float')):
        with T.Kernel(M // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            y = T.alloc_ub((2 * K,), 'float')
            with T.Scope('V'):
                T.copy(X[cid * 2 + vid, 0], x)
                T.barrier_all()
                T.tile.topk(y, x, K, N)
                T.barrier_all()
                T.copy(y, Y[cid * 2 + vid, 0])

    return main


x = torch.randn(8, 128).npu()
got = topk(8, 128, 8)(x)
values, index = x.topk(8, dim=-1)
torch.testing.assert_close(got[:, 0::2], values)
assert torch.equal(got[:, 1::2].to(torch.int32), index.to(torch.int32))
print('topk ok')
