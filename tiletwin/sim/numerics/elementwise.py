"""Element-wise vector instructions that are more than one NumPy call. Operands are value arrays of equal length."""

from __future__ import annotations

import numpy as np

from .rounding import scalar, settle


def int_div(a: np.ndarray, b, out: np.ndarray) -> None:
    """C division of integers; a zero divisor gives 0."""
    wide_a = a.astype(np.int64)
    wide_b = np.broadcast_to(np.asarray(b, np.int64), wide_a.shape)
    safe = np.where(wide_b == 0, 1, wide_b)
    q = np.abs(wide_a) // np.abs(safe) * np.sign(wide_a) * np.sign(safe)
    out[...] = np.where(wide_b == 0, 0, q).astype(out.dtype)


def reciprocal_of(s, dtype: str):
    """The factor AscendC multiplies by for a division by the scalar `s` (dialect 5.3.1): 1/s in float, in the dtype."""
    with np.errstate(all='ignore'):
        return scalar(np.float32(1) / np.float32(s), dtype)


def reciprocals(s: np.ndarray, dtype: str) -> np.ndarray:
    """`reciprocal_of` for a column of scalars."""
    return settle(np.reciprocal(s.astype(np.float32)), dtype)


def rsqrt(x: np.ndarray, out: np.ndarray) -> None:
    np.sqrt(x, out)
    np.reciprocal(out, out)


def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    np.negative(x, out)
    np.exp(out, out)
    np.add(out, 1, out)
    np.reciprocal(out, out)


def sigmoid_pto(x: np.ndarray, out: np.ndarray) -> None:
    """Composed in the source tile, which is destroyed."""
    np.negative(x, x)
    np.exp(x, x)
    np.add(x, 1, x)
    np.reciprocal(x, out)


def silu(x: np.ndarray, out: np.ndarray) -> None:
    work = x.copy()
    sigmoid(work, out)
    np.multiply(work, out, out)


def silu_pto(x: np.ndarray, out: np.ndarray) -> None:
    work = x.copy()
    sigmoid_pto(x, out)
    np.multiply(work, out, out)


def leaky_relu(x: np.ndarray, s, out: np.ndarray) -> None:
    np.copyto(out, np.where(x >= 0, x, x * out.dtype.type(s)))


def mul_add(out: np.ndarray, a: np.ndarray, b) -> None:
    np.add(out, a * b, out)


def power(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    if a.dtype.kind == 'f':
        np.power(a, b, out)
        return
    exact = np.where(b >= 0, b, 0).astype(np.int64)
    one = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    out[...] = np.where(b >= 0, np.power(a.astype(np.int64), exact), one).astype(out.dtype)


def power_pto(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """exp(ln(a) * b), composed in the first source."""
    np.log(a, a)
    np.multiply(a, b, a)
    np.exp(a, out)


def round_away(x: np.ndarray, out: np.ndarray) -> None:
    """To the nearest integer, halves away from zero."""
    whole = np.trunc(x)
    step = np.where(np.abs(x - whole) >= 0.5, np.copysign(np.float32(1), x), np.float32(0))
    np.copyto(out, whole + step)


def shift_left(x: np.ndarray, s: int, out: np.ndarray) -> None:
    bits = x.itemsize * 8
    if s >= bits:
        out.fill(0)
    else:
        np.left_shift(x, x.dtype.type(s), out)


def shift_right(x: np.ndarray, s: int, out: np.ndarray) -> None:
    """Arithmetic for signed types, logical for unsigned ones."""
    np.right_shift(x, x.dtype.type(min(s, x.itemsize * 8 - 1)), out)
    if s >= x.itemsize * 8 and x.dtype.kind == 'u':
        out.fill(0)


def clamp(x: np.ndarray, low, high, out: np.ndarray) -> None:
    np.maximum(x, out.dtype.type(low), out=out)
    np.minimum(out, out.dtype.type(high), out=out)
