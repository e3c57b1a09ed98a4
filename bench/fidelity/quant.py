"""CANN-bench rows of dynamic_quant: whole rows in UB, one scale per row, int8 results."""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .row_steps import LEVELS, keep, level, load, load_way, mask_columns, take, to_int8
from .rows import Row
from .tiles import FLOATS, WIDTH, dtypes, long_chunk, place, rows_per_tile, shapes, up


@tiletwin.jit(out_idx=[1, 2], pass_configs=EXPERT)
def dynamic_quant(M, N, dtype, cores, rows):
    """scale = max |x| / 127 per row, y = x * (127 / max |x|) to the nearest integer; `rows` whole rows per tile."""
    wide = dtype == 'float32'
    width, workers = up(N, 32), 2 * cores
    way = load_way(N, WIDTH[dtype], width, rows)
    ragged = N != width and way != 'pad'
    tiles = (M + rows - 1) // rows
    size, lanes = rows * width, up(rows, 8)
    slot, full = size * WIDTH[dtype], size * 4
    at = place((2 * slot, 0), (full, 0), (full, 1), (size * 2, 0), (2 * size, 0), (lanes * 4, 0), (lanes * 4, 0), (2 * lanes * 4, 0),
               (slot if ragged else 0, 1))

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), 'int8'), S: T.Tensor((M,), 'float')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, rows, width), dtype)
            a = T.alloc_ub((rows, width), 'float')
            b = T.alloc_ub((rows, width), 'float')
            h = T.alloc_ub((rows, width), 'float16')
            y = T.alloc_ub((2, rows, width), 'int8')
            stat = T.alloc_ub((rows, 1), 'float')
            levels = T.alloc_ub((rows,), 'float')
            scale = T.alloc_ub((2, lanes), 'float')
            T.annotate_address({x: at[0], a: at[1], b: at[2], h: at[3], y: at[4], stat: at[5], levels: at[6], scale: at[7]})
            if ragged:
                mask = T.alloc_ub((rows, width), 'int32' if wide else 'int16')
                T.annotate_address({mask: at[8]})
                wide_lanes = width * 2 if wide else width
                bits, under = T.view(x, (2, rows, wide_lanes), 'int16'), T.view(mask, (rows, wide_lanes), 'int16')
            flat = T.reshape(stat, (rows,))
            with T.Scope('V'):
                T.tile.fill(levels, LEVELS)
                if ragged:
                    T.tile.fill(x, 0.0)
                    mask_columns(mask, b, N, width, wide)
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
                        keep(bits[s, :, :], under)
                    take(a, x[s, :, :], size, wide)
                    T.set_flag('v', 'mte2', s + 1)
                    T.pipe_barrier('v')
                    T.tile.abs(b, a)
                    T.pipe_barrier('v')
                    T.reduce_max(b, stat, dim=-1)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', s + 1)
                    level(scale[s, 0:rows], flat, levels)
                    T.tile.broadcast(b, stat)
                    T.pipe_barrier('v')
                    T.tile.mul(a, a, b)
                    T.pipe_barrier('v')
                    to_int8(y[s, :, :], a, h, size)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :, :], Y[row, 0])
                    T.copy(scale[s, 0:rows], S[row:row + rows])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@tiletwin.jit(out_idx=[1, 2], pass_configs=EXPERT)
def dynamic_quant_long(M, N, dtype, cores, chunk):
    """The same for one row at a time: it stays in UB as float32 while its chunks go through."""
    wide = dtype == 'float32'
    workers = 2 * cores
    parts = (N + chunk - 1) // chunk
    rest = N - (parts - 1) * chunk
    slot, full = chunk * WIDTH[dtype], chunk * 4
    at = place((2 * slot, 0), (parts * full, 0), (full, 1), (full, 0), (chunk * 2, 0), (2 * chunk, 0), (32, 0), (32, 0), (32, 0))

    @T.macro
    def gather_in(X, row, c, size, s, x, a, b, top):
        T.wait_flag('v', 'mte2', s + 1)
        T.copy(X[row, c * chunk:c * chunk + size], x[s, 0:size])
        T.set_flag('mte2', 'v', s + 1)

        T.wait_flag('mte2', 'v', s + 1)
        take(a[c, 0:size], x[s, 0:size], size, wide)
        T.set_flag('v', 'mte2', s + 1)
        T.pipe_barrier('v')
        T.tile.abs(b, a[c, :])
        T.pipe_barrier('v')
        T.tile.max(top, top, b)
        T.pipe_barrier('v')

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), 'int8'), S: T.Tensor((M,), 'float')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, chunk), dtype)
            a = T.alloc_ub((parts, chunk), 'float')
            b = T.alloc_ub((chunk,), 'float')
            top = T.alloc_ub((chunk,), 'float')
            h = T.alloc_ub((chunk,), 'float16')
            y = T.alloc_ub((2, chunk), 'int8')
            stat = T.alloc_ub((1,), 'float')
            levels = T.alloc_ub((1,), 'float')
            scale = T.alloc_ub((1,), 'float')
            T.annotate_address({x: at[0], a: at[1], b: at[2], top: at[3], h: at[4], y: at[5], stat: at[6], levels: at[7], scale: at[8]})
            with T.Scope('V'):
                T.tile.fill(levels, LEVELS)
                T.tile.fill(a, 0.0)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)
                T.set_flag('mte3', 'v', 3)

                for t in T.serial((M - (cid * 2 + vid) + workers - 1) // workers):
                    row = t * workers + cid * 2 + vid
                    T.pipe_barrier('v')
                    T.tile.fill(top, 0.0)
                    T.pipe_barrier('v')
                    for c in T.serial(parts - 1):
                        gather_in(X, row, c, chunk, (t * parts + c) % 2, x, a, b, top)
                    gather_in(X, row, parts - 1, rest, (t * parts + parts - 1) % 2, x, a, b, top)
                    T.reduce_max(top, stat, dim=-1)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', 3)
                    level(scale, stat, levels)
                    T.set_flag('v', 'mte3', 3)
                    T.tile.broadcast(b, stat)
                    T.wait_flag('v', 'mte3', 3)
                    T.copy(scale, S[row:row + 1])
                    T.set_flag('mte3', 'v', 3)
                    for c in T.serial(parts):
                        s = (t * parts + c) % 2
                        T.pipe_barrier('v')
                        T.tile.mul(a[c, :], a[c, :], b)
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', s + 1)
                        to_int8(y[s, :], a[c, :], h, chunk)
                        T.set_flag('v', 'mte3', s + 1)

                        T.wait_flag('v', 'mte3', s + 1)
                        T.copy(y[s, :], Y[row, c * chunk:c * chunk + chunk])
                        T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)
                T.wait_flag('mte3', 'v', 3)

    return main


@models('cann_dynamic_quant')
def dynamic_quant_row(row: Row) -> Modelled | Skip:
    shape, dtype = shapes(row)[0], dtypes(row)[0]
    if dtype not in FLOATS:
        return Skip(f'the dialect has no {dtype} arithmetic')
    if len(shapes(row)) > 1:
        return Skip('smooth scales are not part of the kernel')
    cores, ub = row.chip.cube_cores, row.chip.memories['UB'].bytes
    M, N = math.prod(shape[:-1]), shape[-1]
    rows = rows_per_tile(M, up(N, 32) * (16 + 3 * WIDTH[dtype]) + 128, ub, 2 * cores)
    if rows:
        return Modelled(lambda: dynamic_quant(M, N, dtype, cores, rows), f'{rows} whole rows per tile, two slots each way', 'bound')
    chunk = long_chunk(N, 4, 2 * WIDTH[dtype] + 16, ub)
    if not chunk:
        return Skip(f'a row of {N} {dtype} does not stay in UB as float32')
    return Modelled(lambda: dynamic_quant_long(M, N, dtype, cores, chunk), f'one row at a time in chunks of {chunk}', 'bound')
