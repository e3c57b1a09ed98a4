import tilelang
import tilelang.language as T
import torch
import torch.nn.functional as F


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def conv1d(L, D, width, rows):
    @T.prim_func
    def main(X: T.Tensor((L + width - 1, D), 'float'), W: T.Tensor((width, D), 'float'), Y: T.Tensor((L, D), 'float')):
        with T.Kernel(L // (2 * rows), is_npu=True) as (cid, vid):
            x = T.alloc_ub((rows, D), 'float')
            w = T.alloc_ub((1, D), 'float')
            wide = T.alloc_ub((rows, D), 'float')
            acc = T.alloc_ub((rows, D), 'float')
            start = (cid * 2 + vid) * rows
            with T.Scope('V'):
                T.tile.clear(acc)
                for k in T.serial(width):
                    T.copy(X[start + k, 0], x)
                    T.copy(W[k, 0], w)
                    T.tile.broadcast(wide, w)
                    T.tile.mul_add_dst(acc, x, wide)
                T.tile.silu(x, acc)
                T.copy(x, Y[start, 0])

    return main


L, D, width = 32, 64, 4
x, w = torch.randn(L, D).npu(), torch.randn(width, D).npu()
y = conv1d(L, D, width, 8)(F.pad(x, (0, 0, width - 1, 0)), w)
ref = F.silu(F.conv1d(x.T[None], w.T[:, None], padding=width - 1, groups=D)[0, :, :L].T)
torch.testing.assert_close(y, ref, rtol=1e-4, atol=1e-4)
print('causal conv1d ok')
