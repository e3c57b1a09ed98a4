import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def twice(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(A, a)
                    T.set_flag('mte2', 'mte3', 0)
                    T.set_flag('mte2', 'mte3', 0)
                    T.wait_flag('mte2', 'mte3', 0)
                    T.copy(a, B)

    return main


twice(64)(torch.randn(64).npu())
