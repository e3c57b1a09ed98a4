"""Softmax along a dim that is not the last: a running maximum and sum per column in one pass over the slab, the results in a second.

A slab is all of one index in front of the dim: axis by inner elements, contiguous in GM. Its second pass finds it in L2.
"""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .tiles import SPARE, WIDTH, place, up

LOWEST = -3.4028234663852886e38


def slab_tile(outer: int, axis: int, inner: int, dtype: str, cores: int, ub: int) -> tuple[int, int]:
    """Rows and columns of a tile: whole rows of the slab, split where they are too long or where slabs are fewer than cores."""
    block, each = 32 // WIDTH[dtype], 4 * WIDTH[dtype] + 12 + (0 if dtype == 'float32' else 4)
    left = ub - SPARE - 512
    parts = max(math.ceil(up(inner, block) * 2 * (each + 8) / left), math.ceil(2 * cores / outer))
    cols = min(inner, up(math.ceil(inner / parts), 128 // WIDTH[dtype]))
    most = max(1, (left - 24 * up(cols, block)) // (each * up(cols, block)))
    return math.ceil(axis / math.ceil(axis / most)), cols


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def slab_softmax(outer, axis, inner, dtype, cores, rows, cols):
    """Softmax over the middle of (outer, axis, inner)."""
    wide = dtype == 'float32'
    width, workers = up(cols, 32 // WIDTH[dtype]), 2 * cores
    across, parts = (inner + cols - 1) // cols, (axis + rows - 1) // rows
    rest = axis - (parts - 1) * rows
    items = outer * across
    slot, full, line = rows * width * WIDTH[dtype], rows * width * 4, up(width, 8) * 4
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), (full, 0), *((line, 0), (line, 1)) * 3)

    @T.macro
    def fetch(X, o, k, col, size, s, x, a):
        """a[0:size] := rows of the slab as float32, or nothing but the load where x is float32 already."""
        T.wait_flag('v', 'mte2', s + 1)
        T.copy(X[o, k:k + size, col:col + cols], x[s, 0:size, 0:cols])
        T.set_flag('mte2', 'v', s + 1)
        T.wait_flag('mte2', 'v', s + 1)
        take(a, x, s, size)

    @T.macro
    def take(a, x, s, size):
        if wide:
            T.tile.mul(a[0:size, :], x[s, 0:size, :], 1.0)
        else:
            T.tile.cast(a, x[s, 0:size, :], 'CAST_NONE', size * width)
        T.set_flag('v', 'mte2', s + 1)
        T.pipe_barrier('v')

    @T.macro
    def count(X, o, k, col, size, s, x, a, b, top, total, new, part):
        """The first pass over `size` rows."""
        fetch(X, o, k, col, size, s, x, a)
        T.reduce_max(a[0:size, :], new, dim=0)
        T.pipe_barrier('v')
        T.tile.max(new, new, top)
        T.pipe_barrier('v')
        T.tile.sub(top, top, new)
        T.pipe_barrier('v')
        T.tile.exp(top, top)
        T.pipe_barrier('v')
        T.tile.mul(total, total, top)
        T.pipe_barrier('v')
        T.tile.mul(top, new, 1.0)
        T.tile.broadcast(b[0:size, :], new)
        T.pipe_barrier('v')
        T.tile.sub(a[0:size, :], a[0:size, :], b[0:size, :])
        T.pipe_barrier('v')
        T.tile.exp(a[0:size, :], a[0:size, :])
        T.pipe_barrier('v')
        T.reduce_sum(a[0:size, :], part, dim=0)
        T.pipe_barrier('v')
        T.tile.add(total, total, part)
        T.pipe_barrier('v')

    @T.macro
    def finish(X, Y, o, k, col, size, s, r, x, y, a, b, top, total):
        """The second pass over `size` rows."""
        fetch(X, o, k, col, size, s, x, a)
        T.wait_flag('mte3', 'v', r + 1)
        T.tile.broadcast(b[0:size, :], top)
        T.pipe_barrier('v')
        T.tile.sub(a[0:size, :], a[0:size, :], b[0:size, :])
        T.pipe_barrier('v')
        T.tile.broadcast(b[0:size, :], total)
        T.tile.exp(a[0:size, :], a[0:size, :])
        T.pipe_barrier('v')
        if wide:
            T.tile.mul(y[r, 0:size, :], a[0:size, :], b[0:size, :])
        else:
            T.tile.mul(a[0:size, :], a[0:size, :], b[0:size, :])
            T.pipe_barrier('v')
            T.tile.cast(y[r, 0:size, :], a, 'CAST_RINT', size * width)
        T.set_flag('v', 'mte3', r + 1)
        T.pipe_barrier('v')
        T.wait_flag('v', 'mte3', r + 1)
        T.copy(y[r, 0:size, 0:cols], Y[o, k:k + size, col:col + cols])
        T.set_flag('mte3', 'v', r + 1)

    @T.prim_func
    def main(X: T.Tensor((outer, axis, inner), dtype), Y: T.Tensor((outer, axis, inner), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            b = T.alloc_ub((rows, width), 'float')
            x = T.alloc_ub((2, rows, width), dtype)
            y = T.alloc_ub((2, rows, width), dtype)
            a = T.alloc_ub((rows, width), 'float')
            top = T.alloc_ub((1, width), 'float')
            total = T.alloc_ub((1, width), 'float')
            new = T.alloc_ub((1, width), 'float')
            part = T.alloc_ub((1, width), 'float')
            one = T.alloc_ub((1, width), 'float')
            T.annotate_address({b: at[0], x: at[1], y: at[2], a: at[3], top: at[4], total: at[5], new: at[6], part: at[7], one: at[8]})
            with T.Scope('V'):
                T.tile.fill(one, 1.0)
                if width != cols or inner % cols:
                    T.tile.fill(x, 0.0)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((items - (cid * 2 + vid) + workers - 1) // workers):
                    item = t * workers + cid * 2 + vid
                    o = item // across
                    col = item % across * cols
                    T.tile.fill(top, LOWEST)
                    T.tile.fill(total, 0.0)
                    T.pipe_barrier('v')
                    for n in T.serial(parts - 1):
                        count(X, o, n * rows, col, rows, n % 2, x, a, b, top, total, new, part)
                    count(X, o, (parts - 1) * rows, col, rest, (parts - 1) % 2, x, a, b, top, total, new, part)
                    T.tile.div(total, one, total)
                    T.pipe_barrier('v')
                    for n in T.serial(parts - 1):
                        finish(X, Y, o, n * rows, col, rows, (parts + n) % 2, n % 2, x, y, a, b, top, total)
                    finish(X, Y, o, (parts - 1) * rows, col, rest, (2 * parts - 1) % 2, (parts - 1) % 2, x, y, a, b, top, total)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main
