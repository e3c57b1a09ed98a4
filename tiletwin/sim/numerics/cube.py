"""Matrix multiplication on the cube core: float32 or int32 accumulation."""

from __future__ import annotations

import numpy as np
import torch

# products of int8 values summed over this many terms stay exact in float32
_EXACT_K = 1024


def mma_float(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, init) -> None:
    if init:
        torch.mm(a, b, out=c)
    else:
        c.addmm_(a, b)


def mma_int(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, init) -> None:
    """int8 operands, int32 accumulator that wraps."""
    if init:
        c.zero_()
    fa, fb = a.to(torch.float32), b.to(torch.float32)
    for k in range(0, fa.shape[1], _EXACT_K):
        c.add_(torch.mm(fa[:, k:k + _EXACT_K], fb[k:k + _EXACT_K]).to(torch.int64).to(torch.int32))


def slice_index(rows: int, cols: int, k: int, rows_are_k: bool, es: int, tail_only: bool) -> np.ndarray:
    """Where a K-split product takes element (i, j) of a stored operand from; -1 is memory beyond the tile.

    PTO starts slice s at s times its own length. AscendC starts a slice of rows s * 128 * 16 elements into the zN tile,
    which is row s * 128 of two-byte types only.
    """
    i, j = np.meshgrid(np.arange(rows), np.arange(cols), indexing='ij')
    along = i if rows_are_k else j
    s = along // 128
    if tail_only:
        length = np.minimum(k - s * 128, 128)
        moved = s * length + along % 128
        at = moved * cols + j if rows_are_k else i * cols + moved
        return np.where(along < k, at, -1)
    if not rows_are_k or es == 2:
        return i * cols + j
    c0, height = 32 // es, -(-rows // 16) * 16
    flat = s * 128 * 16 + (i % 128) * c0 + j // c0 * height * c0 + j % c0
    panel, rest = np.divmod(flat, height * c0)
    row, col = rest // c0, panel * c0 + rest % c0
    return np.where((row < rows) & (col < cols), row * cols + col, -1)


def gemm_sliced(a: np.ndarray, index_a: np.ndarray, b: np.ndarray, index_b: np.ndarray, c: np.ndarray, ta: bool, tb: bool, init) -> None:
    """gemm_v0 whose slices start in the wrong place."""
    parts = []
    for tile, index, turned in ((a, index_a, ta), (b, index_b, tb)):
        poison = np.nan if tile.dtype.kind == 'f' else np.int8(-91)
        taken = np.where(index >= 0, tile.reshape(-1)[np.maximum(index, 0)], poison).astype(tile.dtype)
        parts.append(torch.from_numpy(np.ascontiguousarray(taken.T if turned else taken)))
    x, y = parts[0][:c.shape[0]], parts[1][:, :c.shape[1]]
    (mma_int if c.dtype == np.int32 else mma_float)(x, y, torch.from_numpy(c), init)
