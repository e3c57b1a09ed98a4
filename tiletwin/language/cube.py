"""Matrix multiplication on the cube core (dialect 5.1, 5.2)."""

from __future__ import annotations

from typing import Any

from ..errors import DialectAssertionError, DialectError, DialectTypeError
from .emit import issue
from .operands import Operand, buffer_or_region, in_named_slices, scalar
from .where import check


def _matrix(value: Any, letter: str, op: str, spaces: tuple[str, ...]) -> Operand:
    found = buffer_or_region(value, f'{letter} of T.{op}', spaces)
    check(len(found.extents) >= 2, DialectAssertionError, f'current only support {letter} as a 2D or higher-order tensor, got {found}',
          'the cube multiplies matrices')
    check(all(e == 1 for e in found.extents[:-2]), DialectAssertionError,
          f'current only support {letter} as a 2D or higher-order tensor with the last two dimensions being the matrix dimensions, got {found}',
          'one matrix is multiplied at a time', f'{letter}[slot, :, :]')
    check(all(isinstance(e, int) for e in found.extents[-2:]), DialectError, f'{letter} of T.{op} has a symbolic extent: {found}',
          'the tile size is a template argument')
    if in_named_slices(value):
        check(all(a == b for a, b in zip(found.extents, found.shape)), DialectError,
              f'T.{op} takes the whole buffer behind a named slice of {found.name}',
              'the compiler replaces a name bound to a slice by the buffer', 'the slice inside the call')
    return found


def _multiply(op: str, values, spaces, transpose_A: bool, transpose_B: bool, init: Any):
    for flag, label in ((transpose_A, 'transpose_A'), (transpose_B, 'transpose_B')):
        check(isinstance(flag, bool), DialectTypeError, f'T.{op}: {label} must be True or False, got {flag!r}')
    a, b, c = (_matrix(v, letter, op, (space,)) for v, letter, space in zip(values, 'ABC', spaces))
    (am, ak), (bk, bn), (m, n) = a.extents[-2:], b.extents[-2:], c.extents[-2:]
    if transpose_A:
        am, ak = ak, am
    if transpose_B:
        bk, bn = bn, bk
    check(ak == bk, DialectAssertionError, f'T.gemm K shape check failed: K_A = {ak}, K_B = {bk}', 'the inner dimensions are multiplied pairwise',
          'transpose_A / transpose_B, or tiles with the same K')
    check(am == m and bn == n, DialectError, f'T.{op}: the product is {am}x{bn} but C is {m}x{n}',
          'the compiler takes M and N from C and reads A and B out of bounds',
          'a C tile of the size of the product')
    flags = {'transpose_A': transpose_A, 'transpose_B': transpose_B} if op == 'gemm_v0' else {}
    return issue(op, a.call(), b.call(), c.call(), scalar(init, 'init'), M=m, N=n, K=ak, **flags)


def gemm_v0(A, B, C, transpose_A=False, transpose_B=False, init=False):
    """C (+)= A @ B with A, B in L1 and C in L0C; uses L0A and L0B from offset 0. `init` starts from zero."""
    return _multiply('gemm_v0', (A, B, C), ('L1', 'L1', 'L0C'), transpose_A, transpose_B, init)


def mma(A, B, C, init=False):
    """C (+)= A @ B with A in L0A, B in L0B and C in L0C; asynchronous on pipe M."""
    return _multiply('mma', (A, B, C), ('L0A', 'L0B', 'L0C'), False, False, init)


def set_deq_scale(scale):
    """The dequantisation scale of int32 -> half conversions."""
    return issue('set_deq_scale', scalar(scale, 'the scale'))
