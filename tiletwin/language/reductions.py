"""Reductions of UB tiles (dialect 5.4)."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from ..errors import DialectError, DialectTypeError
from .emit import issue
from .operands import Operand, buffer_or_region, int_or_expr
from .where import check, fail

KINDS = ('sum', 'max', 'min')


def reduce(buffer, out, reduce_type, dim, real_shape=None, clear=True):
    """out = the reduction of buffer along `dim`; with clear=False merged into what out holds."""
    kind = str(reduce_type).removeprefix('reduce_')
    check(kind in KINDS, DialectError, f'T.reduce: unknown reduction {reduce_type!r}', 'the vector unit reduces by ' + ', '.join(KINDS),
          '"reduce_sum", "reduce_max" or "reduce_min"')
    check(isinstance(clear, bool), DialectTypeError, f'T.reduce_{kind}: clear must be bool, got {clear!r}')
    src, dst = (buffer_or_region(v, f'{w} of T.reduce_{kind}', ('UB',)) for v, w in ((buffer, 'the source'), (out, 'the result')))
    check(src.dtype == dst.dtype, DialectTypeError, f'T.reduce_{kind}: {src.name} is {src.dtype} but {dst.name} is {dst.dtype}', 'one element type',
          'T.tile.cast first')
    axis, rows, cols = _axis(src, dim)
    real = _real_shape(src, real_shape)
    m, n = (rows, cols) if real is None else (_valid(real[0], rows) if len(src.extents) > 1 else 1, _valid(real[1], cols))
    if len(src.extents) <= 2:
        _check_result(src, dst, axis, m, n, cols, real is not None)
    return issue('reduce', dst.call(), src.call(), kind=kind, dim=axis, clear=clear, M=m, N=n, cols=cols,
                 real_shape=None if real is None else tirx.call_extern('handle', 'shape', *real))


def _axis(src: Operand, dim: Any) -> tuple[int, Any, Any]:
    """The reduced axis (0 or -1) and the matrix it belongs to."""
    check(isinstance(dim, int) and not isinstance(dim, bool), DialectTypeError, f'the reduce axis must be an int, got {dim!r}',
          'it is encoded in the instruction')
    rank = len(src.extents)
    allowed = {1: {0: -1, -1: -1}, 2: {0: 0, -2: 0, 1: -1, -1: -1}, 3: {0: 0, -2: 0, 1: -1, -1: -1}}.get(rank)
    check(allowed is not None and dim in allowed, DialectError,
          f'Ascend reduce only supports axis 0 and 1 of tiles of rank 1 to 3, got axis {dim} of {src}',
          'a tile is reduced along its rows or its columns', 'dim=-1 or dim=0; on rank 3 they count the last two axes')
    rows, cols = (1, src.extents[0]) if rank == 1 else src.extents[-2:]
    return allowed[dim], rows, cols


def _real_shape(src: Operand, real_shape: Any) -> tuple | None:
    if real_shape is None:
        return None
    check(isinstance(real_shape, (list, tuple)) and len(real_shape) == 2, DialectTypeError if not isinstance(real_shape, (list, tuple))
          else DialectError,
          f'real_shape must be [rows, cols], got {real_shape!r}', 'it is the valid part of a matrix')
    found = []
    bounds = ((1,) * 2 + tuple(src.extents))[-2:]
    for i, (value, bound) in enumerate(zip(real_shape, bounds)):
        check(isinstance(value, (int, tirx.PrimExpr)) and not isinstance(value, bool), DialectTypeError,
              f'real_shape[{i}] must be an int or an expression, got {value!r}',
              'it counts rows or columns')
        value = int_or_expr(value)
        if isinstance(value, int):
            check(value >= 0, DialectError, f'real_shape[{i}] must be >= 0, got {value}', '0 means the full extent')
            check(not isinstance(bound, int) or value <= bound, DialectError, f'real_shape[{i}] exceeds buffer extent: {value} > {bound}',
                  'the valid part lies inside the tile')
        found.append(value)
    return tuple(found)


def _valid(real: Any, full: Any) -> Any:
    return full if isinstance(real, int) and real == 0 else real


def _check_result(src: Operand, dst: Operand, axis: int, m: Any, n: Any, physical_cols: Any, partial: bool) -> None:
    got = [int_or_expr(e) for e in dst.extents]
    kept = m if axis == -1 else n
    allowed = [[1]] if len(src.extents) == 1 else [[kept], [kept, 1] if axis == -1 else [1, kept]]
    if partial:
        full = src.extents[-2] if len(src.extents) > 1 else 1
        allowed += [[full], [full, 1]] if axis == -1 else [[physical_cols], [1, physical_cols]]
    squeezed = [e for e in got if e != 1] or [1]
    ok = any(_same(got, a) for a in allowed) or (dst.form == 'region' and any(_same(squeezed, [e for e in a if e != 1] or [1]) for a in allowed))
    if not ok:
        fail(DialectError, f'Invalid reduce output shape for Ascend fast-path reduce: {dst} for {src} along dim {axis}',
             'the result is dense: one element per kept row or column',
             'shape ' + ' or '.join(str([str(e) if not isinstance(e, int) else e for e in a]) for a in allowed))


def _same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(x == y if isinstance(x, int) and isinstance(y, int) else str(x) == str(y) for x, y in zip(a, b))


def _named(kind: str, buffer, out, dim, args, clear, real_shape):
    seen: dict[str, Any] = {}
    check(len(args) <= 2, DialectTypeError, f'T.reduce_{kind} takes at most two positional arguments after dim, got {len(args)}')
    for value in args:
        name = 'clear' if isinstance(value, bool) else 'real_shape' if isinstance(value, (list, tuple)) else None
        check(name is not None, DialectTypeError, f'T.reduce_{kind}: positional argument {value!r}', 'a bool is clear, a list is real_shape',
              'clear=..., real_shape=[rows, cols]')
        check(name not in seen, DialectTypeError, f'T.reduce_{kind}: {name} given twice')
        seen[name] = value
    for name, given in (('clear', clear), ('real_shape', real_shape)):
        check(given is None or name not in seen, DialectTypeError, f'T.reduce_{kind}: {name} given twice')
    clear = seen.get('clear', True if clear is None else clear)
    return reduce(buffer, out, kind, dim, seen.get('real_shape', real_shape), clear)


def reduce_sum(buffer, out, dim=-1, *args, clear=None, real_shape=None):
    """out = the sum along `dim`."""
    return _named('sum', buffer, out, dim, args, clear, real_shape)


def reduce_max(buffer, out, dim=-1, *args, clear=None, real_shape=None):
    """out = the maximum along `dim`."""
    return _named('max', buffer, out, dim, args, clear, real_shape)


def reduce_min(buffer, out, dim=-1, *args, clear=None, real_shape=None):
    """out = the minimum along `dim`."""
    return _named('min', buffer, out, dim, args, clear, real_shape)


