import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def reduce(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            with T.Scope('V'):
                T.copy(A, a)
                T.tile.reduce_logsumexp(a, a)
                T.copy(a, B)

    return main


reduce(64)(torch.randn(64).npu())
