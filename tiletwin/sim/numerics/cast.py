"""Conversions between element types: the rounding modes of `cast` (dialect 5.3.8) and of copies that convert (4.1.9)."""

from __future__ import annotations

import numpy as np
import torch

from ..memory import NARROW, numpy_dtype, torch_dtype
from .rounding import saturate, settle


def convert(values: np.ndarray, dtype: str, mode: str, deq=1.0) -> np.ndarray:
    """`values` as `dtype`. CAST_NONE keeps the value where it fits and rounds half to even where it does not."""
    target = numpy_dtype(dtype)
    if target.kind == 'f':
        if values.dtype.kind != 'f':
            return _int_to_float(values, dtype, mode, deq)
        if dtype in NARROW:
            return narrow(values, dtype, mode)
        return values.astype(np.float32) if mode == 'CAST_NONE' else integral(values, mode).astype(np.float32)
    if target.kind == 'b':
        return values != 0
    if values.dtype.kind != 'f':
        return _int_to_int(values, target)
    wide = integral(values.astype(np.float64), 'CAST_RINT' if mode == 'CAST_NONE' else mode)
    return saturate(np.nan_to_num(wide, nan=0.0, posinf=np.inf, neginf=-np.inf), target)


def integral(x: np.ndarray, mode: str) -> np.ndarray:
    """Rounded to whole numbers."""
    if mode == 'CAST_FLOOR':
        return np.floor(x)
    if mode == 'CAST_CEIL':
        return np.ceil(x)
    if mode == 'CAST_TRUNC':
        return np.trunc(x)
    if mode == 'CAST_ROUND':
        whole = np.trunc(x)
        return whole + np.where(np.abs(x - whole) >= 0.5, np.copysign(x.dtype.type(1), x), x.dtype.type(0))
    return np.rint(x)


def _int_to_float(values: np.ndarray, dtype: str, mode: str, deq) -> np.ndarray:
    if values.dtype == np.int32 and dtype == 'float16':
        # the only int32 -> half path goes through the dequantisation scale register
        return settle((values.astype(np.float64) * float(deq)).astype(np.float32), dtype)
    exact = values.astype(np.float64)
    out = exact.astype(np.float32)
    if mode in ('CAST_FLOOR', 'CAST_CEIL', 'CAST_TRUNC', 'CAST_ROUND'):
        out = _directed(exact, out, mode)
    return settle(out, dtype)


def _directed(exact: np.ndarray, near: np.ndarray, mode: str) -> np.ndarray:
    """Float32 neighbour of `exact` in the direction of the mode, given the nearest one."""
    up, down = np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))
    if mode == 'CAST_FLOOR':
        return np.where(near > exact, down, near)
    if mode == 'CAST_CEIL':
        return np.where(near < exact, up, near)
    if mode == 'CAST_TRUNC':
        return np.where(np.abs(near.astype(np.float64)) > np.abs(exact), np.where(exact > 0, down, up), near)
    away = np.where(exact >= 0, up, down)
    toward = np.where(exact >= 0, down, up)
    tie_low = np.abs(exact - near) == np.abs(away.astype(np.float64) - exact)
    return np.where(tie_low & (np.abs(near.astype(np.float64)) < np.abs(exact)), away, np.where(near == toward, near, near))


def _int_to_int(values: np.ndarray, target: np.dtype) -> np.ndarray:
    """Narrowing integer conversions saturate."""
    if target.itemsize >= values.itemsize and target.kind == values.dtype.kind:
        return values.astype(target)
    info = np.iinfo(target)
    if values.dtype.kind == 'u':
        return np.minimum(values, values.dtype.type(min(info.max, np.iinfo(values.dtype).max))).astype(target)
    low = max(info.min, int(np.iinfo(values.dtype).min))
    high = min(info.max, int(np.iinfo(values.dtype).max))
    return np.clip(values, low, high).astype(target)


def narrow(values: np.ndarray, dtype: str, mode: str) -> np.ndarray:
    """Float32 to a narrow float in any rounding mode; the result is still an array of float32."""
    x = np.ascontiguousarray(values, np.float32)
    near = torch.from_numpy(x).to(torch_dtype(dtype))
    out = near.to(torch.float32).numpy().reshape(values.shape)
    if mode in ('CAST_NONE', 'CAST_RINT'):
        return out
    x = x.reshape(values.shape)
    exact = out == x
    bits = near.view(torch.int16 if near.element_size() == 2 else torch.int8).numpy().reshape(values.shape)
    finite = np.isfinite(x)
    # values beside `near`: one code further from or nearer to zero
    away = _decode(bits + bits.dtype.type(1), near.dtype, values.shape)
    toward = _decode(np.where(bits & np.iinfo(bits.dtype).max == 0, bits, bits - bits.dtype.type(1)).astype(bits.dtype), near.dtype, values.shape)
    over = np.abs(out) > np.abs(x)
    low, high = np.where(over, toward, out), np.where(over, out, away)  # in magnitude
    negative = np.signbit(x)
    if mode == 'CAST_TRUNC':
        pick = low
    elif mode == 'CAST_FLOOR':
        pick = np.where(negative, high, low)
    elif mode == 'CAST_CEIL':
        pick = np.where(negative, low, high)
    elif mode == 'CAST_ROUND':
        gap_low = np.abs(x.astype(np.float64)) - np.abs(low.astype(np.float64))
        top = np.where(np.isinf(high), 2 * np.abs(low.astype(np.float64)) - np.abs(toward.astype(np.float64)), np.abs(high.astype(np.float64)))
        pick = np.where(gap_low >= top - np.abs(x.astype(np.float64)), np.where(over | (gap_low > 0), high, out), low)
    else:  # CAST_ODD: the neighbour whose last bit is set
        odd = (bits & 1) == 1
        pick = np.where(odd, out, np.where(over, toward, away))
        pick = np.where(np.isinf(out) & over, toward, pick)
    return np.where(exact | ~finite, out, pick)


def _decode(bits: np.ndarray, dtype: torch.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return torch.from_numpy(np.ascontiguousarray(bits)).view(dtype).to(torch.float32).numpy().reshape(shape)
