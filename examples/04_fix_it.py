"""The race of step 3, repaired, and a second one that only shows when the kernel loops.

`set_flag` / `wait_flag` from V to MTE3 orders the store after the computation (read after write). A loop over tiles adds the other
direction: the next load must not overwrite the tile while it is still being stored (write after read), so MTE3 tells MTE2 when the
tile is free. That flag is set once before the loop, because the tile starts free, and waited for once after it, because a flag left
set would confuse the next kernel.

    tiletwin check examples/04_fix_it.py
"""

import torch

import tiletwin
from tiletwin import language as T

ROWS, WIDTH = 64, 256


@tiletwin.jit(out_idx=[1])
def exp_plus_one(M, N, cores=2):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float32'), Y: T.Tensor((M, N), 'float32')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            tile = T.alloc_ub((ROWS, N), 'float32')
            with T.Scope('V'):
                T.set_flag('mte3', 'mte2', 0)
                for i in T.serial(M // ROWS // (2 * cores)):
                    row = (i * 2 * cores + cid * 2 + vid) * ROWS
                    T.wait_flag('mte3', 'mte2', 0)
                    T.copy(X[row, 0], tile)
                    T.set_flag('mte2', 'v', 0)

                    T.wait_flag('mte2', 'v', 0)
                    T.tile.exp(tile, tile)
                    T.pipe_barrier('v')
                    T.tile.add(tile, tile, 1.0)
                    T.set_flag('v', 'mte3', 0)

                    T.wait_flag('v', 'mte3', 0)
                    T.copy(tile, Y[row, 0])
                    T.set_flag('mte3', 'mte2', 0)
                T.wait_flag('mte3', 'mte2', 0)

    return main


if __name__ == '__main__':
    x = torch.randn(32 * ROWS, WIDTH)
    y = exp_plus_one(32 * ROWS, WIDTH)(x)
    torch.testing.assert_close(y, x.exp() + 1)
    print('exp(x) + 1 is right, and no race is left')
