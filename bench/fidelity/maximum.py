"""CANN-bench rows of the elementwise maximum, with and without broadcasting of the second tensor.

bfloat16 has no maximum on A2: it is taken in float32, where every bfloat16 is exact.
"""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .rows import Row
from .tiles import REPEAT, SPARE, WIDTH, dtypes, place, rows_per_tile, shapes, span, up

NATIVE = ('float16', 'float32', 'int32', 'int16')  # of the maximum instruction (dialect 5.3.1)


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def flat(n, dtype, cores, tile):
    """max(A, B) of two tensors of n elements."""
    native = dtype in NATIVE
    workers = 2 * cores
    tiles = (n + tile - 1) // tile
    slot = tile * WIDTH[dtype]
    at = place((2 * slot, 0), (2 * slot, 1), (2 * slot, 0), *((tile * 4, phase) for phase in (() if native else (0, 1))))

    @T.prim_func
    def main(A: T.Tensor((n,), dtype), B: T.Tensor((n,), dtype), Y: T.Tensor((n,), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            a = T.alloc_ub((2, tile), dtype)
            b = T.alloc_ub((2, tile), dtype)
            y = T.alloc_ub((2, tile), dtype)
            T.annotate_address({a: at[0], b: at[1], y: at[2]})
            if not native:
                p = T.alloc_ub((tile,), 'float')
                q = T.alloc_ub((tile,), 'float')
                T.annotate_address({p: at[3], q: at[4]})
            with T.Scope('V'):
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    first = (t * workers + cid * 2 + vid) * tile
                    T.wait_flag('v', 'mte2', s + 1)
                    T.copy(A[first:first + tile], a[s, :])
                    T.copy(B[first:first + tile], b[s, :])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if native:
                        T.wait_flag('mte3', 'v', s + 1)
                        T.tile.max(y[s, :], a[s, :], b[s, :])
                        T.set_flag('v', 'mte2', s + 1)
                    else:
                        T.tile.cast(p, a[s, :], 'CAST_NONE', tile)
                        T.tile.cast(q, b[s, :], 'CAST_NONE', tile)
                        T.set_flag('v', 'mte2', s + 1)
                        T.pipe_barrier('v')
                        T.tile.max(p, p, q)
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', s + 1)
                        T.tile.cast(y[s, :], p, 'CAST_RINT', tile)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :], Y[first:first + tile])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def spread(M, N, period, along, dtype, cores, rows, width):
    """max(A, B) of rows: `along` 0, B is one row of N for all of A; 1, B holds one element per row and starts again after `period` rows."""
    workers = 2 * cores
    tiles = (M + rows - 1) // rows
    slot = rows * width * WIDTH[dtype]
    held = max(width, up(rows, 8)) * WIDTH[dtype]
    at = place((2 * slot, 0), (2 * slot, 0), (slot, 1), (2 * up(held, 32), 0))
    shape = (N,) if along == 0 else (period,)
    part = width if along == 0 else rows
    as_float = 'float' if WIDTH[dtype] == 4 else 'float16'

    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor(shape, dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            a = T.alloc_ub((2, rows, width), dtype)
            y = T.alloc_ub((2, rows, width), dtype)
            b = T.alloc_ub((rows, width), dtype)
            h = T.alloc_ub((2, up(part, 16)), dtype)
            T.annotate_address({a: at[0], y: at[1], b: at[2], h: at[3]})
            # Spreading copies bits, so any type of the same width will do.
            b_bits = T.view(b, (rows, width), as_float)
            h_bits = T.view(h, (2, up(part, 16), 1) if along else (2, 1, up(part, 16)), as_float)
            with T.Scope('V'):
                if along == 0:
                    T.copy(B[0:part], h[0, 0:part])
                    T.set_flag('mte2', 'v', 3)
                    T.wait_flag('mte2', 'v', 3)
                    T.tile.broadcast(b_bits, h_bits[0, :, 0:part], axis=0)
                    T.pipe_barrier('v')
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    row = (t * workers + cid * 2 + vid) * rows
                    T.wait_flag('v', 'mte2', s + 1)
                    T.copy(A[row, 0], a[s, :, :])
                    if along == 1:
                        T.copy(B[row % period:row % period + part], h[s, 0:part])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if along == 1:
                        T.tile.broadcast(b_bits, h_bits[s, 0:part, :], axis=1)
                        T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', s + 1)
                    T.tile.max(y[s, :, :], a[s, :, :], b)
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :, :], Y[row, 0])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


def pattern(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """`(M, N, period, along)` of `spread` when b, broadcast, is one row of a, or one element for each of the last rows of a."""
    b = (1,) * (len(a) - len(b)) + b
    if len(b) != len(a) or any(y not in (1, x) for x, y in zip(a, b)):
        return None
    same = [y == x for x, y in zip(a, b)]
    real = [i for i, (x, y) in enumerate(zip(a, b)) if y > 1]
    if not real:
        return None
    first, last = real[0], real[-1]
    if not all(same[first:last + 1]):
        return None
    M, N, period = math.prod(a[:last + 1]), math.prod(a[last + 1:]), math.prod(b)
    return (math.prod(a[:first]), period, 1, 0) if N == 1 else (M, N, period, 1)


def divisor(n: int, most: int) -> int:
    return next(k for k in range(min(n, most), 0, -1) if n % k == 0)


@models('cann_maximum')
def maximum_row(row: Row) -> Modelled | Skip:
    (a, b), dtype = shapes(row)[:2], dtypes(row)[0]
    cores, ub = row.chip.cube_cores, row.chip.memories['UB'].bytes
    if dtype not in (*NATIVE, 'bfloat16'):
        return Skip(f'the vector unit has no {dtype} maximum')
    if math.prod(b) > math.prod(a):
        a, b = b, a
    if a == b:
        n = math.prod(a)
        each = 6 * WIDTH[dtype] + (0 if dtype in NATIVE else 8)
        tile = span(n, (ub - SPARE) // each // (2 * REPEAT) * 2 * REPEAT, 2 * cores, 2 * REPEAT)
        return Modelled(lambda: flat(n, dtype, cores, tile), f'flat tiles of {tile}, two slots each way', 'bound')
    found = pattern(a, b)
    if found is None or dtype not in NATIVE:
        return Skip(f'{dtype} broadcast of {b} over {a} has no kernel')
    M, N, period, along = found
    width = up(N, 16)
    rows = rows_per_tile(M, 6 * width * WIDTH[dtype], ub - 2 * width * WIDTH[dtype], 2 * cores)
    if rows == 0:
        return Skip(f'a row of {N} {dtype} does not fit UB twice each way')
    rows = divisor(period, rows) if along else rows
    return Modelled(lambda: spread(M, N, period, along, dtype, cores, rows, width), f'tiles of {rows} rows, two slots each way', 'bound')
