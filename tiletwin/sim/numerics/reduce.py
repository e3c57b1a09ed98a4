"""Reductions: T.reduce_* with its size and pitch rules (dialect 5.4), and the raw repeat forms (5.3.13, 5.3.14)."""

from __future__ import annotations

import numpy as np
import torch


_UFUNC = {'sum': np.add, 'max': np.maximum, 'min': np.minimum}


def reduce_axis(out: np.ndarray, src: np.ndarray, kind: str, axis: int) -> None:
    """Reduction of a contiguous tile of integers, or of exact storage."""
    _UFUNC[kind].reduce(src, axis=axis, out=out, dtype=out.dtype)


def reduce_tile(out: np.ndarray, src: np.ndarray, kind: str, dim: int, rows: int, cols: int, pitch: int, clear: bool, half_sum: bool) -> None:
    """General form. `out` and `src` are the tiles from their start on; rows of `src` are `pitch` elements apart."""
    if rows <= 0 or cols <= 0:
        return
    if half_sum and clear:
        half_sum_rows(out, src, dim, rows, cols)
        return
    need = (rows - 1) * pitch + cols
    if src.size < need:
        raise IndexError(f'a reduction over {rows} x {cols} elements of a tile of {src.size}')
    view = np.lib.stride_tricks.as_strided(src, (rows, cols), (pitch * src.itemsize, src.itemsize))
    result = _UFUNC[kind].reduce(view, axis=1 if dim != 0 else 0, dtype=src.dtype)
    place = out[:result.size]
    np.copyto(place, result) if clear else _UFUNC[kind](place, result, out=place)


def half_sum_rows(out: np.ndarray, src: np.ndarray, dim: int, rows: int, cols: int) -> None:
    """WholeReduceSum of half: at most 128 elements per row, rows a multiple of 16 elements apart; along dim 0 it sums
    `rows` consecutive elements per result (dialect 5.4, quirk 15)."""
    count, width = (rows, cols) if dim != 0 else (cols, rows)
    pitch = -(-width // 16) * 16
    width = min(width, 128)
    for i in range(count):
        out[i] = src[i * pitch:i * pitch + width].sum(dtype=np.float32)


def _repeats(src: np.ndarray, repeat: int, mask: int, block_stride: int, repeat_stride: int, es: int):
    """The masked elements of every repeat: blocks of 32 bytes `block_stride` apart, repeats `repeat_stride` blocks apart."""
    c0 = 32 // es
    lanes = np.arange(mask)
    at = lanes // c0 * block_stride * c0 + lanes % c0
    for r in range(repeat):
        yield src[at + r * repeat_stride * c0]


def whole_reduce(out: np.ndarray, src: np.ndarray, kind: str, mask: int, repeat: int, dst_stride: int, block_stride: int, repeat_stride: int,
                 es: int, dtype: str, order: str = 'ORDER_ONLY_VALUE') -> None:
    for r, values in enumerate(_repeats(src, repeat, mask, block_stride, repeat_stride, es)):
        if kind == 'sum':
            out[r * dst_stride] = values.sum(dtype=np.float32)
            continue
        at = int(np.argmax(values) if kind == 'max' else np.argmin(values))
        index = index_bits(at, dtype)
        if order == 'ORDER_ONLY_VALUE':
            out[r * dst_stride] = values[at]
        elif order == 'ORDER_ONLY_INDEX':
            out[r * dst_stride] = index
        elif order == 'ORDER_INDEX_VALUE':
            out[2 * r * dst_stride], out[2 * r * dst_stride + 1] = index, values[at]
        else:
            out[2 * r * dst_stride], out[2 * r * dst_stride + 1] = values[at], index


def index_bits(i: int, dtype: str) -> np.float32:
    """An integer position stored in the bits of a float slot."""
    if dtype == 'float32':
        return np.array([i], np.uint32).view(np.float32)[0]
    return np.float32(np.array([i], np.uint16).view(np.float16)[0])


def block_reduce(out: np.ndarray, src: np.ndarray, kind: str, repeat: int, mask: int, dst_stride: int, block_stride: int, repeat_stride: int,
                 es: int) -> None:
    """One result per 32-byte block; the eight results of a repeat are consecutive, repeats `dst_stride` * 8 apart."""
    c0 = 32 // es
    for r, values in enumerate(_repeats(src, repeat, mask, block_stride, repeat_stride, es)):
        for b in range(-(-mask // c0)):
            out[r * dst_stride * 8 + b] = _UFUNC[kind].reduce(values[b * c0:(b + 1) * c0])


def sum_masked(out: np.ndarray, src: np.ndarray, mask: int, repeat: int, repeat_stride: int, es: int) -> None:
    out[0] = sum((v.sum(dtype=np.float32) for v in _repeats(src, repeat, mask, 1, repeat_stride, es)), np.float32(0))


def sum_rows(out: np.ndarray, src: np.ndarray, outer: int, inner: int, n: int) -> None:
    """Sum of the first n elements of each of `outer` rows, `inner` elements apart."""
    out[:outer] = src[:outer * inner].reshape(outer, inner)[:, :n].sum(axis=1, dtype=src.dtype)


def accumulate(out, value: np.ndarray) -> None:
    """GM += tile, in the dtype of GM."""
    if isinstance(out, torch.Tensor):
        out.copy_(out.to(torch.float32) + torch.from_numpy(np.ascontiguousarray(value, np.float32)))
    else:
        np.add(out, value, out=out, casting='unsafe')


def lower(out, value) -> None:
    """Values into storage, rounded to its type."""
    if isinstance(out, torch.Tensor):
        out.copy_(torch.from_numpy(np.ascontiguousarray(value)).reshape(out.shape))
    else:
        np.copyto(out, value, casting='unsafe')


def raised(t) -> np.ndarray:
    """A float32 copy of exact storage."""
    return t.to(torch.float32).numpy() if isinstance(t, torch.Tensor) else t


