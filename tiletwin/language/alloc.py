"""On-chip tiles and scalar variables (dialect 3.1)."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as tb

from ..dtypes import dtype as dtype_of
from ..errors import DialectError, DialectTypeError
from .carrier import region_call
from .emit import declare, tracing
from .operands import element_type, int_or_expr
from .where import check, fail


def _shape(shape: Any, name: str) -> list[int]:
    dims = [shape] if isinstance(shape, (int, tirx.IntImm)) else shape
    check(isinstance(dims, (list, tuple)) or hasattr(dims, '__len__'), DialectTypeError, f'{name}: the shape is {shape!r}',
          'a shape is a list of extents', 'T.alloc_ub((64, 64), "float16")')
    found = []
    for d in dims:
        d = int_or_expr(d)
        check(isinstance(d, int) and not isinstance(d, bool), DialectError, f'{name}: the extent {d} is not a compile-time constant',
              'on-chip memory is laid out when the kernel is compiled', 'a Python int; only GM tensors have symbolic extents')
        check(d > 0, DialectError, f'{name}: the extent {d} is not positive')
        found.append(d)
    check(bool(found), DialectError, f'{name}: a tile has at least one dimension')
    return found


def _tile(function: str, shape: Any, dtype: Any, scope: str) -> tirx.Buffer:
    builder = tracing(f'T.{function}')
    buffer = tb.alloc_buffer(_shape(shape, function), element_type(dtype), scope=scope)
    return builder.fresh(builder.with_buffer_span(buffer))


def alloc_shared(shape, dtype, scope='shared.dyn'):
    """A tile whose memory (UB or L1) the compiler infers from its uses."""
    check(scope in ('shared.dyn', 'shared'), DialectError, f'alloc_shared(scope={scope!r})', instead='alloc_ub or alloc_L1 to choose the memory')
    return _tile('alloc_shared', shape, dtype, 'shared' if element_type(dtype) == 'bool' else scope)


def alloc_fragment(shape, dtype, scope='local.fragment'):
    """A cube operand or accumulator whose memory (L0A, L0B or L0C) the compiler infers."""
    check(scope == 'local.fragment', DialectError, f'alloc_fragment(scope={scope!r})',
          instead='alloc_L0A, alloc_L0B or alloc_L0C to choose the memory')
    return _tile('alloc_fragment', shape, dtype, scope)


def alloc_ub(shape, dtype):
    return _tile('alloc_ub', shape, dtype, 'shared')


def alloc_L1(shape, dtype):
    return _tile('alloc_L1', shape, dtype, 'shared.l1')


def alloc_L0A(shape, dtype):
    return _tile('alloc_L0A', shape, dtype, 'wmma.matrix_a')


def alloc_L0B(shape, dtype):
    return _tile('alloc_L0B', shape, dtype, 'wmma.matrix_b')


def alloc_L0C(shape, dtype):
    return _tile('alloc_L0C', shape, dtype, 'wmma.accumulator')


_MISSING = object()


def alloc_var(dtype, *args, scope=_MISSING, init=_MISSING):
    """A scalar variable. Its name reads the value; assigning the name stores (dialect 3.1)."""
    check(len(args) <= 2, DialectTypeError, f'alloc_var expected at most 3 positional arguments, but got {len(args) + 1}',
          instead='T.alloc_var(dtype, init)')
    for position, value in enumerate(args):
        # One positional string is a scope; with two positionals the first is the initial value.
        if isinstance(value, str) and (len(args) == 1 or position == 1):
            check(scope is _MISSING, DialectTypeError, 'Scope specified multiple times in alloc_var.')
            scope = value
        elif position == 1:
            fail(DialectTypeError, 'Scope must be provided as a string in alloc_var.', instead='T.alloc_var(dtype, init, "local.var")')
        else:
            check(init is _MISSING, DialectTypeError, 'Initializer specified multiple times in alloc_var.', instead='the initial value once')
            init = value
    scope = 'local.var' if scope is _MISSING else scope
    check(isinstance(scope, str), DialectTypeError, 'Scope must be provided as a string in alloc_var.')
    check(scope == 'local.var', DialectError, f'alloc_var(scope={scope!r})', 'a scalar variable lives in a register of the scalar unit',
          'scope="local.var"')
    name = element_type(dtype)
    builder = tracing('T.alloc_var')
    var = builder.fresh(builder.with_buffer_span(tb.alloc_buffer([1], name, scope=scope)))
    init = None if init is _MISSING else init
    constant = init if isinstance(init, (bool, int, float)) else init.value if isinstance(init, (tirx.IntImm, tirx.FloatImm)) else None
    if init is None or constant is not None:
        declare('declare_var', region_call('element', var, [0], [1]), init=_cast(name, 0 if init is None else constant))
    else:
        check(isinstance(init, tirx.PrimExpr), DialectTypeError, f'alloc_var: the initial value is {init!r}',
              'it must be a number or a scalar expression')
        tb.buffer_store(var, init, [0])
    return var


def _cast(dtype: str, value):
    kind = dtype_of(dtype).kind
    return bool(value) if kind == 'b' else float(value) if kind == 'f' else int(value)
