"""The arithmetic that the row kernels share, as macros on float32 tiles of `rows` by `width`; columns beyond the row hold zeros."""

from __future__ import annotations

from tiletwin import language as T

from .tiles import up

LEVELS = 127.0  # largest magnitude of int8
SMALLEST = 1e-12  # so that a row of zeros quantises to zeros


@T.macro
def root_mean_square(stat, N, eps):
    """stat := sqrt(stat / N + eps)"""
    T.tile.mul(stat, stat, 1.0 / N)
    T.pipe_barrier('v')
    T.tile.add(stat, stat, eps)
    T.pipe_barrier('v')
    T.tile.sqrt(stat, stat)
    T.pipe_barrier('v')


@T.macro
def level(scale, stat, levels):
    """scale := the step of an int8 whose largest magnitude is stat, stat := its inverse; `levels` holds 127."""
    T.tile.max(stat, stat, SMALLEST)
    T.pipe_barrier('v')
    T.tile.mul(scale, stat, 1.0 / LEVELS)
    T.pipe_barrier('v')
    T.tile.div(stat, levels, stat)
    T.pipe_barrier('v')


@T.macro
def to_int8(y, a, h, count):
    """y := a to the nearest integer, ties to even; halves hold the integers on the way (dialect 5.3.8 has no float -> int8)."""
    T.tile.cast(a, a, 'CAST_RINT', count)
    T.pipe_barrier('v')
    T.tile.cast(h, a, 'CAST_NONE', count)
    T.pipe_barrier('v')
    T.tile.cast(y, h, 'CAST_NONE', count)


@T.macro
def take(a, x, count, wide):
    """a := x as float32"""
    if wide:
        T.tile.mul(a, x, 1.0)
    else:
        T.tile.cast(a, x, 'CAST_NONE', count)


@T.macro
def mask_columns(mask, b, N, width, wide):
    """mask := rows of all ones in the first N columns and of zeros behind; b is scratch of rows by width.

    A load of rows that end inside a 32-byte block leaves the rest of it open, and letting the load pad it would stop the other pipes (dialect 4.1.7).
    """
    rows = b.shape[0]
    T.tile.arith_progression(b[0, :], 0.0, 1.0, width)
    T.pipe_barrier('v')
    T.tile.mul(b[0, :], b[0, :], -1.0)
    T.pipe_barrier('v')
    T.tile.add(b[0, :], b[0, :], float(N))
    T.pipe_barrier('v')
    T.tile.min(b[0, :], b[0, :], 1.0)
    T.pipe_barrier('v')
    T.tile.max(b[0, :], b[0, :], 0.0)
    T.pipe_barrier('v')
    T.tile.mul(b[0, :], b[0, :], -1.0)
    T.pipe_barrier('v')
    if rows > 1:
        T.tile.broadcast(b[1:rows, :], b[0:1, :])
        T.pipe_barrier('v')
    T.tile.cast(mask, b, 'CAST_RINT', rows * width)
    T.pipe_barrier('v')


@T.macro
def keep(bits, mask):
    """bits := bits under the mask; what a load left open becomes zero."""
    T.tile.bitwise_and(bits, bits, mask)
    T.pipe_barrier('v')


def load_way(N, es, width, rows):
    """How rows of N get into a tile of `width` columns: 'tile' where the blocks a load fills are the rows of the tile, else by single 'rows';
    'pad' for short rows, where a load each would cost more than the stop of the pipes that padding brings."""
    if rows == 1 or up(N, 32 // es) == width:
        return 'tile'
    return 'rows' if N >= 256 else 'pad'


@T.macro
def load(X, row, x, s, N, way):
    """Slot s of x := rows of X from `row` on."""
    if way == 'tile':
        T.copy(X[row, 0], x[s, :, 0:N])
    elif way == 'rows':
        for r in T.serial(x.shape[1]):
            T.copy(X[row + r, 0:N], x[s, r, 0:N])
    else:
        T.copy(X[row, 0], x[s, :, :])
