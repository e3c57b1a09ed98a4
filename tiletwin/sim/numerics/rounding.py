"""Rounding of float32 values to the narrow float types, and scalars as the dtype holds them."""

from __future__ import annotations

import math
import struct

import numpy as np
import torch

from ..memory import NARROW, numpy_dtype, torch_dtype


def settle(values: np.ndarray, dtype: str) -> np.ndarray:
    """Rounds float32 `values` in place to what `dtype` can hold (nearest, ties to even)."""
    if dtype in NARROW:
        if values.flags.c_contiguous:
            t = torch.from_numpy(values)
            t.copy_(t.to(torch_dtype(dtype)))
        else:
            values[...] = torch.from_numpy(np.ascontiguousarray(values)).to(torch_dtype(dtype)).to(torch.float32).numpy()
    return values


def rounded(values, dtype: str):
    """`values` (array or scalar) as `dtype` holds them."""
    if dtype in NARROW:
        a = np.array(values, np.float32)
        out = settle(a.reshape(-1), dtype).reshape(a.shape)
        return out if out.ndim else out[()]
    if dtype == 'float32':
        return np.float32(values) if np.ndim(values) == 0 else np.asarray(values, np.float32)
    return values


def half(x) -> np.float32:
    return np.float32(np.float16(x))


def bf16(x) -> np.float32:
    if x != x:
        return np.float32(math.nan)
    bits = struct.unpack('<I', struct.pack('<f', np.float32(x)))[0]
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return np.float32(struct.unpack('<f', struct.pack('<I', bits & 0xFFFFFFFF))[0])


def wrap(x: int, dtype: str) -> int:
    """An integer as a register of `dtype` holds it."""
    if dtype == 'bool':
        return bool(x)
    bits = numpy_dtype(dtype).itemsize * 8
    x = int(x) & ((1 << bits) - 1)
    return x - (1 << bits) if dtype[0] == 'i' and x >> (bits - 1) else x


def scalar(x, dtype: str):
    """A scalar converted to `dtype` as C does: floats round, integers truncate and wrap."""
    if dtype == 'float16':
        return half(x)
    if dtype == 'bfloat16':
        return bf16(x)
    if dtype == 'float32':
        return np.float32(x)
    if dtype in NARROW:
        return rounded(x, dtype)
    if dtype == 'bool':
        return bool(x)
    if isinstance(x, (float, np.floating)):
        if x != x:
            return 0
        info = np.iinfo(numpy_dtype(dtype))
        x = int(max(min(float(x), float(info.max)), float(info.min)))
    return wrap(x, dtype)


def store(flat, index: int, value) -> None:
    """One element of exact storage."""
    flat[index] = float(value)


def array_to(values, dtype: str, source: str):
    """Elementwise C conversion of an array."""
    target = numpy_dtype(dtype)
    if target.kind == 'f':
        return rounded(np.asarray(values).astype(np.float32), dtype)
    values = np.asarray(values)
    if dtype == 'bool':
        return values != 0
    if values.dtype.kind == 'f':
        info = np.iinfo(target)
        wide = np.trunc(np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=info.max, neginf=info.min))
        return saturate(wide, target)
    return values.astype(target)


def saturate(wide: np.ndarray, target: np.dtype) -> np.ndarray:
    """float64 integral values to an integer type, clamped to its range."""
    info = np.iinfo(target)
    if target.itemsize == 8:
        top = wide >= float(info.max)
        bottom = wide <= float(info.min)
        out = np.where(top | bottom, 0.0, wide).astype(target)
        out[top], out[bottom] = info.max, info.min
        return out
    return np.clip(wide, info.min, info.max).astype(target)
