"""Layouts, fixed addresses and views of tiles (dialect 3.4 - 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilelang.language.eager.builder import is_var
from tvm import tirx

from ..dtypes import dtype as dtype_of
from ..errors import DialectError, DialectTypeError
from .emit import declare, tracing
from .operands import SPACES, Operand, buffer_or_region, element_type, int_or_expr
from .leniency import doubt
from .where import check


@dataclass(frozen=True, slots=True)
class Layout:
    """Order of the elements of an L1 tile; changes where a non-zero start index of a copy points."""

    kind: str  # 'zN', 'nZ' or 'colMajor'
    shape: tuple[int, ...]


def _layout(kind: str, buffer: Any) -> Layout:
    check(isinstance(buffer, tirx.Buffer), DialectTypeError, f'a layout is made of a buffer, got {buffer!r}')
    check(len(buffer.shape) >= 2, DialectError, f'{buffer.name} has one dimension', 'a fractal layout orders a matrix')
    return Layout(kind, tuple(int(d) for d in buffer.shape))


def make_zn_layout(buffer) -> Layout:
    """Column panels of one 32-byte block, rows contiguous inside a panel: what GM -> L1 writes."""
    return _layout('zN', buffer)


def make_nz_layout(buffer) -> Layout:
    """Row panels of one 32-byte block."""
    return _layout('nZ', buffer)


def make_col_major_layout(buffer) -> Layout:
    return _layout('colMajor', buffer)


def _pairs(name: str, mapping: Any):
    check(isinstance(mapping, dict), DialectTypeError, f'T.{name} takes a dict of buffers, got {mapping!r}')
    for buffer, value in mapping.items():
        found = buffer_or_region(buffer, f'a key of T.{name}')
        check(found.form == 'buffer' and found.space != 'GM', DialectTypeError, f'T.{name}: {found} is not an on-chip buffer',
              'GM tensors belong to the caller')
        yield found, value


def annotate_layout(layouts: dict) -> None:
    """Chooses the layout of L1 tiles."""
    for found, layout in _pairs('annotate_layout', layouts):
        check(isinstance(layout, Layout), DialectTypeError, f'T.annotate_layout: {layout!r} is no layout',
              instead='tiletwin.intrinsics.make_zn_layout(buf)')
        doubt(found.space in ('L1', 'SHARED'), DialectError, f'T.annotate_layout: {found.name} is in {found.space}',
              'only L1 tiles have a choice of layout', 'no annotation')
        if found.space not in ('L1', 'SHARED'):
            continue
        check(layout.shape == tuple(int(d) for d in found.shape), DialectError,
              f'T.annotate_layout: the layout of {found.name} was made for shape {list(layout.shape)}')
        declare('annotate_layout', found.call(), layout=layout.kind)


def annotate_address(addresses: dict) -> None:
    """Fixes byte offsets of tiles inside their memory; overlaps alias."""
    for found, address in _pairs('annotate_address', addresses):
        address = int_or_expr(address)
        check(isinstance(address, int) and not isinstance(address, bool), DialectTypeError,
              f'T.annotate_address: the address of {found.name} is {address!r}', 'it must be an int')
        check(address >= 0, DialectError, f'T.annotate_address: {found.name} at {address}',
              'an address is a byte offset from the start of the memory')
        check(address % 32 == 0, DialectError, f'T.annotate_address: {found.name} at {address} is not a multiple of 32',
              'on-chip memories are addressed in 32-byte blocks', f'{address // 32 * 32}')
        declare('annotate_address', found.call(), address=address)


def _alias(src: Operand, shape: Any, dtype: str) -> tirx.Buffer:
    dims = [shape] if isinstance(shape, (int, tirx.PrimExpr)) else list(shape)
    builder = tracing('a view')
    buffer = tirx.decl_buffer(dims, dtype, f'{src.name}_view', scope=src.buffer.scope())
    builder.fresh(builder.with_buffer_span(buffer))
    declare('declare_alias', Operand(buffer, (0,) * len(dims), tuple(dims), 'buffer').call(), src.call())
    return buffer


def _viewed(src: Any, name: str) -> Operand:
    check(isinstance(src, tirx.Buffer) and not is_var(src), DialectTypeError, f'T.{name} takes a whole buffer, got {src!r}',
          'a view starts at the first byte of its buffer')
    return buffer_or_region(src, f'the operand of T.{name}')


def reshape(src, shape):
    """The same bytes under another shape; the number of elements is not checked."""
    found = _viewed(src, 'reshape')
    return _alias(found, shape, found.dtype)


def view(src, shape=None, dtype=None):
    """The same bytes under another shape and element type; the size is not checked."""
    found = _viewed(src, 'view')
    return _alias(found, found.shape if shape is None else shape, found.dtype if dtype is None else element_type(dtype))


def reinterpretcast(dst, src, casttype):
    """From here on `dst` names the bytes of `src` from offset 0 as elements of `casttype`; its own allocation is unused."""
    check(isinstance(casttype, str), DialectTypeError, f'reinterpretcast: casttype must be a device type name, got {casttype!r}',
          instead='"int32_t", "half", "float"')
    to, of = (buffer_or_region(v, f'the {w} of reinterpretcast') for v, w in ((dst, 'destination'), (src, 'source')))
    check(to.form == of.form == 'buffer', DialectTypeError, 'reinterpretcast takes whole buffers', 'the alias starts at the first byte')
    check(to.space == of.space and to.space in SPACES.values() and to.space != 'GM', DialectError, f'reinterpretcast from {of.space} to {to.space}',
          'an alias lives in the memory of its source')
    declare('declare_alias', to.call(), of.call(), dtype=dtype_of(casttype).name)
