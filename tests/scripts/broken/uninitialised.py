import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def accumulate(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            s = T.alloc_ub((N,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(A, a)
                    T.barrier_all()
                    T.tile.add(s, s, a)
                    T.barrier_all()
                    T.copy(s, B)

    return main


accumulate(64)(torch.randn(64).npu())
