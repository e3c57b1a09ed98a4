"""Copies and atomic adds: which elements move (dialect 4.1.1)."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from ..errors import DialectAssertionError, DialectError, DialectTypeError, PathError
from ..ir.ops import ROUTES
from .emit import issue
from .operands import Operand, int_or_expr, resolve, same_value, scalar, shown, tensor
from .leniency import doubt
from .where import check, fail, here

_UNPLACED = ('SHARED', 'FRAGMENT')


def _operand(value: Any, what: str) -> Operand:
    found = tensor(resolve(value))
    check(found is not None, DialectTypeError, f'{what} must be a tensor, got {shown(value)}', 'a copy moves tiles',
          'a buffer, a slice, or start indices A[i, j]')
    return found


def _larger(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return a if same_value(a, b) else tirx.max(a, b)


def merged_extents(src: Operand, dst: Operand) -> tuple:
    """The extents both sides agree on; a side of start indices only takes them from the other."""
    check(src.form != 'element' or dst.form != 'element', DialectAssertionError, f"Can't deduce copy extents from args: {src} and {dst}",
          'start indices say where, not how much', 'a whole buffer or a slice on one side: A[i:i + 64, j:j + 64]')
    ranks = max(len(src.extents), len(dst.extents))
    a, b = ((*x.extents, *(1,) * (ranks - len(x.extents))) for x in (src, dst))
    return tuple(_larger(p, q) for p, q in zip(a, b, strict=True))


def extents_of(operand: Operand, merged: tuple) -> tuple:
    """An operand's own extents, or for start indices the last entries of the merged ones."""
    if operand.form != 'element':
        return operand.extents
    rank = len(operand.starts)
    last = merged[-rank:]
    return (1,) * (rank - len(last)) + tuple(last)


def _check_route(src: Operand, dst: Operand, transpose: bool, relu: bool, padded: bool) -> None:
    pair = (src.space, dst.space)
    if any(s in _UNPLACED for s in pair):
        return
    if pair not in ROUTES:
        raise PathError(f'Unsupported scope: src = {src.space} ({src.name}), dst = {dst.space} ({dst.name})', where=here(),
                        why='the copy engines connect ' + ', '.join(f'{s}->{d}' for s, d in ROUTES),
                        instead='stage the tile through a memory both sides reach')
    for given, label, routes, why in (
            (transpose, 'transpose', (('L1', 'L0A'), ('L1', 'L0B')), 'only the L1 -> L0 load engine transposes'),
            (relu, 'enable_relu', (('L0C', 'GM'), ('L0C', 'UB')), 'only the write-out of L0C applies ReLU'),
            (padded, 'pad_value', (('GM', 'UB'),), 'only loads into UB are padded; L1 tails are always zero')):
        doubt(not given or pair in routes, DialectError, f'{label} on a copy {src.space} -> {dst.space} has no effect', why, f'drop {label}')


def copy(src, dst, enable_relu=False, transpose=False, pad_value=None):
    """Moves a tile; the engine follows from the memories of both sides."""
    a, b = _operand(src, 'the source of T.copy'), _operand(dst, 'the destination of T.copy')
    for flag, label in ((enable_relu, 'enable_relu'), (transpose, 'transpose')):
        check(isinstance(flag, bool), DialectTypeError, f'T.copy: {label} must be True or False, got {flag!r}')
    if a.form == b.form == 'buffer' and not transpose:
        check(len(a.shape) == len(b.shape) and all(same_value(p, q) for p, q in zip(a.shape, b.shape)), DialectError,
              f'StructuralEqual check failed: T.copy of whole buffers of different shape, {a} and {b}',
              'a whole buffer is copied to a whole buffer of the same shape',
              f'a slice: T.copy({a.name}[...], {b.name})')
    merged = merged_extents(a, b)
    _check_route(a, b, transpose, enable_relu, pad_value is not None)
    pad = None if pad_value is None else _pad(pad_value, b.dtype)
    return issue('copy', a.call(extents=extents_of(a, merged)), b.call(extents=extents_of(b, merged)), relu=enable_relu, transpose=transpose, pad=pad)


def _pad(value: Any, dtype: str) -> tirx.PrimExpr:
    found = scalar(value, 'pad_value')
    if isinstance(found, (tirx.IntImm, tirx.FloatImm)):
        return tirx.const(found.value, 'float64' if isinstance(found, tirx.FloatImm) else 'int64')
    return found if str(found.dtype) == dtype else tirx.Cast(dtype, found)


_ATOMIC = 'T.tile.atomic_add V1 only supports local tensor -> GM atomic add.'


def atomic_add(dst, src):
    """GM += tile, from UB or L0C; the destination is not cleared first."""
    operands = []
    for value, what in ((dst, 'dst'), (src, 'src')):
        found = tensor(resolve(value))
        check(found is not None, DialectTypeError, f'{_ATOMIC} {what} is {shown(value)}', 'it adds a tile to a tensor')
        operands.append(found)
    d, s = operands
    check(d.space == 'GM', DialectError, f'{_ATOMIC} requires global dst, but {d.name} is in {d.space}', 'the adder sits at the memory side',
          'T.tile.add for on-chip tiles')
    check(s.space in ('UB', 'L0C', *_UNPLACED), DialectError, f'{_ATOMIC} requires UB/shared or L0C, but {s.name} is in {s.space}',
          instead='copy the tile to UB first')
    check(d.dtype == s.dtype, DialectTypeError, f'{_ATOMIC} requires src and dst dtype to match, got {s.dtype} and {d.dtype}',
          instead='T.tile.cast into a tile of the destination type')
    if d.form == 'element' and s.form == 'element':
        fail(DialectAssertionError, f"Can't deduce copy extents from args: {s} and {d}", instead='a whole buffer or a slice on one side')
    known = [x for x in (d, s) if x.form != 'element']
    ranks = {len(x.starts) for x in (d, s)}
    check(len(ranks) == 1, DialectError, f'{_ATOMIC} ranks differ: {d} and {s}', 'every dimension of both sides is added',
          'slices of equal rank: A[i:i + 1, j:j + 64]')
    merged = tuple(_larger(p, q) for p, q in zip(known[0].extents, known[-1].extents, strict=True))
    return issue('atomic_add', *(x.call(extents=x.extents if x.form != 'element' else tuple(map(int_or_expr, merged))) for x in (d, s)))
