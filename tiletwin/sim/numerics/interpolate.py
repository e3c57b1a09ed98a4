"""Bilinear interpolation: block gathers weighted by scalars and summed over a repeat direction."""

from __future__ import annotations

import numpy as np

from .rounding import settle


def bilinear(out: np.ndarray, src0: np.ndarray, offsets: np.ndarray, weights: np.ndarray, mask: int, h_repeat: int, repeat_mode: bool,
             block_stride: int, v_offset: int, v_repeat: int, es: int, dtype: str) -> None:
    """Per vertical repeat: the sum over `h_repeat` steps of (eight 32-byte blocks gathered from src0) x weight.

    Without `repeat_mode` one weight serves a whole step; with it every block has its own weight.
    """
    c0 = 32 // es
    at = w = 0
    for v in range(v_repeat):
        total = np.zeros(8 * c0, np.float32)
        for _ in range(h_repeat):
            for b in range(8):
                first = int(offsets[at]) // es
                weight = weights[w + b] if repeat_mode else weights[w]
                part = settle(src0[first:first + c0] * np.float32(weight), dtype)
                total[b * c0:(b + 1) * c0] = settle(total[b * c0:(b + 1) * c0] + part, dtype)
                at += 1
            w += 8 if repeat_mode else 1
        for b in range(8):
            lanes = max(0, min(c0, mask - b * c0))
            to = v * v_offset + b * block_stride * c0
            out[to:to + lanes] = total[b * c0:b * c0 + lanes]
