"""Blocks of 32 sorted by the hardware, then four lists merged into one."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def sort128():
    @T.prim_func
    def main(X: T.Tensor((128,), 'float'), Y: T.Tensor((256,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((128,), 'float')
            idx = T.alloc_ub((128,), 'uint32')
            pairs = T.alloc_ub((256,), 'float')
            out = T.alloc_ub((256,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    for i in T.serial(128):
                        idx[i] = T.cast(i, 'uint32')
                    T.barrier_all()
                    T.tile.sort32(pairs, x, idx)
                    T.barrier_all()
                    T.tile.merge_sort(out, pairs[0:64], pairs[64:128], pairs[128:192], pairs[192:256])
                    T.barrier_all()
                    T.copy(out, Y)

    return main


x = torch.randn(128).npu()
y = sort128()(x)
values, index = torch.sort(x, descending=True)
torch.testing.assert_close(y[0::2], values)
assert torch.equal(y.view(torch.int32)[1::2].long(), index)
print('merge ok')
