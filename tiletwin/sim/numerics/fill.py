"""Index generation and masked fills."""

from __future__ import annotations

import numpy as np

from .rounding import rounded


def progression(out: np.ndarray, first, diff, dtype: str) -> None:
    """out[i] = first + i * diff, in the dtype."""
    steps = np.arange(out.size)
    if out.dtype.kind == 'f':
        out[...] = rounded(np.float32(first) + steps.astype(np.float32) * np.float32(diff), dtype)
    else:
        out[...] = (int(first) + steps.astype(np.int64) * int(diff)).astype(out.dtype)


def sort_buffer(out: np.ndarray, count: int) -> None:
    """(-inf, -1) pairs over the first `count` elements."""
    run = out[:count]
    run[0::2] = -np.inf
    run[1::2] = -1


def fill_masked(out: np.ndarray, value, mask: int, repeat: int, block_stride: int, repeat_stride: int, es: int) -> None:
    """Bit i of `mask` selects element i of every 256-byte repeat; blocks and repeats are strides of 32 bytes."""
    c0, per = 32 // es, 256 // es
    lanes = np.array([i for i in range(min(per, 64)) if mask >> i & 1], np.int64)
    at = lanes // c0 * block_stride * c0 + lanes % c0
    for r in range(repeat):
        index = at + r * repeat_stride * c0
        out[index[index < out.size]] = value
