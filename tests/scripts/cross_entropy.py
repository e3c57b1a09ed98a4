"""The labels stay int32, as they do on the device."""
import tilelang
import tilelang.language as T
import torch
import torch.nn.functional as F

torch.set_default_device('npu')


@tilelang.jit(out_idx=[2], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True, tilelang.PassConfigKey.TL_ASCEND_MEMORY_PLANNING: True})
def cross_entropy(B, V):
    @T.prim_func
    def main(X: T.Tensor((B, V), 'float'), Y: T.Tensor((B,), 'int32'), L: T.Tensor((B, 8), 'float')):
        with T.Kernel(B // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((1, V), 'float')
            m = T.alloc_ub((8,), 'float')
            s = T.alloc_ub((8,), 'float')
            t = T.alloc_ub((8,), 'float')
            row = cid * 2 + vid
            with T.Scope('V'):
                T.tile.fill(t, 0.0)
                T.tile.fill(s, 0.0)
                T.tile.fill(m, 0.0)
                T.copy(X[row, 0], x)
                T.barrier_all()
                label = Y[row]
                t[0] = x[0, label]
                T.barrier_all()
                T.reduce_max(x, m[0:1], dim=-1)
                T.tile.sub(x, x, m[0])
                T.tile.exp(x, x)
                T.reduce_sum(x, s[0:1], dim=-1)
                T.tile.ln(s[0:1], s[0:1])
                T.tile.add(s, s, m)
                T.tile.sub(s, s, t)
                T.barrier_all()
                T.copy(s, L[row, 0])

    return main


B, V = 8, 128
logits = torch.randn(B, V)
target = torch.randint(0, V, (B,), dtype=torch.int32)
loss = cross_entropy(B, V)(logits, target)[:, 0]
torch.testing.assert_close(loss.mean(), F.cross_entropy(logits, target), rtol=1e-4, atol=1e-4)
print('loss', loss.mean().item())
