import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def gather_blocks(N, blocks):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), O: T.Tensor((blocks,), 'uint32'), Y: T.Tensor((blocks * 8,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            o = T.alloc_ub((blocks,), 'uint32')
            y = T.alloc_ub((blocks * 8,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.copy(O, o)
                    T.barrier_all()
                    T.tile.gatherb(y, x, o, blocks // 8, 1, 8)
                    T.barrier_all()
                    T.copy(y, Y)

    return main


x = torch.randn(256, device='npu')
rows = torch.randperm(32, dtype=torch.int32)[:16].npu()
y = gather_blocks(256, 16)(x, (rows * 32).view(torch.uint32))
torch.testing.assert_close(y.view(16, 8), x.view(32, 8)[rows])
print('gatherb ok')
