"""Pairs (0, 1), (2, 3), ...: swapped by a gather on byte offsets, signs by a mask of -1, +1."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def rope_interleaved(S, D):
    @T.prim_func
    def main(X: T.Tensor((S, D), 'float'), C: T.Tensor((S, D), 'float'), N: T.Tensor((S, D), 'float'), Y: T.Tensor((S, D), 'float')):
        with T.Kernel(S // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((D,), 'float')
            w = T.alloc_ub((D,), 'float')
            c = T.alloc_ub((D,), 'float')
            n = T.alloc_ub((D,), 'float')
            idx = T.alloc_ub((D,), 'int32')
            one = T.alloc_ub((D,), 'int32')
            pos = cid * 2 + vid
            with T.Scope('V'):
                T.copy(X[pos, 0], x)
                T.copy(C[pos, 0], c)
                T.copy(N[pos, 0], n)
                T.tile.createvecindex(idx, 0)
                T.tile.fill(one, 1)
                idx16 = T.view(idx, (2 * D,), 'int16')
                one16 = T.view(one, (2 * D,), 'int16')
                T.tile.bitwise_xor(idx16, idx16, one16)
                T.tile.mul(idx, idx, 4)
                T.tile.gather(w, x, idx, 0)
                T.tile.mul(x, x, c)
                T.tile.mul_add_dst(x, w, n)
                T.copy(x, Y[pos, 0])

    return main


S, D = 8, 64
x = torch.randn(S, D).npu()
angle = torch.rand(S, D // 2).repeat_interleave(2, -1).npu()
sign = torch.tensor([-1.0, 1.0]).repeat(D // 2).npu()
swapped = x.view(S, -1, 2).flip(-1).reshape(S, D)
y = rope_interleaved(S, D)(x, angle.cos(), angle.sin() * sign)
torch.testing.assert_close(y, x * angle.cos() + swapped * angle.sin() * sign, rtol=1e-4, atol=1e-4)
print('rope interleaved ok')
