import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def big(N):
    @T.prim_func
    def main(A: T.Tensor((N, 1024), 'float'), B: T.Tensor((N, 1024), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N, 1024), 'float')
            with T.Scope('V'):
                T.copy(A, a)
                T.barrier_all()
                T.copy(a, B)

    return main


big(64)(torch.randn(64, 1024).npu())
