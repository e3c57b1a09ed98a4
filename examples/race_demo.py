"""A wrong kernel, to see what a finding looks like: exp reads the tile without waiting for the load that fills it.

    tiletwin check examples/race_demo.py
"""

import torch

import tiletwin
from tiletwin import language as T


@tiletwin.jit(out_idx=[1])
def exp_rows(M, N):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float32'), Y: T.Tensor((M, N), 'float32')):
        with T.Kernel(M // 2, is_npu=True) as (cid, vid):
            x = T.alloc_ub((1, N), 'float32')
            y = T.alloc_ub((1, N), 'float32')
            row = cid * 2 + vid
            with T.Scope('V'):
                T.copy(X[row, 0], x)
                T.set_flag('mte2', 'v', 0)
                # T.wait_flag('mte2', 'v', 0) belongs here
                T.tile.exp(y, x)
                T.set_flag('v', 'mte3', 0)
                T.wait_flag('v', 'mte3', 0)
                T.copy(y, Y[row, 0])

    return main


x = torch.randn(8, 1024)
print('largest error:', (exp_rows(8, 1024)(x) - x.exp()).abs().max().item())
