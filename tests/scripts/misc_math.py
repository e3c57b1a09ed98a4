import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[2, 3, 4, 5], pass_configs={'tl.ascend_auto_sync': True})
def misc(N):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), E: T.Tensor((N,), 'float'), P: T.Tensor((N,), 'float'), R: T.Tensor((N,), 'float'),
             C: T.Tensor((N,), 'float'), I: T.Tensor((N,), 'int32')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            e = T.alloc_ub((N,), 'float')
            p = T.alloc_ub((N,), 'float')
            r = T.alloc_ub((N,), 'float')
            c = T.alloc_ub((N,), 'float')
            i = T.alloc_ub((N,), 'int32')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.copy(E, e)
                    T.barrier_all()
                    T.tile.pow(p, x, e)
                    T.barrier_all()
                    T.tile.round(r, x, N)
                    T.barrier_all()
                    T.tile.clamp(c, x, 0.5, 2.0, N)
                    T.tile.arith_progression(i, 3, 2, N)
                    T.barrier_all()
                    T.tile.min(c, c, 1.75)
                    T.barrier_all()
                    T.copy(p, P)
                    T.copy(r, R)
                    T.copy(c, C)
                    T.copy(i, I)

    return main


x, e = torch.rand(128).mul(3).add(0.1).npu(), torch.rand(128).npu()
p, r, c, i = misc(128)(x, e)
torch.testing.assert_close(p, x ** e, rtol=1e-3, atol=1e-3)
torch.testing.assert_close(r, torch.floor(x + 0.5))
torch.testing.assert_close(c, x.clamp(0.5, 1.75))
assert torch.equal(i, torch.arange(128, dtype=torch.int32) * 2 + 3)
print('misc ok')
