import tilelang
import tilelang.language as T
import torch

torch.set_default_device('npu')


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True, 'tl.ascend_memory_planning': True})
def layer_norm(M, N, bM, eps=1e-5):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float'), W: T.Tensor((1, N), 'float'), B: T.Tensor((1, N), 'float'), Y: T.Tensor((M, N), 'float')):
        with T.Kernel(M // (2 * bM), is_npu=True) as (cid, vid):
            x = T.alloc_ub((bM, N), 'float')
            t = T.alloc_ub((bM, N), 'float')
            mean = T.alloc_ub((bM, 1), 'float')
            var = T.alloc_ub((bM, 1), 'float')
            w = T.alloc_ub((1, N), 'float')
            b = T.alloc_ub((1, N), 'float')
            row = (cid * 2 + vid) * bM
            with T.Scope('V'):
                T.copy(X[row, 0], x)
                T.copy(W, w)
                T.copy(B, b)
                T.reduce_sum(x, mean, dim=-1)
                T.tile.mul(mean, mean, 1.0 / N)
                T.tile.broadcast(t, mean)
                T.tile.sub(x, x, t)
                T.tile.mul(t, x, x)
                T.reduce_sum(t, var, dim=-1)
                T.tile.mul(var, var, 1.0 / N)
                T.tile.add(var, var, eps)
                T.tile.sqrt(var, var)
                T.tile.broadcast(t, var)
                T.tile.div(x, x, t)
                T.tile.broadcast(t, w, axis=0)
                T.tile.mul(x, x, t)
                T.tile.broadcast(t, b, axis=0)
                T.tile.add(x, x, t)
                T.copy(x, Y[row, 0])

    return main


x, w, b = torch.randn(32, 128), torch.randn(1, 128), torch.randn(1, 128)
ref = torch.nn.functional.layer_norm(x, (128,), w[0], b[0])
torch.testing.assert_close(layer_norm(32, 128, 8)(x, w, b), ref, rtol=1e-3, atol=1e-3)
print('layer_norm ok')
