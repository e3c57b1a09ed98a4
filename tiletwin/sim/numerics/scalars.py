"""Functions of stored values in generated code: scalars or arrays, rounded to their dtype per step."""

from __future__ import annotations

import numpy as np

from .rounding import array_to, scalar

_MATH = {'exp': np.exp, 'log': np.log, 'sqrt': np.sqrt, 'sin': np.sin, 'cos': np.cos, 'tanh': np.tanh, 'floor': np.floor, 'ceil': np.ceil,
         'trunc': np.trunc, 'abs': np.abs}


def away(x):
    """C round(): halves away from zero."""
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.copysign(1, x), 0).astype(np.asarray(x).dtype)


def unary(op: str, x):
    """`op` of a float32 scalar or array, rounded to float32 per step."""
    if op == 'rsqrt':
        return np.float32(1) / np.sqrt(x)
    if op == 'sigmoid':
        return np.float32(1) / (np.float32(1) + np.exp(-x))
    if op == 'round':
        return away(x)
    return _MATH[op](x)


def cast(dtype: str, x):
    """C conversion of a scalar or array."""
    return array_to(x, dtype, '') if isinstance(x, np.ndarray) else scalar(x, dtype)


def quotient(a, b, dtype: str):
    """C division of integers, scalars or arrays; by zero it is 0."""
    if not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray):
        a, b = int(a), int(b)
        if b == 0:
            return 0
        return -(-a // b) if (a < 0) != (b < 0) else a // b
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    safe = np.where(b == 0, 1, b)
    return np.where(b == 0, 0, np.abs(a) // np.abs(safe) * np.sign(a) * np.sign(safe))


def remainder(a, b, dtype: str):
    return a - b * quotient(a, b, dtype)
