import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def clip_negative(M, N):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float'), Y: T.Tensor((M, N), 'float')):
        with T.Kernel(M // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((1, N), 'float')
            y = T.alloc_ub((1, N), 'float')
            z = T.alloc_ub((1, N), 'float')
            mask = T.alloc_ub((N // 8,), 'uint8')
            with T.Scope('V'):
                T.copy(X[cid * 2 + vid, 0], x)
                T.tile.compare(mask, x, 0.0, 'GT')
                T.tile.select(y, mask, x, -1.0, 'VSEL_TENSOR_SCALAR_MODE')
                T.tile.fill(z, 2.0)
                T.tile.compare(mask, y, z, 'LT')
                T.tile.select(y, mask, y, z, 'VSEL_TENSOR_TENSOR_MODE')
                T.copy(y, Y[cid * 2 + vid, 0])

    return main


x = torch.randn(4, 128).mul(3).npu()
ref = torch.where(x > 0, x, -torch.ones_like(x)).clamp(max=2.0)
torch.testing.assert_close(clip_negative(4, 128)(x), ref)
print('select ok')
