"""A first vector kernel: y = exp(x) + 1, one tile per vector core.

Data moves GM -> UB on pipe MTE2, is computed on pipe V and moves UB -> GM on pipe MTE3. The three pipes run on their own:
a flag tells the next pipe when the tile is ready, a pipe barrier separates two vector instructions that share data.

    tiletwin check examples/01_first_vector_kernel.py
"""

import torch

import tiletwin
from tiletwin import language as T

ROWS, WIDTH = 64, 256


@tiletwin.jit(out_idx=[1])
def exp_plus_one(M, N):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float32'), Y: T.Tensor((M, N), 'float32')):
        with T.Kernel(M // (2 * ROWS), is_npu=True) as (cid, vid):
            tile = T.alloc_ub((ROWS, N), 'float32')
            with T.Scope('V'):
                row = (cid * 2 + vid) * ROWS
                T.copy(X[row, 0], tile)
                T.set_flag('mte2', 'v', 0)

                T.wait_flag('mte2', 'v', 0)
                T.tile.exp(tile, tile)
                T.pipe_barrier('v')
                T.tile.add(tile, tile, 1.0)
                T.set_flag('v', 'mte3', 0)

                T.wait_flag('v', 'mte3', 0)
                T.copy(tile, Y[row, 0])

    return main


if __name__ == '__main__':
    x = torch.randn(4 * ROWS, WIDTH)
    y = exp_plus_one(4 * ROWS, WIDTH)(x)
    torch.testing.assert_close(y, x.exp() + 1)
    print('exp(x) + 1 is right')
