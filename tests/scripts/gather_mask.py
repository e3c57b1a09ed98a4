import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def every(N, pattern, step):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), Y: T.Tensor((N // step,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            y = T.alloc_ub((N // step,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.barrier_all()
                    T.tile.gather_mask(y, x, pattern)
                    T.barrier_all()
                    T.copy(y, Y)

    return main


@tilelang.jit(out_idx=[-1])
def pick(N, K):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), I: T.Tensor((K,), 'uint32'), Y: T.Tensor((K,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            i = T.alloc_ub((K,), 'uint32')
            y = T.alloc_ub((K,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.copy(I, i)
                    T.barrier_all()
                    T.tile.gather_mask(y, x, i)
                    T.barrier_all()
                    T.copy(y, Y)

    return main


x = torch.randn(128, device='npu')
torch.testing.assert_close(every(128, 'P0101', 2)(x), x[0::2])
torch.testing.assert_close(every(128, 'P1010', 2)(x), x[1::2])
torch.testing.assert_close(every(128, 'P0100', 4)(x), x[2::4])
index = torch.randint(0, 128, (32,), dtype=torch.int32, device='npu')
torch.testing.assert_close(pick(128, 32)(x, index.view(torch.uint32)), torch.gather(x, 0, index))
print('gather mask ok')
