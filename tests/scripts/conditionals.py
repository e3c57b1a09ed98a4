import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def branches(N):
    @T.prim_func
    def main(X: T.Tensor((N, 64), 'float'), Y: T.Tensor((N, 64), 'float')):
        with T.Kernel(N // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((64,), 'float')
            row = cid * 2 + vid
            src = T.if_then_else(row < N - 1, row + 1, 0)
            far = T.Select(row > 2, row, 2)
            near = T.min(T.floordiv(row, 2), 1)
            with T.Scope('V'):
                T.copy(X[src, 0], x)
                T.barrier_all()
                with T.If(T.And(row > 0, row < 4)):
                    with T.Then():
                        T.tile.mul(x, x, 2.0)
                    with T.Else():
                        T.tile.add(x, x, 1.0)
                T.tile.mul(x, x, T.cast(far, 'float32'))
                T.tile.add(x, x, T.Cast('float32', near))
                T.copy(x, Y[row, 0])

    return main


N = 8
x = torch.randn(N, 64).npu()
y = branches(N)(x)
for row in range(N):
    z = x[(row + 1) % N]
    z = z * 2 if 0 < row < 4 else z + 1
    torch.testing.assert_close(y[row], z * max(row, 2) + min(row // 2, 1))
print('branches ok')
