"""swi_glu of rows shorter than a few blocks: contiguous tiles come in whole, the two halves are gathered out of them.

A transfer per row would move a 32-byte block, and open a burst, for a handful of elements.
"""

from __future__ import annotations

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .row_steps import take
from .tiles import WIDTH, place


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def swi_glu_narrow(M, H, dtype, cores, rows):
    """Tiles of `rows` rows of 2 H elements."""
    wide = dtype == 'float32'
    workers, size = 2 * cores, rows * H
    tiles = (M + rows - 1) // rows
    slot = size * WIDTH[dtype]
    at = place((4 * slot, 0), (2 * slot, 0), (8 * size, 0), *((4 * size, 1), (4 * size, 0)) * 2)

    @T.prim_func
    def main(X: T.Tensor((M * 2 * H,), dtype), Y: T.Tensor((M * H,), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, 2 * size), dtype)
            y = T.alloc_ub((2, size), dtype)
            a = T.alloc_ub((2 * size,), 'float')
            p = T.alloc_ub((size,), 'float')
            q = T.alloc_ub((size,), 'float')
            e = T.alloc_ub((size,), 'float')
            at_first = T.alloc_ub((size,), 'int32')
            T.annotate_address({x: at[0], y: at[1], a: at[2], p: at[3], q: at[4], e: at[5], at_first: at[6]})
            offsets = T.view(at_first, (size,), 'uint32')
            with T.Scope('V'):
                # Element i of the result comes from i + H * (i // H), four bytes each.
                T.tile.arith_progression(e, 0.0, 1.0, size)
                T.pipe_barrier('v')
                T.tile.add(p, e, 0.5)
                T.pipe_barrier('v')
                T.tile.mul(p, p, 1.0 / H)
                T.pipe_barrier('v')
                T.tile.cast(p, p, 'CAST_FLOOR', size)
                T.pipe_barrier('v')
                T.tile.mul(p, p, 4.0 * H)
                T.tile.mul(e, e, 4.0)
                T.pipe_barrier('v')
                T.tile.add(q, e, p)
                T.pipe_barrier('v')
                T.tile.cast(at_first, q, 'CAST_RINT', size)
                T.pipe_barrier('v')
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    first = (t * workers + cid * 2 + vid) * size
                    T.wait_flag('v', 'mte2', s + 1)
                    T.copy(X[2 * first:2 * first + 2 * size], x[s, :])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    take(a, x[s, :], 2 * size, wide)
                    T.set_flag('v', 'mte2', s + 1)
                    T.pipe_barrier('v')
                    T.tile.gather(p, a, offsets, 0)
                    T.tile.gather(q, a, offsets, 4 * H)
                    T.wait_flag('mte3', 'v', s + 1)
                    T.pipe_barrier('v')
                    T.tile.mul(e, p, -1.0)
                    T.pipe_barrier('v')
                    T.tile.exp(e, e)
                    T.pipe_barrier('v')
                    T.tile.add(e, e, 1.0)
                    T.pipe_barrier('v')
                    T.tile.div(p, p, e)
                    T.pipe_barrier('v')
                    if wide:
                        T.tile.mul(y[s, :], p, q)
                    else:
                        T.tile.mul(e, p, q)
                        T.pipe_barrier('v')
                        T.tile.cast(y[s, :], e, 'CAST_RINT', size)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :], Y[first:first + size])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main
