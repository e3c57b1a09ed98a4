"""Comparison to bit masks, selection by them, casts and broadcasts (dialect 5.3.7 - 5.3.9)."""

from __future__ import annotations

from typing import Any

from ...errors import DialectAssertionError, DialectError, DialectTypeError
from ..emit import issue
from ..operands import Operand, int_or_expr, same_value, shown, tensor, text
from ..where import check, fail
from .common import count, same_dtype, same_size, scalar_operand, tile, whole

COMPARE_MODES = ('EQ', 'NE', 'GT', 'GE', 'LT', 'LE')
SELECT_MODES = ('VSEL_CMPMASK_SPR', 'VSEL_TENSOR_TENSOR_MODE', 'VSEL_TENSOR_SCALAR_MODE')
CAST_MODES = ('CAST_NONE', 'CAST_RINT', 'CAST_FLOOR', 'CAST_CEIL', 'CAST_ROUND', 'CAST_TRUNC', 'CAST_ODD')


def _mode(op: str, value: Any, allowed: tuple[str, ...]):
    check(value in allowed, DialectAssertionError, f'T.tile.{op}: mode {value!r} is not one of {", ".join(allowed)}',
          'the mode is a member of a vendor enumeration')
    return text(value, 'the mode')


def _no_int(op: str, value: Any) -> None:
    check(not isinstance(value, int) or isinstance(value, bool), DialectTypeError, f'T.tile.{op} with the Python int {value!r}',
          'the compiler looks up a dtype the int does not have',
          f'{value}.0, or T.int32({value})' if isinstance(value, int) else '')


def compare(dst, src0, src1, mode):
    """Bit i % 8 of byte i // 8 of dst = src0[i] `mode` src1[i]."""
    d, a = tile(dst, 'T.tile.compare: dst'), tile(src0, 'T.tile.compare: src0')
    m = _mode('compare', mode, COMPARE_MODES)
    check(d.dtype in ('uint8', 'int8'), DialectTypeError, f'T.tile.compare: dst {d.name} is {d.dtype}', 'the result is a packed bit mask',
          'a uint8 tile of size // 8 elements')
    if isinstance(a.size, int) and isinstance(d.size, int):
        check(d.size * 8 >= a.size, DialectAssertionError,
              f'T.tile.compare: size must be same, {a.size} comparisons do not fit into {d.size} bytes of mask',
              'one bit per element', f'a mask of {a.size // 8} elements')
    _no_int('compare', src1)
    other = tensor(src1)
    if other is None or other.form == 'element':
        return issue('compare_scalar', d.call(), a.call(), scalar_operand(src1, 'compare', a.dtype), m)
    b = tile(src1, 'T.tile.compare: src1')
    same_size('compare', a, b)
    same_dtype('compare', a, b)
    return issue('compare', d.call(), a.call(), b.call(), m)


def select(dst, selMask, src0, src1, selMode):
    """dst[i] = src0[i] where the mask bit is set, src1[i] (or the scalar) elsewhere."""
    m = _mode('select', selMode, SELECT_MODES)
    d, mask, a = tile(dst, 'T.tile.select: dst'), whole(selMask, 'T.tile.select: selMask'), tile(src0, 'T.tile.select: src0')
    check(len(d.extents) == len(a.extents) and all(same_value(p, q) for p, q in zip(d.extents, a.extents)), DialectAssertionError,
          f'T.tile.select: shapes of dst {d} and src0 {a} must be same', 'the shapes are compared, not only the sizes')
    _no_int('select', src1)
    other = tensor(src1)
    scalar_mode = selMode == 'VSEL_TENSOR_SCALAR_MODE'
    if other is not None:
        check(other.form == 'buffer', DialectTypeError, f'T.tile.select: src1 {other}', 'src1 is a whole buffer, a float or a scalar expression',
              'a whole buffer')
        check(not scalar_mode, DialectError, f'T.tile.select: {selMode} with the tile {other.name}', 'this mode takes a scalar',
              'VSEL_TENSOR_TENSOR_MODE')
        b = tile(src1, 'T.tile.select: src1')
        same_size('select', d, b)
        same_dtype('select', d, b)
        carried = b.call()
    else:
        check(scalar_mode, DialectError, f'T.tile.select: {selMode} with the scalar {shown(src1)}', 'this mode takes a tile',
              'VSEL_TENSOR_SCALAR_MODE')
        carried = scalar_operand(src1, 'select', d.dtype)
    return issue('select', d.call(), mask.call(), a.call(), carried, m)


def cast(dst, src, mode, count_=None, **named):
    """dst[i] = src[i] in the type of dst, rounded by `mode`, for the first `count` elements."""
    n = named.pop('count', count_)
    check(not named, DialectTypeError, f'T.tile.cast: unexpected {", ".join(named)}')
    check(n is not None, DialectTypeError, 'T.tile.cast needs a count', 'the instruction takes the number of elements',
          'T.tile.cast(dst, src, "CAST_RINT", n)')
    d, a = tile(dst, 'T.tile.cast: dst'), tile(src, 'T.tile.cast: src')
    return issue('cast', d.call(), a.call(), _mode('cast', mode, CAST_MODES), count(n, 'cast'))


def _last_two(operand: Operand) -> tuple:
    return tuple(int_or_expr(e) for e in operand.extents[-2:])


def broadcast(dst, src, axis=None):
    """Repeats src along `axis` into dst."""
    d, s = tile(dst, 'T.tile.broadcast: dst'), tile(src, 'T.tile.broadcast: src')
    check(axis in (None, 0, 1), DialectError, f'Broadcast axis must be 0 or 1, got {axis!r}', 'tiles have rows and columns')
    same_dtype('broadcast', d, s)
    return issue('broadcast', d.call(), s.call(), axis=_axis(s, d, _last_two(s), _last_two(d), axis))


def _axis(s: Operand, d: Operand, src: tuple, dst: tuple, axis: int | None) -> int:
    if len(dst) == 1:
        check(len(src) == 1, DialectError, f'Dimension mismatch: cannot broadcast {s} into {d}', 'a matrix does not fit into a vector')
        check(src == dst or src == (1,), DialectError, f'Broadcast dimension mismatch: {s} into {d}',
              'a vector is repeated from one element or copied')
        return 0
    rows, cols = dst
    if len(src) == 1:
        n = src[0]
        if axis == 0 or (axis is None and n == cols):
            check(n == cols or n == 1, DialectError, f'Broadcast dimension mismatch: {s} into {d} along axis 0',
                  f'a row of {cols} elements is repeated')
            return 0
        check(axis == 1 or n == rows, DialectError, f'Cannot broadcast 1D src {s} into {d}', f'{n} is neither the {cols} columns nor the {rows} rows')
        check(n == rows or n == 1, DialectError, f'Broadcast dimension mismatch: {s} into {d} along axis 1',
              f'a column of {rows} elements is repeated')
        return 1
    if src == dst:
        return 0 if axis is None else axis
    found = axis if axis is not None else 0 if src[0] == 1 and src[1] == cols else 1 if src[1] == 1 and src[0] == rows else None
    if found is None:
        fail(DialectError, f'Broadcast dimension mismatch: {s} into {d}',
             'one of the two source extents must be 1 and the other equal to the destination')
    check(src[found] == 1, DialectError, f'Shapes must match when src[axis] != 1: {s} into {d} along axis {found}', 'only an extent of 1 is repeated')
    check(src[1 - found] == dst[1 - found], DialectError, f'Broadcast dimension mismatch: {s} into {d} along axis {found}')
    return found
