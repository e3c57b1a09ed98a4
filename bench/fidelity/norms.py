"""CANN-bench rows of rms_norm: whole rows in UB, or one long row at a time; statistics in float32."""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .row_steps import keep, mask_columns, root_mean_square, take
from .rows import Row
from .tiles import FLOATS, WIDTH, attributes, dtypes, long_chunk, place, rows_per_tile, shapes, up


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def rms_norm(M, N, dtype, eps, cores, rows):
    """y = x / sqrt(mean(x x) + eps) * g, `rows` whole rows per tile."""
    wide = dtype == 'float32'
    width, workers = up(N, 32 // WIDTH[dtype]), 2 * cores
    ragged = N != width
    tiles = (M + rows - 1) // rows
    size = rows * width
    slot, full = size * WIDTH[dtype], size * 4
    # a (x itself in float32) is of phase 0, b and g of phase 1.
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), (full, 1), (up(rows, 8) * 4, 0), (0 if wide else full, 0), (slot if ragged else 0, 1))

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), G: T.Tensor((N,), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            b = T.alloc_ub((rows, width), 'float')
            x = T.alloc_ub((2, rows, width), dtype)
            y = T.alloc_ub((2, rows, width), dtype)
            g = T.alloc_ub((rows, width), 'float')
            stat = T.alloc_ub((rows, 1), 'float')
            T.annotate_address({b: at[0], x: at[1], y: at[2], g: at[3], stat: at[4]})
            if not wide:
                a = T.alloc_ub((rows, width), 'float')
                T.annotate_address({a: at[5]})
            if ragged:
                mask = T.alloc_ub((rows, width), 'int32' if wide else 'int16')
                T.annotate_address({mask: at[6]})
                lanes = width * 2 if wide else width
                bits, under = T.view(x, (2, rows, lanes), 'int16'), T.view(mask, (rows, lanes), 'int16')
            x_row = T.reshape(x, (2 * rows, width))
            with T.Scope('V'):
                if ragged:
                    T.tile.fill(x_row, 0.0)
                    T.set_flag('v', 'mte2', 3)
                    mask_columns(mask, b, N, width, wide)
                    T.wait_flag('v', 'mte2', 3)
                # gamma, spread over the rows of a tile once.
                T.copy(G[0:N], x_row[0, 0:N])
                T.set_flag('mte2', 'v', 3)
                T.wait_flag('mte2', 'v', 3)
                if wide:
                    T.tile.broadcast(g, x_row[0:1, :])
                else:
                    T.tile.cast(b, x_row[0:1, :], 'CAST_NONE', width)
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
                    T.copy(X[row, 0], x[s, :, 0:N])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if ragged:
                        keep(bits[s, :, :], under)
                    if wide:
                        T.tile.mul(b, x[s, :, :], x[s, :, :])
                    else:
                        T.tile.cast(a, x[s, :, :], 'CAST_NONE', size)
                        T.set_flag('v', 'mte2', s + 1)
                        T.pipe_barrier('v')
                        T.tile.mul(b, a, a)
                    T.pipe_barrier('v')
                    T.reduce_sum(b, stat, dim=-1)
                    T.pipe_barrier('v')
                    root_mean_square(stat, N, eps)
                    T.wait_flag('mte3', 'v', s + 1)
                    T.tile.broadcast(b, stat)
                    T.pipe_barrier('v')
                    if wide:
                        T.tile.div(y[s, :, :], x[s, :, :], b)
                        T.pipe_barrier('v')
                        T.tile.mul(y[s, :, :], y[s, :, :], g)
                        T.set_flag('v', 'mte2', s + 1)
                    else:
                        T.tile.div(a, a, b)
                        T.pipe_barrier('v')
                        T.tile.mul(b, a, g)
                        T.pipe_barrier('v')
                        T.tile.cast(y[s, :, :], b, 'CAST_RINT', size)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :, :], Y[row, 0])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def rms_norm_long(M, N, dtype, eps, cores, chunk):
    """The same for one row at a time: it stays in UB as float32 while its chunks go through."""
    wide = dtype == 'float32'
    workers = 2 * cores
    parts = (N + chunk - 1) // chunk
    rest = N - (parts - 1) * chunk
    slot, full = chunk * WIDTH[dtype], chunk * 4
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), (parts * full, 0), (parts * full, 1), (full, 1), (32, 0))

    @T.macro
    def gather_in(X, row, c, size, s, x, a, acc):
        T.wait_flag('v', 'mte2', s + 1)
        T.copy(X[row, c * chunk:c * chunk + size], x[s, 0:size])
        T.set_flag('mte2', 'v', s + 1)

        T.wait_flag('mte2', 'v', s + 1)
        take(a[c, 0:size], x[s, 0:size], size, wide)
        T.set_flag('v', 'mte2', s + 1)
        T.pipe_barrier('v')
        T.tile.mul_add_dst(acc, a[c, :], a[c, :])
        T.pipe_barrier('v')

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), G: T.Tensor((1, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            acc = T.alloc_ub((chunk,), 'float')
            x = T.alloc_ub((2, chunk), dtype)
            y = T.alloc_ub((2, chunk), dtype)
            a = T.alloc_ub((parts, chunk), 'float')
            g = T.alloc_ub((parts, chunk), 'float')
            b = T.alloc_ub((chunk,), 'float')
            stat = T.alloc_ub((1,), 'float')
            T.annotate_address({acc: at[0], x: at[1], y: at[2], a: at[3], g: at[4], b: at[5], stat: at[6]})
            with T.Scope('V'):
                T.tile.fill(a, 0.0)
                T.tile.fill(g, 0.0)
                T.tile.fill(acc, 0.0)
                T.pipe_barrier('v')
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)
                for c in T.serial(parts - 1):
                    gather_in(G, 0, c, chunk, c % 2, x, g, acc)
                gather_in(G, 0, parts - 1, rest, (parts - 1) % 2, x, g, acc)

                for t in T.serial((M - (cid * 2 + vid) + workers - 1) // workers):
                    row = t * workers + cid * 2 + vid
                    T.pipe_barrier('v')
                    T.tile.fill(acc, 0.0)
                    T.pipe_barrier('v')
                    for c in T.serial(parts - 1):
                        gather_in(X, row, c, chunk, (parts + t * parts + c) % 2, x, a, acc)
                    gather_in(X, row, parts - 1, rest, (parts + t * parts + parts - 1) % 2, x, a, acc)
                    T.reduce_sum(acc, stat, dim=-1)
                    T.pipe_barrier('v')
                    root_mean_square(stat, N, eps)
                    T.tile.broadcast(b, stat)
                    for c in T.serial(parts):
                        s = (t * parts + c) % 2
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', s + 1)
                        if wide:
                            T.tile.div(y[s, :], a[c, :], b)
                            T.pipe_barrier('v')
                            T.tile.mul(y[s, :], y[s, :], g[c, :])
                        else:
                            T.tile.div(a[c, :], a[c, :], b)
                            T.pipe_barrier('v')
                            T.tile.mul(acc, a[c, :], g[c, :])
                            T.pipe_barrier('v')
                            T.tile.cast(y[s, :], acc, 'CAST_RINT', chunk)
                        T.set_flag('v', 'mte3', s + 1)

                        T.wait_flag('v', 'mte3', s + 1)
                        T.copy(y[s, :], Y[row, c * chunk:c * chunk + chunk])
                        T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@models('cann_rms_norm')
def rms_norm_row(row: Row) -> Modelled | Skip:
    shape, dtype = shapes(row)[0], dtypes(row)[0]
    if dtype not in FLOATS:
        return Skip(f'the dialect has no {dtype} arithmetic')
    eps, cores, ub = float(attributes(row).get('epsilon', 1e-6)), row.chip.cube_cores, row.chip.memories['UB'].bytes
    M, N = math.prod(shape[:-1]), shape[-1]
    mask = up(N * WIDTH[dtype], 32) if N * WIDTH[dtype] % 32 else 0
    rows = rows_per_tile(M, up(N, 16) * (28 if dtype == 'float32' else 24) + mask + 64, ub, 2 * cores)
    if rows:
        return Modelled(lambda: rms_norm(M, N, dtype, eps, cores, rows), f'{rows} whole rows per tile, two slots each way', 'bound')
    chunk = long_chunk(N, 8, 4 * WIDTH[dtype] + 12, ub)
    if not chunk:
        return Skip(f'a row of {N} {dtype} does not stay in UB as float32')
    return Modelled(lambda: rms_norm_long(M, N, dtype, eps, cores, chunk), f'one row at a time in chunks of {chunk}', 'bound')
