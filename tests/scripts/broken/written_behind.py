import tilelang
import tilelang.language as T
import torch


@tilelang.jit(pass_configs={'tl.ascend_auto_sync': True})
def fill(N):
    @T.prim_func
    def main(B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            b = T.alloc_ub((N // 2,), 'float')
            with T.Scope('V'):
                T.tile.fill(b, 1.0)
                T.copy(b, B[vid * (N // 2)])

    return main


fill(128)(torch.zeros(64).npu())
