import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def show(N):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), Y: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.barrier_all()
                    T.printf('block %d of core %d, first %f\n', cid, vid, x[0])
                    T.dump_tensor(x, 7, 16, (4, 4))
                    T.dump_tensor(x, 8, 8)
                    T.copy(x, Y)

    return main


x = torch.arange(32, dtype=torch.float32, device='npu')
assert torch.equal(show(32)(x), x)
