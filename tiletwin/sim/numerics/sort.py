"""Sorting (dialect 5.3.12). Equal values keep their order; NaN sorts like the largest value."""

from __future__ import annotations

import numpy as np

from .rounding import settle


def _descending(x: np.ndarray) -> np.ndarray:
    """Stable order of descending values."""
    return np.argsort(-x, axis=-1, kind='stable') if not np.isnan(x).any() else np.argsort(np.where(np.isnan(x), -np.inf, -x), axis=-1, kind='stable')


def pair_slots(dtype: str) -> int:
    """Slots of the dtype in one 8-byte (value, payload) structure."""
    return 4 if dtype == 'float16' else 2


def payload_slots(payload: np.ndarray, dtype: str) -> np.ndarray:
    """uint32 payloads as the slots of the dtype that hold their bits: shape [n, 1] for float, [n, 2] for half."""
    bits = np.ascontiguousarray(payload).view(np.uint32)
    if dtype == 'float16':
        return bits.view(np.float16).astype(np.float32).reshape(-1, 2)
    return bits.view(np.float32).reshape(-1, 1)


def sort32(out: np.ndarray, values: np.ndarray, payload: np.ndarray, dtype: str) -> None:
    """Every group of 32 is sorted by itself; each result is an 8-byte structure of value and payload bits."""
    n = values.size // 32 * 32
    order = _descending(values[:n].reshape(-1, 32))
    order = (order + np.arange(n // 32)[:, None] * 32).reshape(-1)
    slots = pair_slots(dtype)
    pairs = np.zeros((n, slots), np.float32)
    pairs[:, 0] = values[:n][order]
    bits = payload_slots(payload[:n], dtype)[order]
    pairs[:, slots - bits.shape[1]:] = bits
    out[:n * slots] = pairs.reshape(-1)


def sort(out: np.ndarray, src: np.ndarray, actual: int, dtype: str) -> None:
    """Full descending sort as (value, position) pairs; the source tail up to a multiple of 32 becomes -inf."""
    aligned = -(-actual // 32) * 32
    src[actual:aligned] = -np.inf
    pairs = sorted_pairs(src[:aligned], dtype)
    out[:pairs.size] = pairs[:out.size]


def sorted_pairs(values: np.ndarray, dtype: str) -> np.ndarray:
    order = _descending(values)
    pairs = np.empty((values.size, 2), np.float32)
    pairs[:, 0] = values[order]
    pairs[:, 1] = settle(order.astype(np.float32), dtype)
    return pairs.reshape(-1)


def topk(out: np.ndarray, src: np.ndarray, k: int, actual: int, es: int, dtype: str) -> None:
    """The first pairs of a sort, whole 32-byte blocks of them."""
    aligned = -(-actual // 32) * 32
    src[actual:aligned] = -np.inf
    pairs = sorted_pairs(src[:aligned], dtype)
    c0 = 32 // es
    n = min(-(-2 * k // c0) * c0, pairs.size, out.size)
    out[:n] = pairs[:n]


def merge_sort(out: np.ndarray, *lists: np.ndarray) -> None:
    """Merges descending pair lists; earlier lists win ties."""
    pairs = np.concatenate([x.reshape(-1, 2) for x in lists])
    order = _descending(pairs[:, 0])
    out[:pairs.size] = pairs[order].reshape(-1)
