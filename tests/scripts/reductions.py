import tilelang
import tilelang.language as T
import torch

OPS = {'sum': (T.reduce_sum, torch.sum), 'max': (T.reduce_max, torch.amax), 'min': (T.reduce_min, torch.amin)}


def make(kind, dim):
    reduce, _ = OPS[kind]

    @tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
    def factory(M, N):
        out = M if dim == -1 else N

        @T.prim_func
        def main(X: T.Tensor((M, N), 'float'), Y: T.Tensor((out,), 'float')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                x = T.alloc_ub((M, N), 'float')
                y = T.alloc_ub((out,), 'float')
                with T.Scope('V'):
                    if vid == 0:
                        T.copy(X, x)
                        reduce(x, y, dim=dim)
                        T.copy(y, Y)

        return main

    return factory


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def accumulate(M, N):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float'), Y: T.Tensor((M,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((M, 64), 'float')
            y = T.alloc_ub((M,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.tile.fill(y, 0.0)
                    for j in T.serial(N // 64):
                        T.copy(X[0, j * 64], x)
                        T.reduce_sum(x, y, dim=-1, clear=False)
                    T.copy(y, Y)

    return main


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def valid_rows(M, N, rows):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float'), Y: T.Tensor((1, N), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((M, N), 'float')
            y = T.alloc_ub((1, N), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.reduce_max(x, y, dim=0, real_shape=[rows, N])
                    T.copy(y, Y)

    return main


x = torch.randn(16, 128, device='npu')
for kind in OPS:
    for dim in (-1, 0):
        got = make(kind, dim)(16, 128)(x)
        torch.testing.assert_close(got, OPS[kind][1](x, dim=dim), rtol=1e-4, atol=1e-4)
        print(kind, dim, 'ok')
torch.testing.assert_close(accumulate(16, 128)(x), x.sum(-1), rtol=1e-4, atol=1e-4)
torch.testing.assert_close(valid_rows(16, 128, 10)(x), x[:10].amax(0, keepdim=True))
