"""Host-side torch as it behaves beside an NPU.

Matrix products of 16-bit floats accumulate in float32 and round once, as the cube core does. What CPU torch refuses only because
of an element type is done in a type it takes: indices and class labels as int64, 16-bit floats as float32 rounded back.
"""

from __future__ import annotations

import re
from typing import Any, Callable

import torch
import torch.nn.functional as F

_HALF = (torch.float16, torch.bfloat16)
_SMALL_INTS = (torch.int32, torch.int16, torch.uint8, torch.int8)
_PRODUCTS = frozenset({
    torch.matmul, torch.mm, torch.bmm, torch.mv, torch.addmm, torch.baddbmm, torch.einsum, torch.dot, torch.tensordot, F.linear, F.bilinear,
    F.conv1d, F.conv2d, F.conv3d, F.conv_transpose2d, torch.conv1d, torch.conv2d, torch.conv3d,
    torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.bmm, torch.Tensor.mv, torch.Tensor.addmm, torch.Tensor.baddbmm, torch.Tensor.dot,
    torch.Tensor.__matmul__, torch.Tensor.__rmatmul__,
})
_NO_KERNEL = re.compile(r"not implemented for '(Half|BFloat16|Float8_e4m3fn|Float8_e5m2)'|not supported .*(Half|BFloat16)")
_WANTS_LONG = re.compile(r'int64|Long\b|long\b|\bLongTensor')


def call(func: Callable, args: tuple, kwargs: dict) -> Any:
    """The torch call, done as beside an NPU."""
    if func in _PRODUCTS:
        half = _half_of(args, kwargs)
        if half is not None and 'out' not in kwargs:
            return _mapped(func(*_mapped(args, _HALF, torch.float32), **_mapped(kwargs, _HALF, torch.float32)), (torch.float32,), half)
    try:
        return func(*args, **kwargs)
    except (RuntimeError, IndexError, TypeError) as error:
        again = _other_types(str(error), func, args, kwargs)
        if again is None:
            raise
        return again()


def _other_types(message: str, func: Callable, args: tuple, kwargs: dict) -> Callable | None:
    if _NO_KERNEL.search(message) and not getattr(func, '__name__', '').endswith('_') and 'out' not in kwargs:
        half = _half_of(args, kwargs)
        if half is not None:
            return lambda: _mapped(func(*_mapped(args, _HALF, torch.float32), **_mapped(kwargs, _HALF, torch.float32)), (torch.float32,), half)
    if _WANTS_LONG.search(message) and _has(args, _SMALL_INTS, 1) | _has(tuple(kwargs.values()), _SMALL_INTS, 0):
        # The first operand is the data; indices and labels come behind it.
        return lambda: func(*args[:1], *_mapped(args[1:], _SMALL_INTS, torch.int64), **_mapped(kwargs, _SMALL_INTS, torch.int64)) \
            if _has(args[1:], _SMALL_INTS, 0) or kwargs else func(*_mapped(args, _SMALL_INTS, torch.int64))
    return None


def _tensors(value: Any):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _has(args: tuple, dtypes: tuple, start: int) -> bool:
    return any(t.dtype in dtypes for t in _tensors(args[start:])) or any(t.dtype in dtypes for t in _tensors(args[:start]))


def _half_of(args: tuple, kwargs: dict) -> torch.dtype | None:
    """The 16-bit type of the floating operands, when they share one."""
    found = {t.dtype for t in _tensors((args, kwargs)) if t.is_floating_point()}
    return found.pop() if len(found) == 1 and found <= set(_HALF) else None


def _mapped(value: Any, dtypes: tuple, to: torch.dtype) -> Any:
    """The same arguments with tensors of `dtypes` as `to`."""
    if isinstance(value, torch.Tensor):
        return value.to(to) if value.dtype in dtypes else value
    if type(value) in (list, tuple):
        return type(value)(_mapped(v, dtypes, to) for v in value)
    if isinstance(value, dict):
        return {k: _mapped(v, dtypes, to) for k, v in value.items()}
    return value
