"""Operand checks every vector operation shares (dialect 5.3)."""

from __future__ import annotations

from typing import Any

from ...errors import DialectAssertionError, DialectError, DialectTypeError
from ..operands import Operand, buffer_or_region, same_value, scalar, tensor
from ..leniency import doubt
from ..where import check


def tile(value: Any, what: str) -> Operand:
    """A contiguous run of elements in UB."""
    return buffer_or_region(value, what, ('UB',))


def whole(value: Any, what: str) -> Operand:
    found = tile(value, what)
    check(found.form == 'buffer', DialectTypeError, f'{what} must be a whole buffer, got {found}', 'the operation takes its size from the buffer',
          'a buffer of exactly that size')
    return found


def same_size(op: str, a: Operand, b: Operand) -> None:
    check(same_value(a.size, b.size), DialectAssertionError, f'T.tile.{op}: size must be same, got {a} with {a.size} elements and {b} with {b.size}',
          'operands are contiguous runs of one length', 'slices of equal size')


def leading(op: str, found: Operand, size: Any) -> Operand:
    """A whole second operand, of which the instruction reads as many elements as the result has."""
    if found.form != 'buffer' or not isinstance(found.size, int) or not isinstance(size, int) or found.size <= size:
        return found
    extents, rest = [], size
    for d in reversed(found.shape):
        if rest % d and d % rest:
            return found
        extents.append(min(d, rest))
        rest = max(1, rest // d)
    doubt(False, DialectAssertionError, f'T.tile.{op}: size must be same, {found} has {found.size} elements but {size} are used',
          'the compiler does not compare the size of a whole second operand', 'a slice of the size of the result')
    return Operand(found.buffer, found.starts, tuple(reversed(extents)), 'region')


def same_dtype(op: str, a: Operand, b: Operand) -> None:
    check(a.dtype == b.dtype, DialectTypeError, f'T.tile.{op}: Type mismatch between {a.name} ({a.dtype}) and {b.name} ({b.dtype})',
          'a vector instruction has one element type', 'T.tile.cast one of them first')


def element(value: Any, op: str) -> Operand | None:
    """The operand when it is one element of UB, read by the scalar unit before the instruction."""
    found = tensor(value)
    if found is None or found.form != 'element':
        return None
    check(found.space in ('UB', 'SHARED'), DialectTypeError, f'T.tile.{op}: scalar operand {found} is in {found.space}',
          'the scalar unit reads an operand element from UB',
          'x = A[i] first, and x as the operand')
    doubt(all(d == 1 for d in found.shape[1:]), DialectError, f'T.tile.{op}: scalar operand {found} of a {len(found.shape)}-dimensional buffer',
          'the compiler keeps only the first index of the element', 'a one-dimensional buffer')
    return found


def scalar_operand(value: Any, op: str, dtype: str, what: str = 'the scalar'):
    """A number, an expression or an element of UB of the same type."""
    found = element(value, op)
    if found is None:
        return scalar(value, f'T.tile.{op}: {what}')
    check(found.dtype == dtype, DialectTypeError, f'T.tile.{op}: Type mismatch between {found.name} ({found.dtype}) and the tile ({dtype})',
          'the element is used as it is stored')
    return found.call(extents=(1,) * len(found.starts))


def count(value: Any, op: str):
    return scalar(value, f'T.tile.{op}: the count')


def python_int(value: Any, what: str) -> int:
    check(isinstance(value, int) and not isinstance(value, bool), DialectTypeError, f'{what} must be a Python int, got {value!r}',
          'it is encoded in the instruction')
    return value
