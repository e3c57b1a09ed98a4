"""CANN-bench rows of add_rms_norm_dynamic_quant: x = x1 + x2, y = rms_norm(x) in int8 with one scale per row."""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .row_steps import LEVELS, keep, level, load, load_way, mask_columns, root_mean_square, to_int8
from .rows import Row
from .tiles import WIDTH, attributes, dtypes, long_chunk, place, rows_per_tile, shapes, up

HALVES = ('float16', 'bfloat16')


@tiletwin.jit(out_idx=[3, 4, 5], pass_configs=EXPERT)
def add_norm_quant(M, N, dtype, eps, cores, rows):
    """`rows` whole rows per tile."""
    width, workers = up(N, 32), 2 * cores
    way = load_way(N, 2, width, rows)
    ragged = N != width and way != 'pad'
    tiles = (M + rows - 1) // rows
    size, lanes = rows * width, up(rows, 8)
    slot, full = size * 2, size * 4
    at = place((2 * slot, 0), (2 * slot, 0), (2 * slot, 0), (full, 0), (full, 1), (full, 1), (slot, 0), (2 * size, 0),
               *((lanes * 4, 0),) * 4, (slot if ragged else 0, 1))

    @T.prim_func
    def main(X1: T.Tensor((M, N), dtype), X2: T.Tensor((M, N), dtype), G: T.Tensor((1, N), dtype), Y: T.Tensor((M, N), 'int8'),
             X: T.Tensor((M, N), dtype), S: T.Tensor((M,), 'float')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            u = T.alloc_ub((2, rows, width), dtype)
            w = T.alloc_ub((2, rows, width), dtype)
            x = T.alloc_ub((2, rows, width), dtype)
            a = T.alloc_ub((rows, width), 'float')
            b = T.alloc_ub((rows, width), 'float')
            g = T.alloc_ub((rows, width), 'float')
            h = T.alloc_ub((rows, width), 'float16')
            y = T.alloc_ub((2, rows, width), 'int8')
            stat = T.alloc_ub((rows, 1), 'float')
            levels = T.alloc_ub((rows,), 'float')
            scale = T.alloc_ub((2, lanes), 'float')
            T.annotate_address({u: at[0], w: at[1], x: at[2], a: at[3], b: at[4], g: at[5], h: at[6], y: at[7], stat: at[8],
                                levels: at[9], scale: at[10]})
            if ragged:
                mask = T.alloc_ub((rows, width), 'int16')
                T.annotate_address({mask: at[12]})
                u_bits, w_bits = T.view(u, (2, rows, width), 'int16'), T.view(w, (2, rows, width), 'int16')
            flat, u_rows = T.reshape(stat, (rows,)), T.reshape(u, (2 * rows, width))
            with T.Scope('V'):
                T.tile.fill(levels, LEVELS)
                T.tile.fill(u, 0.0)
                if ragged:
                    T.tile.fill(w, 0.0)
                    mask_columns(mask, b, N, width, False)
                T.set_flag('v', 'mte2', 3)
                T.wait_flag('v', 'mte2', 3)
                # gamma, spread over the rows of a tile once.
                T.copy(G[0, 0:N], u_rows[0, 0:N])
                T.set_flag('mte2', 'v', 3)
                T.wait_flag('mte2', 'v', 3)
                T.tile.cast(b, u_rows[0:1, :], 'CAST_NONE', width)
                T.pipe_barrier('v')
                T.tile.broadcast(g, b[0:1, :])
                T.pipe_barrier('v')
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    row = (t * workers + cid * 2 + vid) * rows
                    T.wait_flag('v', 'mte2', s + 1)
                    load(X1, row, u, s, N, way)
                    load(X2, row, w, s, N, way)
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if ragged:
                        keep(u_bits[s, :, :], mask)
                        keep(w_bits[s, :, :], mask)
                    T.tile.cast(a, u[s, :, :], 'CAST_NONE', size)
                    T.tile.cast(b, w[s, :, :], 'CAST_NONE', size)
                    T.set_flag('v', 'mte2', s + 1)
                    T.pipe_barrier('v')
                    T.tile.add(a, a, b)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', s + 1)
                    T.tile.cast(x[s, :, :], a, 'CAST_RINT', size)
                    T.tile.mul(b, a, a)
                    T.pipe_barrier('v')
                    T.reduce_sum(b, stat, dim=-1)
                    T.pipe_barrier('v')
                    root_mean_square(stat, N, eps)
                    T.tile.broadcast(b, stat)
                    T.pipe_barrier('v')
                    T.tile.div(a, a, b)
                    T.pipe_barrier('v')
                    T.tile.mul(a, a, g)
                    T.pipe_barrier('v')
                    T.tile.abs(b, a)
                    T.pipe_barrier('v')
                    T.reduce_max(b, stat, dim=-1)
                    T.pipe_barrier('v')
                    level(scale[s, 0:rows], flat, levels)
                    T.tile.broadcast(b, stat)
                    T.pipe_barrier('v')
                    T.tile.mul(a, a, b)
                    T.pipe_barrier('v')
                    to_int8(y[s, :, :], a, h, size)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(x[s, :, :], X[row, 0])
                    T.copy(y[s, :, :], Y[row, 0])
                    T.copy(scale[s, 0:rows], S[row:row + rows])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@tiletwin.jit(out_idx=[3, 4, 5], pass_configs=EXPERT)
def add_norm_quant_long(M, N, dtype, eps, cores, chunk):
    """One row at a time: the sum stays in UB as float32 while its chunks go through."""
    workers = 2 * cores
    parts = (N + chunk - 1) // chunk
    rest = N - (parts - 1) * chunk
    slot, full = chunk * 2, chunk * 4
    at = place((2 * slot, 0), (2 * slot, 0), (2 * slot, 0), (parts * full, 0), (parts * full, 1), (full, 1), (full, 0), (slot, 0), (2 * chunk, 0),
               (32, 0), (32, 0), (32, 0))

    @T.macro
    def gather_in(X1, X2, X, row, c, size, s, u, w, x, a, b, acc):
        T.wait_flag('v', 'mte2', s + 1)
        T.copy(X1[row, c * chunk:c * chunk + size], u[s, 0:size])
        T.copy(X2[row, c * chunk:c * chunk + size], w[s, 0:size])
        T.set_flag('mte2', 'v', s + 1)

        T.wait_flag('mte2', 'v', s + 1)
        T.tile.cast(a[c, 0:size], u[s, 0:size], 'CAST_NONE', size)
        T.tile.cast(b, w[s, :], 'CAST_NONE', size)
        T.set_flag('v', 'mte2', s + 1)
        T.pipe_barrier('v')
        T.tile.add(a[c, 0:size], a[c, 0:size], b[0:size])
        T.pipe_barrier('v')
        T.wait_flag('mte3', 'v', s + 1)
        T.tile.cast(x[s, 0:size], a[c, 0:size], 'CAST_RINT', size)
        T.set_flag('v', 'mte3', s + 1)
        T.tile.mul_add_dst(acc, a[c, :], a[c, :])
        T.pipe_barrier('v')

        T.wait_flag('v', 'mte3', s + 1)
        T.copy(x[s, 0:size], X[row, c * chunk:c * chunk + size])
        T.set_flag('mte3', 'v', s + 1)

    @T.prim_func
    def main(X1: T.Tensor((M, N), dtype), X2: T.Tensor((M, N), dtype), G: T.Tensor((1, N), dtype), Y: T.Tensor((M, N), 'int8'),
             X: T.Tensor((M, N), dtype), S: T.Tensor((M,), 'float')):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            u = T.alloc_ub((2, chunk), dtype)
            w = T.alloc_ub((2, chunk), dtype)
            x = T.alloc_ub((2, chunk), dtype)
            a = T.alloc_ub((parts, chunk), 'float')
            g = T.alloc_ub((parts, chunk), 'float')
            b = T.alloc_ub((chunk,), 'float')
            acc = T.alloc_ub((chunk,), 'float')
            h = T.alloc_ub((chunk,), 'float16')
            y = T.alloc_ub((2, chunk), 'int8')
            stat = T.alloc_ub((1,), 'float')
            levels = T.alloc_ub((1,), 'float')
            scale = T.alloc_ub((1,), 'float')
            T.annotate_address({u: at[0], w: at[1], x: at[2], a: at[3], g: at[4], b: at[5], acc: at[6], h: at[7], y: at[8],
                                stat: at[9], levels: at[10], scale: at[11]})
            with T.Scope('V'):
                T.tile.fill(levels, LEVELS)
                T.tile.fill(a, 0.0)
                T.tile.fill(g, 0.0)
                T.tile.fill(u, 0.0)
                T.pipe_barrier('v')
                T.set_flag('v', 'mte2', 1)
                for c in T.serial(parts):
                    T.wait_flag('v', 'mte2', 1)
                    T.copy(G[0, c * chunk:c * chunk + chunk], u[0, :])
                    T.set_flag('mte2', 'v', 1)
                    T.wait_flag('mte2', 'v', 1)
                    T.tile.cast(g[c, :], u[0, :], 'CAST_NONE', chunk)
                    T.set_flag('v', 'mte2', 1)
                T.wait_flag('v', 'mte2', 1)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)
                    T.set_flag('mte3', 'v', s + 3)
                T.set_flag('mte3', 'v', 5)

                for t in T.serial((M - (cid * 2 + vid) + workers - 1) // workers):
                    row = t * workers + cid * 2 + vid
                    T.pipe_barrier('v')
                    T.tile.fill(acc, 0.0)
                    T.pipe_barrier('v')
                    for c in T.serial(parts - 1):
                        gather_in(X1, X2, X, row, c, chunk, (t * parts + c) % 2, u, w, x, a, b, acc)
                    gather_in(X1, X2, X, row, parts - 1, rest, (t * parts + parts - 1) % 2, u, w, x, a, b, acc)
                    T.reduce_sum(acc, stat, dim=-1)
                    T.pipe_barrier('v')
                    root_mean_square(stat, N, eps)
                    T.tile.broadcast(b, stat)
                    T.tile.fill(acc, 0.0)
                    for c in T.serial(parts):
                        T.pipe_barrier('v')
                        T.tile.div(a[c, :], a[c, :], b)
                        T.pipe_barrier('v')
                        T.tile.mul(a[c, :], a[c, :], g[c, :])
                        T.pipe_barrier('v')
                        # The larger magnitude of both signs, without a tile for the absolute values.
                        T.tile.max(acc, acc, a[c, :])
                        T.pipe_barrier('v')
                        T.tile.mul(a[c, :], a[c, :], -1.0)
                        T.pipe_barrier('v')
                        T.tile.max(acc, acc, a[c, :])
                    T.pipe_barrier('v')
                    T.reduce_max(acc, stat, dim=-1)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', 5)
                    level(scale, stat, levels)
                    T.set_flag('v', 'mte3', 5)
                    T.tile.mul(stat, stat, -1.0)
                    T.pipe_barrier('v')
                    T.tile.broadcast(b, stat)
                    T.wait_flag('v', 'mte3', 5)
                    T.copy(scale, S[row:row + 1])
                    T.set_flag('mte3', 'v', 5)
                    for c in T.serial(parts):
                        s = (t * parts + c) % 2
                        T.pipe_barrier('v')
                        T.tile.mul(a[c, :], a[c, :], b)
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', s + 3)
                        to_int8(y[s, :], a[c, :], h, chunk)
                        T.set_flag('v', 'mte3', s + 3)

                        T.wait_flag('v', 'mte3', s + 3)
                        T.copy(y[s, :], Y[row, c * chunk:c * chunk + chunk])
                        T.set_flag('mte3', 'v', s + 3)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)
                    T.wait_flag('mte3', 'v', s + 3)
                T.wait_flag('mte3', 'v', 5)

    return main


@models('cann_add_rms_norm_dynamic_quant')
def add_norm_quant_row(row: Row) -> Modelled | Skip:
    shape, dtype = shapes(row)[0], dtypes(row)[0]
    if dtype not in HALVES:
        return Skip(f'the kernel takes 16-bit floats, not {dtype}')
    if len(shapes(row)) > 3:
        return Skip('smooth scales are not part of the kernel')
    eps, cores, ub = float(attributes(row).get('epsilon', 1e-6)), row.chip.cube_cores, row.chip.memories['UB'].bytes
    M, N = math.prod(shape[:-1]), shape[-1]
    rows = rows_per_tile(M, up(N, 32) * 36 + 192, ub, 2 * cores)
    if rows:
        return Modelled(lambda: add_norm_quant(M, N, dtype, eps, cores, rows), f'{rows} whole rows per tile, two slots each way', 'bound')
    chunk = long_chunk(N, 8, 28, ub)
    if not chunk:
        return Skip(f'a row of {N} {dtype} does not stay in UB as float32')
    return Modelled(lambda: add_norm_quant_long(M, N, dtype, eps, cores, chunk), f'one row at a time in chunks of {chunk}', 'bound')
