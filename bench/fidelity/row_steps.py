"""The arithmetic that the row kernels share, as macros on float32 tiles of `rows` by `width`; columns beyond the row hold zeros."""

from __future__ import annotations

from tiletwin import language as T

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
def keep(x, s, mask, wide):
    """Slot s of x := its bits under the mask; what a load left open becomes zero."""
    slots, rows, width = x.shape
    lanes = width * 2 if wide else width
    bits, under = T.view(x, (slots, rows, lanes), 'int16'), T.view(mask, (rows, lanes), 'int16')
    T.tile.bitwise_and(bits[s, :, :], bits[s, :, :], under)
    T.pipe_barrier('v')
