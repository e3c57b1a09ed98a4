"""Broadcasts along rows and columns (dialect 5.3.9)."""

from __future__ import annotations

import numpy as np


def expand_rows(out: np.ndarray, a: np.ndarray, v: np.ndarray, op) -> None:
    """out[i, j] = op(a[i, j], v[i]); out and a are two-dimensional."""
    op(a, v[:, None], out)


def block_broadcast(out: np.ndarray, src: np.ndarray, repeat: int, block_stride: int, repeat_stride: int, es: int) -> None:
    """brcb: element 8r+b fills the 32-byte block at r*repeat_stride + b*block_stride."""
    c0 = 32 // es
    for r in range(repeat):
        for b in range(8):
            at = (r * repeat_stride + b * block_stride) * c0
            out[at:at + c0] = src[8 * r + b]
