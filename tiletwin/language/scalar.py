"""Parameter types, element types and scalar expressions: what the dialect shares with tilelang."""

from __future__ import annotations

import builtins
from typing import Any

import tilelang.language.tir.common as _tir
from tilelang.language import dtypes as _dtypes
from tilelang.language.proxy import Tensor as _tensor
from tilelang.language.proxy import make_tensor as _make_tensor
from tilelang.language.proxy import ptr
from tilelang.language.symbolics import dynamic as _dynamic
from tvm import tirx

from ..dtypes import DTYPES
from ..dtypes import dtype as dtype_of
from ..errors import DialectError, DialectTypeError
from .emit import tracing
from .operands import element_type
from .where import check

_ELEMENTS = tuple(n for n in DTYPES if hasattr(_dtypes, n))
globals().update({n: getattr(_dtypes, n) for n in _ELEMENTS})

_FUNCTIONS = ('And', 'Cast', 'Else', 'If', 'Not', 'Or', 'Select', 'Then', 'abs', 'ceil', 'cos', 'exp', 'floor', 'floordiv', 'floormod', 'func_attr',
              'grid', 'if_then_else', 'log', 'max', 'min',
              'pow', 'reinterpret', 'round', 'rsqrt', 'sigmoid', 'sin', 'sqrt', 'tanh', 'trunc', 'truncdiv', 'truncmod', 'vectorized')
globals().update({n: getattr(_tir, n) for n in _FUNCTIONS if hasattr(_tir, n)})

__all__ = [*_ELEMENTS, *(n for n in _FUNCTIONS if hasattr(_tir, n)),
           'Buffer', 'Tensor', 'cast', 'ceildiv', 'clamp', 'infinity', 'make_tensor', 'max_value', 'min_value', 'ptr', 'symbolic']



def Tensor(shape, dtype='float32'):
    """A tensor parameter in global memory."""
    dims = shape if isinstance(shape, (builtins.list, builtins.tuple)) or hasattr(shape, '__len__') else (shape,)
    for d in dims:
        check(isinstance(d, (builtins.int, tirx.PrimExpr)) and not isinstance(d, builtins.bool), DialectTypeError, f'T.Tensor: the extent {d!r}',
              'an extent is an int or an expression of symbolic dims')
        check(not isinstance(d, builtins.int) or d > 0, DialectError, f'T.Tensor: the extent {d} is not positive',
              'a tensor has at least one element per dimension')
    return _tensor(builtins.tuple(dims), element_type(dtype))


Buffer = Tensor


def make_tensor(pointer, shape, dtype='float32'):
    """A tensor behind a pointer parameter."""
    return tracing('T.make_tensor').fresh(_make_tensor(pointer, shape, element_type(dtype)))


def symbolic(name: str, dtype: str = 'int32'):
    """A dimension known only when the kernel is called."""
    return _dynamic(name, element_type(dtype))


class Extent(builtins.int):
    """An int that answers `.value`, as the constants of the compiler do."""

    @property
    def value(self) -> builtins.int:
        return builtins.int(self)


def ceildiv(a, b):
    """a / b rounded up."""
    if isinstance(a, builtins.int) and isinstance(b, builtins.int):
        check(b != 0, DialectError, f'T.ceildiv({a}, 0)', 'division by zero')
        return Extent(-(-a // b))
    return tirx.ceildiv(a, b)


def cast(value, dtype):
    """`value` converted to `dtype`."""
    name = element_type(dtype)
    return tirx.const(value, name) if isinstance(value, (builtins.int, builtins.float)) else tirx.Cast(name, value)


def clamp(value, low, high):
    """`value` limited to [low, high]."""
    return tirx.min(tirx.max(value, low), high)


def _float_limit(kind: str) -> tuple[builtins.float, builtins.float]:
    largest = {'float16': 65504.0, 'bfloat16': 3.3895313892515355e38, 'float32': 3.4028234663852886e38, 'float8_e4m3fn': 448.0,
               'float8_e5m2': 57344.0}[kind]
    return -largest, largest


def _limits(dtype: Any) -> tuple[Any, Any, str]:
    found = dtype_of(dtype)
    if found.kind == 'f':
        return (*_float_limit(found.name), found.name)
    bits = 8 * found.bytes
    low, high = (0, 2**bits - 1) if found.kind == 'u' else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return low, high, found.name


def infinity(dtype='float32'):
    """Positive infinity as a constant."""
    found = dtype_of(dtype)
    check(found.kind == 'f', DialectTypeError, f'T.infinity({found.name})', 'integers have no infinity', 'T.max_value')
    return tirx.FloatImm(found.name, builtins.float('inf'))


def max_value(dtype):
    """The largest finite value of `dtype`."""
    _, high, name = _limits(dtype)
    return tirx.const(high, name)


def min_value(dtype):
    """The smallest finite value of `dtype`."""
    low, _, name = _limits(dtype)
    return tirx.const(low, name)


