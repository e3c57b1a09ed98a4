import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def copy(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float16'), B: T.Tensor((N,), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float16')
            with T.Scope('V'):
                T.copy(A, a)
                T.barrier_all()
                T.copy(a, B)

    return main


kernel = copy(64)
kernel(torch.randn(64).npu())
