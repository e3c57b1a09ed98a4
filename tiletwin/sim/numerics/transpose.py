"""Whole-tile transposition (dialect 5.3.11)."""

from __future__ import annotations

import numpy as np


def transpose(out: np.ndarray, src: np.ndarray, rows: int, cols: int) -> None:
    """AscendC works in 16 x 16 sub-blocks and skips what does not fill one (dialect 12.5, 18)."""
    m, n = rows // 16 * 16, cols // 16 * 16
    out[:rows * cols].reshape(cols, rows)[:n, :m] = src[:rows * cols].reshape(rows, cols)[:m, :n].T


def transpose_pto(out: np.ndarray, src: np.ndarray, rows: int, cols: int) -> None:
    out[:rows * cols].reshape(cols, rows)[...] = src[:rows * cols].reshape(rows, cols).T
