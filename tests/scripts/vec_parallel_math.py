"""Every scalar function the vectoriser takes, with minima, maxima and casts."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[2, 3], pass_configs={'tl.ascend_auto_sync': True, 'tl.ascend_memory_planning': True})
def mixed(N):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), W: T.Tensor((N,), 'float'), Y: T.Tensor((N,), 'float'), Z: T.Tensor((N,), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N // 2,), 'float')
            w = T.alloc_ub((N // 2,), 'float')
            y = T.alloc_ub((N // 2,), 'float')
            z = T.alloc_ub((N // 2,), 'float16')
            with T.Scope('V'):
                T.copy(X[vid * (N // 2)], x)
                T.copy(W[vid * (N // 2)], w)
                for i in T.Parallel(N // 2):
                    y[i] = T.abs(x[i])
                for i in T.Parallel(N // 2):
                    y[i] = T.sqrt(y[i])
                for i in T.Parallel(N // 2):
                    y[i] = T.max(T.min(y[i], w[i]), x[i])
                for i in T.Parallel(N // 2):
                    w[i] = T.rsqrt(T.abs(w[i]))
                for i in T.Parallel(N // 2):
                    y[i] = y[i] + T.log(w[i])
                T.copy(y, Y[vid * (N // 2)])
                T.barrier_all()
                for i in T.Parallel(N // 2):
                    z[i] = T.cast(y[i], 'float16')
                T.copy(z, Z[vid * (N // 2)])

    return main


x, w = torch.randn(512).npu(), (torch.rand(512) + 0.5).npu()
y, z = mixed(512)(x, w)
ref = torch.maximum(torch.minimum(x.abs().sqrt(), w), x) + torch.log(torch.rsqrt(w.abs()))
torch.testing.assert_close(y, ref, rtol=1e-4, atol=1e-4)
torch.testing.assert_close(z, ref.half(), rtol=1e-3, atol=1e-3)
print('parallel ok')
