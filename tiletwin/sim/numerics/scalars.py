"""Functions of scalar expressions in generated code; floats stay float32 unless control code needs a Python number."""

from __future__ import annotations

import math

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


def control_unary(op: str, x):
    """`op` in a control expression: a Python number."""
    if op == 'abs':
        return abs(x)
    if op in ('floor', 'ceil', 'trunc') and math.isfinite(x):
        return float(getattr(math, op)(x))
    return float(unary(op, np.float32(x)))


def control_cast(dtype: str, x):
    out = scalar(x, dtype)
    return float(out) if isinstance(out, np.floating) else out


def cast(dtype: str, x):
    """C conversion of a scalar or array."""
    return array_to(x, dtype, '') if isinstance(x, np.ndarray) else scalar(x, dtype)


def swizzle(t: int, rows: int, cols: int, off: int = 1, direction: int = 0) -> int:
    """Block order of the catlass identity swizzle (dialect 2.3): linear tile id of block `t`."""
    if direction:
        rows, cols = cols, rows
    group, r = divmod(t, off * cols)
    height = min(off, rows - off * group)
    mi, ni = group * off + r % height, r // height
    if group % 2:
        ni = cols - 1 - ni
    return ni * rows + mi if direction else mi * cols + ni


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
