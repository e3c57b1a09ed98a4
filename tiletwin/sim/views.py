"""Views of flat storage by their first element, made once and found again by a dictionary look-up."""

from __future__ import annotations

import numpy as np
import torch

_LIMIT = 1 << 12


class Views(dict):
    """start -> view of `shape` with element `strides`; numpy for arrays, torch for tensors, torch on demand for arrays."""

    def __init__(self, flat, shape: tuple[int, ...], strides: tuple[int, ...], name: str, as_torch: bool = False):
        super().__init__()
        self.flat, self.shape, self.strides, self.name, self.as_torch = flat, shape, strides, name, as_torch
        self.reach = 1 + sum((s - 1) * p for s, p in zip(shape, strides)) if all(shape) else 0

    def __missing__(self, start: int):
        if len(self) >= _LIMIT:
            self.clear()
        view = make(self.flat, start, self.shape, self.strides, self.reach, self.name, self.as_torch)
        self[start] = view
        return view


class Clipped(dict):
    """(start, rows, cols) -> view; for copies whose size depends on the block."""

    def __init__(self, flat, pitch: int | None, name: str, as_torch: bool = False):
        super().__init__()
        self.flat, self.pitch, self.name, self.as_torch = flat, pitch, name, as_torch

    def __missing__(self, key: tuple):
        if len(self) >= _LIMIT:
            self.clear()
        start, rows, cols = key[:3]
        pitch = key[3] if self.pitch is None else self.pitch
        reach = (rows - 1) * pitch + cols if rows and cols else 0
        view = make(self.flat, start, (rows, cols), (pitch, 1), reach, self.name, self.as_torch)
        self[key] = view
        return view


def make(flat, start: int, shape: tuple[int, ...], strides: tuple[int, ...], reach: int, name: str, as_torch: bool):
    size = len(flat)
    if start < 0 or start + reach > size:
        raise IndexError(f'elements {start}..{start + reach - 1} of {name}, which has {size}')
    if isinstance(flat, torch.Tensor):
        return torch.as_strided(flat, shape, strides, flat.storage_offset() + start)
    es = flat.itemsize
    view = np.ndarray(shape, flat.dtype, flat, start * es, tuple(s * es for s in strides))
    return torch.from_numpy(view) if as_torch else view


def rows_of(flat, start: int, rows: int, cols: int, pitch: int) -> np.ndarray:
    """A copy of the rectangle as values; elements outside the tensor read as poison (memory of nobody)."""
    index = start + np.arange(rows)[:, None] * pitch + np.arange(cols)[None, :]
    inside = (index >= 0) & (index < len(flat))
    safe = np.where(inside, index, 0)
    if isinstance(flat, torch.Tensor):
        values = flat[torch.from_numpy(safe.reshape(-1))].to(torch.float32).numpy().reshape(rows, cols)
    else:
        values = flat[safe]
    if not inside.all():
        values = values.copy()
        if values.dtype.kind == 'f':
            values[~inside] = np.nan
        else:
            values[~inside] = np.frombuffer(bytes([0xA5]) * values.itemsize, values.dtype)[0] if values.dtype.kind != 'b' else True
    return values


def put_rows(flat, start: int, pitch: int, values: np.ndarray) -> None:
    """Stores a rectangle row by row; what falls outside the tile belongs to its neighbours and is dropped."""
    size = len(flat)
    torch_flat = isinstance(flat, torch.Tensor)
    for i, row in enumerate(values):
        lo = start + i * pitch
        n = min(len(row), size - lo)
        if n > 0 and lo >= 0:
            flat[lo:lo + n] = torch.from_numpy(np.ascontiguousarray(row[:n])).to(flat.dtype) if torch_flat else row[:n]
