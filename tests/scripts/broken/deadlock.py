import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def one_sided(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            with T.Scope('V'):
                T.wait_cross_flag(3)
                T.copy(A, a)
                T.barrier_all()
                T.copy(a, B)

    return main


one_sided(128)(torch.randn(128).npu())
