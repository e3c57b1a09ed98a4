import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def shifted(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), I: T.Tensor((8,), 'int32'), B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(A, a)
                    T.barrier_all()
                    a[I[0]] = 1.0
                    T.barrier_all()
                    T.copy(a, B)

    return main


shifted(64)(torch.randn(64).npu(), torch.full((8,), 64, dtype=torch.int32).npu())
