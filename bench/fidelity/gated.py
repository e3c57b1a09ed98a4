"""CANN-bench rows of swi_glu: silu of the first half of each row times the second half."""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .gated_narrow import swi_glu_narrow
from .registry import Modelled, Skip, models
from .row_steps import take
from .rows import Row
from .tiles import FLOATS, SPARE, WIDTH, attributes, dtypes, place, shapes, up

NARROW = 32  # elements of a half row up to which rows are gathered out of contiguous tiles


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def swi_glu(M, H, dtype, cores, rows, cols):
    """Tiles of `rows` by `cols`; cols is H, or divides it into whole 32-byte blocks, or its last tile is clipped."""
    wide = dtype == 'float32'
    width, workers = up(cols, 32 // WIDTH[dtype]), 2 * cores
    across = (H + cols - 1) // cols
    tiles = (M + rows - 1) // rows * across
    size = rows * width
    slot, full = size * WIDTH[dtype], size * 4
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), (2 * slot, 0), (full, 0), (0 if wide else full, 1))

    @T.prim_func
    def main(X: T.Tensor((M, 2 * H), dtype), Y: T.Tensor((M, H), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            e = T.alloc_ub((rows, width), 'float')
            u = T.alloc_ub((2, rows, width), dtype)
            w = T.alloc_ub((2, rows, width), dtype)
            y = T.alloc_ub((2, rows, width), dtype)
            p = T.alloc_ub((rows, width), 'float')
            T.annotate_address({e: at[0], u: at[1], w: at[2], y: at[3], p: at[4]})
            if not wide:
                q = T.alloc_ub((rows, width), 'float')
                T.annotate_address({q: at[5]})
            with T.Scope('V'):
                if width != cols:
                    T.tile.fill(u, 0.0)
                    T.tile.fill(w, 0.0)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    index = t * workers + cid * 2 + vid
                    row = index // across * rows
                    col = index % across * cols
                    T.wait_flag('v', 'mte2', s + 1)
                    T.copy(X[row:row + rows, col:col + cols], u[s, :, 0:cols])
                    T.copy(X[row:row + rows, H + col:H + col + cols], w[s, :, 0:cols])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    take(p, u[s, :, :], size, wide)
                    if not wide:
                        T.tile.cast(q, w[s, :, :], 'CAST_NONE', size)
                        T.set_flag('v', 'mte2', s + 1)
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
                        T.tile.mul(y[s, :, :], p, w[s, :, :])
                        T.set_flag('v', 'mte2', s + 1)
                    else:
                        T.tile.mul(e, p, q)
                        T.pipe_barrier('v')
                        T.tile.cast(y[s, :, :], e, 'CAST_RINT', size)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :, :], Y[row:row + rows, col:col + width])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


def columns(H: int, most: int, block: int) -> int:
    """Columns per tile: whole rows, else the largest part of a row that divides it into whole blocks, else as equal as blocks allow."""
    if H <= most:
        return H
    parts = math.ceil(H / most)
    even = next((H // n for n in range(parts, 2 * parts) if H % (n * block) == 0), 0)
    return even or up(math.ceil(H / parts), block)


@models('cann_swi_glu')
def swi_glu_row(row: Row) -> Modelled | Skip:
    shape, dtype = shapes(row)[0], dtypes(row)[0]
    if dtype not in FLOATS:
        return Skip(f'the dialect has no {dtype} arithmetic')
    dim = int(attributes(row).get('dim', -1)) % len(shape)
    # In front of the split dim are the rows; what lies behind it stays together with each half.
    M, H = math.prod(shape[:dim]), math.prod(shape[dim:]) // 2
    cores, ub, block = row.chip.cube_cores, row.chip.memories['UB'].bytes, 32 // WIDTH[dtype]
    if H <= NARROW:
        # Sixteen rows of any length start and end on a block of every type.
        each = H * (6 * WIDTH[dtype] + 24)
        rows = min((ub - 2 * SPARE) // (16 * each), math.ceil(M / (2 * cores * 16))) * 16
        return Modelled(lambda: swi_glu_narrow(M, H, dtype, cores, rows), f'contiguous tiles of {rows} rows, halves gathered', 'bound')
    most = (ub - SPARE) // (6 * WIDTH[dtype] + (8 if dtype == 'float32' else 12)) // 64 * 64
    cols = columns(H, most, block)
    across = math.ceil(H / cols)
    rows = max(1, min(most // up(cols, block), math.ceil(M * across / (2 * cores)), 1024))
    return Modelled(lambda: swi_glu(M, H, dtype, cores, rows, cols), f'tiles of {rows} by {cols}, two slots each way', 'bound')
