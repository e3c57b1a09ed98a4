"""Operands as the dialect sees them: buffers, slices, start indices and scalars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tilelang.language.eager.builder import Ref, is_var
from tilelang.language.frame import get_let_value, has_let_value
from tvm import tirx
from tvm.tirx.expr import EqualOp, NotEqualOp

from ..dtypes import dtype as dtype_of
from ..errors import DialectError, DialectTypeError, TileTwinError
from .carrier import region_call
from .emit import tracing
from .where import check, fail

SPACES = {'global': 'GM', 'shared': 'UB', 'shared.l1': 'L1', 'wmma.matrix_a': 'L0A', 'wmma.matrix_b': 'L0B', 'wmma.accumulator': 'L0C',
          'local.var': 'VAR', 'shared.dyn': 'SHARED', 'local.fragment': 'FRAGMENT'}
SCOPES = {space: scope for scope, space in SPACES.items()}


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor operand. `form` is 'buffer', 'region' or 'element'; an element has no extents of its own."""

    buffer: tirx.Buffer
    starts: tuple
    extents: tuple
    form: str

    @property
    def shape(self) -> tuple:
        return tuple(int_or_expr(d) for d in self.buffer.shape)

    @property
    def space(self) -> str:
        return SPACES[self.buffer.scope()]

    @property
    def dtype(self) -> str:
        return str(self.buffer.dtype)

    @property
    def name(self) -> str:
        return self.buffer.name

    @property
    def size(self) -> Any:
        n: Any = 1
        for e in self.extents:
            n = n * e
        return int_or_expr(n)

    def call(self, starts=None, extents=None, form: str | None = None) -> tirx.Call:
        return region_call(form or self.form, self.buffer, self.starts if starts is None else starts, self.extents if extents is None else extents)

    def __str__(self) -> str:
        if self.form == 'buffer':
            return f'{self.name}{list(self.shape)}'
        if self.form == 'element':
            return f'{self.name}[{", ".join(map(str, self.starts))}]'
        return f'{self.name}[{", ".join(f"{s}:+{e}" for s, e in zip(self.starts, self.extents, strict=True))}]'


def int_or_expr(value: Any) -> Any:
    return int(value) if isinstance(value, (int, tirx.IntImm)) else value


def resolve(value: Any) -> Any:
    """What a name stands for in a copy: the element behind a let is a start index, not a value."""
    if isinstance(value, tirx.Var) and has_let_value(value):
        behind = get_let_value(value)
        if isinstance(behind, (tirx.BufferRegion, tirx.BufferLoad)):
            return behind
    return value


def tensor(value: Any) -> Operand | None:
    """The tensor operand, or None for a scalar."""
    if isinstance(value, Ref):
        value = value.load()
    if isinstance(value, tirx.Buffer):
        zero = (0,) * len(value.shape)
        return Operand(value, zero, tuple(int_or_expr(d) for d in value.shape), 'buffer')
    if isinstance(value, tirx.BufferRegion):
        return Operand(value.buffer, tuple(int_or_expr(r.min) for r in value.region), tuple(int_or_expr(r.extent) for r in value.region), 'region')
    if isinstance(value, tirx.BufferLoad):
        if is_var(value.buffer):
            return None
        for i in value.indices:
            check(not isinstance(i, tirx.Ramp), DialectError, f'a slice with a step on {value.buffer.name}',
                  'a region is contiguous in every dimension', 'a slice without a step')
        return Operand(value.buffer, tuple(int_or_expr(i) for i in value.indices), (), 'element')
    return None


def buffer_or_region(value: Any, what: str, spaces: tuple[str, ...] = ()) -> Operand:
    """An operand with extents, in one of `spaces`."""
    found = tensor(value)
    check(found is not None and found.form != 'element', DialectTypeError, f'{what} must be a buffer or a slice, got {shown(value)}',
          'a start index alone has no extent here', 'buf, or buf[a:b, :]')
    if spaces:
        require_space(found, what, spaces)
    return found


def require_space(operand: Operand, what: str, spaces: tuple[str, ...]) -> None:
    allowed = (*spaces, *(('SHARED',) if {'UB', 'L1'} & set(spaces) else ()), *(('FRAGMENT',) if {'L0A', 'L0B', 'L0C'} & set(spaces) else ()))
    check(operand.space in allowed, DialectTypeError, f'{what} must be in {" or ".join(spaces)}, but {operand.name} is in {operand.space}',
          'each unit reads and writes only its own memories', f'copy {operand.name} to {spaces[0]} first')


def shown(value: Any) -> str:
    found = tensor(value)
    return str(found) if found is not None else repr(value)


def scalar(value: Any, what: str) -> tirx.PrimExpr:
    """A Python number or scalar expression as TIR."""
    if isinstance(value, Ref):
        value = value.load()
    if isinstance(value, (EqualOp, NotEqualOp)):
        value = value.asobject()
    if isinstance(value, tirx.Buffer) and is_var(value):
        return tirx.BufferLoad(value, [0])
    if isinstance(value, bool):
        return tirx.const(value, 'bool')
    if isinstance(value, int):
        return tirx.const(value, 'int32' if -(2**31) <= value < 2**31 else 'int64')
    if isinstance(value, float):
        return tirx.const(value, 'float32')
    if isinstance(value, tirx.PrimExpr) and not isinstance(value, tirx.StringImm):
        return value
    if type(value).__module__ == 'numpy' and getattr(value, 'shape', None) == ():
        return scalar(value.item(), what)
    fail(DialectTypeError, f'{what} must be a number or a scalar expression, got {shown(value)}')


def scalar_or_element(value: Any, what: str):
    """A scalar operand: a number, an expression, or one element that the scalar unit reads (dialect 5.3)."""
    found = tensor(value)
    if found is None:
        return scalar(value, what)
    check(found.form == 'element', DialectTypeError, f'{what} must be a scalar or one element, got {found}', instead='buf[i] for one element')
    return found.call(extents=(1,) * len(found.starts))


def text(value: Any, what: str) -> tirx.StringImm:
    check(isinstance(value, str), DialectTypeError, f'{what} must be a string, got {value!r}')
    return tirx.StringImm(value)


def same_value(a: Any, b: Any) -> bool:
    """Whether two sizes are provably equal."""
    a, b = int_or_expr(a), int_or_expr(b)
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return tvm.arith.Analyzer().can_prove_equal(a, b)


def element_type(name: Any) -> str:
    """The element type of any spelling the dialect takes."""
    try:
        return dtype_of(name).name
    except TileTwinError as error:
        fail(type(error), error.what, error.why, error.instead)


def in_named_slices(value: Any) -> bool:
    """Whether the operand is a slice that was bound to a name first."""
    return any(value is alias for alias in tracing('operand').aliases)
