"""A race, and how to read its report.

The kernel of step 1 without the flag from V to MTE3: nothing tells the store that the vector unit is done. Run in order, as Python
would, the numbers are right; on the chip the store may read the tile before it is computed. The simulator decides from the order of
the instructions, not from the numbers:

    tiletwin check examples/03_read_a_race_report.py

The report names both instructions with their lines, the bytes they share, and the flag that is missing.
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

                T.copy(tile, Y[row, 0])  # reads what V may still be writing

    return main


if __name__ == '__main__':
    launches = []
    with tiletwin.observe(launches.append):
        exp_plus_one(4 * ROWS, WIDTH)(torch.randn(4 * ROWS, WIDTH))
    for finding in launches[0].verdict.findings:
        print(f'{finding.severity}[{finding.word}] {finding.message}')
        for side in finding.sides:
            print(f'  {side.role}: {side.op} on pipe {side.pipe} of {side.core}, line {side.span.line}')
        print(f'  why: {finding.why}')
        print(f'  fix: {finding.fix}')
