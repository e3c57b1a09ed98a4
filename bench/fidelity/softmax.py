"""CANN-bench rows of softmax along the last dim: whole rows in UB, or one long row at a time; float32 inside."""

from __future__ import annotations

import math

import tiletwin
from ops.expert.softmax import softmax_online
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .row_steps import keep, load, load_way, mask_columns, take
from .rows import Row
from .softmax_inner import slab_softmax, slab_tile
from .tiles import FLOATS, WIDTH, attributes, dtypes, long_chunk, place, rows_per_tile, shapes, up

LOWEST = -3.4028234663852886e38
# The bits of minus infinity as a signed integer.
MINUS_INFINITY = {'float16': -1024, 'bfloat16': -128, 'float32': -8388608}


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def softmax_rows(M, N, dtype, cores, rows):
    """`rows` whole rows per tile. Columns behind N become minus infinity and so weigh nothing."""
    wide = dtype == 'float32'
    width, workers = up(N, 32 // WIDTH[dtype]), 2 * cores
    way = load_way(N, WIDTH[dtype], width, rows)
    ragged = N != width
    tiles = (M + rows - 1) // rows
    size = rows * width
    slot, full, bits = size * WIDTH[dtype], size * 4, 'int32' if wide else 'int16'
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), (0 if wide else full, 0), (up(rows, 8) * 4, 0), *((slot if ragged else 0, 1),) * 2)

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            b = T.alloc_ub((rows, width), 'float')
            x = T.alloc_ub((2, rows, width), dtype)
            y = T.alloc_ub((2, rows, width), dtype)
            stat = T.alloc_ub((rows, 1), 'float')
            T.annotate_address({b: at[0], x: at[1], y: at[2], stat: at[4]})
            if not wide:
                a = T.alloc_ub((rows, width), 'float')
                T.annotate_address({a: at[3]})
            if ragged:
                mask = T.alloc_ub((rows, width), bits)
                low = T.alloc_ub((rows, width), bits)
                T.annotate_address({mask: at[5], low: at[6]})
                lanes = width * 2 if wide else width
                x_bits, under, over = T.view(x, (2, rows, lanes), 'int16'), T.view(mask, (rows, lanes), 'int16'), T.view(low, (rows, lanes), 'int16')
            with T.Scope('V'):
                if ragged:
                    T.tile.fill(x, 0.0)
                    mask_columns(mask, b, N, width, wide)
                    T.tile.add(low, mask, 1)
                    T.pipe_barrier('v')
                    T.tile.mul(low, low, MINUS_INFINITY[dtype])
                    T.pipe_barrier('v')
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    row = (t * workers + cid * 2 + vid) * rows
                    T.wait_flag('v', 'mte2', s + 1)
                    load(X, row, x, s, N, way)
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if ragged:
                        keep(x_bits[s, :, :], under)
                        T.tile.bitwise_or(x_bits[s, :, :], x_bits[s, :, :], over)
                        T.pipe_barrier('v')
                    if wide:
                        T.wait_flag('mte3', 'v', s + 1)
                        normalise(y[s, :, :], x[s, :, :], b, stat)
                        T.set_flag('v', 'mte2', s + 1)
                    else:
                        T.tile.cast(a, x[s, :, :], 'CAST_NONE', size)
                        T.set_flag('v', 'mte2', s + 1)
                        T.wait_flag('mte3', 'v', s + 1)
                        T.pipe_barrier('v')
                        normalise(a, a, b, stat)
                        T.pipe_barrier('v')
                        T.tile.cast(y[s, :, :], a, 'CAST_RINT', size)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :, :], Y[row, 0])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@T.macro
def normalise(y, x, b, stat):
    """y := softmax of the rows of x"""
    T.reduce_max(x, stat, dim=-1)
    T.pipe_barrier('v')
    T.tile.broadcast(b, stat)
    T.pipe_barrier('v')
    T.tile.sub(y, x, b)
    T.pipe_barrier('v')
    T.tile.exp(y, y)
    T.pipe_barrier('v')
    T.reduce_sum(y, stat, dim=-1)
    T.pipe_barrier('v')
    T.tile.broadcast(b, stat)
    T.pipe_barrier('v')
    T.tile.div(y, y, b)


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def softmax_long(M, N, dtype, cores, chunk):
    """One row at a time: it stays in UB as float32 while its chunks go through."""
    wide = dtype == 'float32'
    workers = 2 * cores
    parts = (N + chunk - 1) // chunk
    rest = N - (parts - 1) * chunk
    slot, full = chunk * WIDTH[dtype], chunk * 4
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), (parts * full, 0), (full, 1), (32, 0))

    @T.macro
    def gather_in(X, row, c, size, s, x, a, acc):
        T.wait_flag('v', 'mte2', s + 1)
        T.copy(X[row, c * chunk:c * chunk + size], x[s, 0:size])
        T.set_flag('mte2', 'v', s + 1)

        T.wait_flag('mte2', 'v', s + 1)
        take(a[c, 0:size], x[s, 0:size], size, wide)
        T.set_flag('v', 'mte2', s + 1)
        T.pipe_barrier('v')
        T.tile.max(acc[0:size], acc[0:size], a[c, 0:size])
        T.pipe_barrier('v')

    @T.macro
    def raise_up(c, size, a, b, acc):
        T.tile.sub(a[c, 0:size], a[c, 0:size], b[0:size])
        T.pipe_barrier('v')
        T.tile.exp(a[c, 0:size], a[c, 0:size])
        T.pipe_barrier('v')
        T.tile.add(acc[0:size], acc[0:size], a[c, 0:size])
        T.pipe_barrier('v')

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            acc = T.alloc_ub((chunk,), 'float')
            x = T.alloc_ub((2, chunk), dtype)
            y = T.alloc_ub((2, chunk), dtype)
            a = T.alloc_ub((parts, chunk), 'float')
            b = T.alloc_ub((chunk,), 'float')
            stat = T.alloc_ub((1,), 'float')
            T.annotate_address({acc: at[0], x: at[1], y: at[2], a: at[3], b: at[4], stat: at[5]})
            with T.Scope('V'):
                T.tile.fill(a, 0.0)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((M - (cid * 2 + vid) + workers - 1) // workers):
                    row = t * workers + cid * 2 + vid
                    T.pipe_barrier('v')
                    T.tile.fill(acc, LOWEST)
                    T.pipe_barrier('v')
                    for c in T.serial(parts - 1):
                        gather_in(X, row, c, chunk, (t * parts + c) % 2, x, a, acc)
                    gather_in(X, row, parts - 1, rest, (t * parts + parts - 1) % 2, x, a, acc)
                    T.reduce_max(acc, stat, dim=-1)
                    T.pipe_barrier('v')
                    T.tile.broadcast(b, stat)
                    T.tile.fill(acc, 0.0)
                    T.pipe_barrier('v')
                    for c in T.serial(parts - 1):
                        raise_up(c, chunk, a, b, acc)
                    raise_up(parts - 1, rest, a, b, acc)
                    T.reduce_sum(acc, stat, dim=-1)
                    T.pipe_barrier('v')
                    T.tile.broadcast(b, stat)
                    for c in T.serial(parts):
                        s = (t * parts + c) % 2
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', s + 1)
                        if wide:
                            T.tile.div(y[s, :], a[c, :], b)
                        else:
                            T.tile.div(a[c, :], a[c, :], b)
                            T.pipe_barrier('v')
                            T.tile.cast(y[s, :], a[c, :], 'CAST_RINT', chunk)
                        T.set_flag('v', 'mte3', s + 1)

                        T.wait_flag('v', 'mte3', s + 1)
                        T.copy(y[s, :], Y[row, c * chunk:c * chunk + chunk])
                        T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@models('cann_softmax')
def softmax_row(row: Row) -> Modelled | Skip:
    shape, dtype = shapes(row)[0], dtypes(row)[0]
    if dtype not in FLOATS:
        return Skip(f'the dialect has no {dtype} arithmetic')
    cores, ub = row.chip.cube_cores, row.chip.memories['UB'].bytes
    dim = int(attributes(row).get('dim', -1)) % len(shape)
    outer, axis, inner = math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1:])
    if inner > 1:
        rows, cols = slab_tile(outer, axis, inner, dtype, cores, ub)
        return Modelled(lambda: slab_softmax(outer, axis, inner, dtype, cores, rows, cols),
                        f'two passes over tiles of {rows} by {cols} along dim {dim}', 'bound')
    each = 2 * WIDTH[dtype] if axis * WIDTH[dtype] % 32 else 0
    rows = rows_per_tile(outer, up(axis, 16) * ((24 if dtype == 'float32' else 20) + each) + 64, ub, 2 * cores)
    if rows:
        return Modelled(lambda: softmax_rows(outer, axis, dtype, cores, rows), f'{rows} whole rows per tile, two slots each way', 'bound')
    chunk = long_chunk(axis, 4, 4 * WIDTH[dtype] + 12, ub)
    if chunk:
        return Modelled(lambda: softmax_long(outer, axis, dtype, cores, chunk), f'one row at a time in chunks of {chunk}', 'bound')
    return Modelled(lambda: softmax_online(outer, axis, dtype, cores=cores), 'two passes over tiles of 4 rows by 1280', 'bound')
