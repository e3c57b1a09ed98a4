"""Gathers and compressions (dialect 5.3.10). Tiles are passed from the operand's start to the end of the buffer."""

from __future__ import annotations

import numpy as np

_PATTERNS = {'P0101': (0, 2, 2), 'P1010': (1, 2, 2), 'P0001': (0, 4, 4), 'P0010': (1, 4, 4), 'P0100': (2, 4, 4), 'P1000': (3, 4, 4),
             'P1111': (0, 1, 1)}
# vendor numbering of the fixed patterns in the raw form
NUMBERED = {1: 'P0101', 2: 'P1010', 3: 'P0001', 4: 'P0010', 5: 'P0100', 6: 'P1000', 7: 'P1111'}


def _take(src: np.ndarray, index: np.ndarray) -> np.ndarray:
    if index.size and (index.min() < 0 or index.max() >= src.size):
        bad = int(index.min()) if index.min() < 0 else int(index.max())
        raise IndexError(f'a gather reads element {bad} of a tile of {src.size}')
    return src[index]


def gather(out: np.ndarray, src: np.ndarray, offsets: np.ndarray, base: int, es: int, count: int) -> None:
    """out[i] = the element `base + offsets[i]` bytes into src."""
    at = (base + offsets[:count].astype(np.int64)) // es
    out[:count] = _take(src, at)


def gather_pto(out: np.ndarray, src: np.ndarray, offsets: np.ndarray, base: int, es: int, count: int) -> None:
    """The base is ignored; the offset buffer is divided into element indices in place (dialect 10.1)."""
    offsets[:count] //= offsets.dtype.type(es)
    out[:count] = _take(src, offsets[:count].astype(np.int64))


def gather_blocks(out: np.ndarray, src: np.ndarray, offsets: np.ndarray, repeat: int, block_stride: int, repeat_stride: int, es: int) -> None:
    """Eight 32-byte blocks per repeat, each from its own byte offset."""
    c0 = 32 // es
    for r in range(repeat):
        for b in range(8):
            at = int(offsets[8 * r + b]) // es
            to = (r * repeat_stride + b * block_stride) * c0
            out[to:to + c0] = _take(src, np.arange(at, at + c0))


def mask_pattern(out: np.ndarray, src: np.ndarray, pattern: str) -> None:
    """Keeps one element of every group, densely."""
    first, step, _ = _PATTERNS[pattern]
    kept = src[first::step]
    out[:kept.size] = kept


def mask_indices(out: np.ndarray, src: np.ndarray, indices: np.ndarray, es: int) -> None:
    """out[i] = src[indices[i]]; the index buffer is left holding byte offsets (dialect 12.5, 17)."""
    kept = _take(src, indices.astype(np.int64))
    out[:kept.size] = kept
    np.multiply(indices, indices.dtype.type(es), indices)


def mask_indices_pto(out: np.ndarray, src: np.ndarray, indices: np.ndarray, es: int) -> None:
    kept = _take(src, indices.astype(np.int64))
    out[:kept.size] = kept


def mask_bits(out: np.ndarray, src: np.ndarray, pattern: np.ndarray, reduce_mode: bool, mask: int, block_stride: int, repeat: int,
              repeat_stride: int, pattern_stride: int, es: int) -> None:
    """Raw form: bit i of the pattern keeps element i of a repeat. Counter mode takes `mask` elements per repeat, normal
    mode 256 bytes; repeats of the source are `repeat_stride`, of the pattern `pattern_stride` 32-byte blocks apart."""
    c0 = 32 // es
    per = int(mask) if reduce_mode else 256 // es
    raw = pattern.view(np.uint8)
    lanes = np.arange(per)
    at = lanes // c0 * block_stride * c0 + lanes % c0
    done = 0
    for r in range(repeat):
        bits = np.unpackbits(raw[r * pattern_stride * 32:][:-(-per // 8)], bitorder='little')[:per].view(np.bool_)
        kept = _take(src, at[bits] + r * repeat_stride * c0)
        out[done:done + kept.size] = kept
        done += kept.size
