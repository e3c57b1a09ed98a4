"""Step 4 made fast: two slots, so that loading, computing and storing of different tiles overlap.

Every flag gets one id per slot. With one slot the pipes take turns; with two, MTE2 fills one slot while V works on the other.
The script runs both and prints the modelled time of each.

    tiletwin check examples/05_double_buffer.py
"""

import torch

import tiletwin
from tiletwin import language as T

ROWS, WIDTH = 64, 256


@tiletwin.jit(out_idx=[1])
def exp_plus_one(M, N, slots, cores=2):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float32'), Y: T.Tensor((M, N), 'float32')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            tile = T.alloc_ub((slots, ROWS, N), 'float32')
            with T.Scope('V'):
                for s in T.serial(slots):
                    T.set_flag('mte3', 'mte2', s)
                for i in T.serial(M // ROWS // (2 * cores)):
                    row = (i * 2 * cores + cid * 2 + vid) * ROWS
                    slot = i % slots
                    T.wait_flag('mte3', 'mte2', slot)
                    T.copy(X[row, 0], tile[slot, :, :])
                    T.set_flag('mte2', 'v', slot)

                    T.wait_flag('mte2', 'v', slot)
                    T.tile.exp(tile[slot, :, :], tile[slot, :, :])
                    T.pipe_barrier('v')
                    T.tile.add(tile[slot, :, :], tile[slot, :, :], 1.0)
                    T.set_flag('v', 'mte3', slot)

                    T.wait_flag('v', 'mte3', slot)
                    T.copy(tile[slot, :, :], Y[row, 0])
                    T.set_flag('mte3', 'mte2', slot)
                for s in T.serial(slots):
                    T.wait_flag('mte3', 'mte2', s)

    return main


if __name__ == '__main__':
    x = torch.randn(32 * ROWS, WIDTH)
    for slots in (1, 2):
        launches = []
        with tiletwin.observe(launches.append):
            y = exp_plus_one(32 * ROWS, WIDTH, slots)(x)
        torch.testing.assert_close(y, x.exp() + 1)
        print(f'{slots} slot(s): {launches[0].cycles:.0f} cycles modelled')
