"""Compare into packed bit masks and select by them (dialect 5.3.7)."""

from __future__ import annotations

import numpy as np

_COMPARE = {'EQ': np.equal, 'NE': np.not_equal, 'GT': np.greater, 'GE': np.greater_equal, 'LT': np.less, 'LE': np.less_equal}


def compare(mask: np.ndarray, a: np.ndarray, b, mode: str) -> None:
    """Bit i%8 of byte i//8 is `a[i] mode b[i]`, least significant bit first."""
    packed = np.packbits(_COMPARE[mode](a, b), bitorder='little')
    mask.view(np.uint8)[:packed.size] = packed


def bits_of(mask: np.ndarray, n: int, es: int, mode: str) -> np.ndarray:
    """The n mask bits a select consumes; CMPMASK_SPR re-reads the bits of the first 256-byte repeat for every repeat."""
    raw = mask.view(np.uint8)
    if mode == 'VSEL_CMPMASK_SPR':
        per = 256 // es
        first = np.unpackbits(raw[:-(-per // 8)], bitorder='little')[:per].view(np.bool_)
        return np.resize(first, n)
    return np.unpackbits(raw[:-(-n // 8)], bitorder='little')[:n].view(np.bool_)


def select(out: np.ndarray, mask: np.ndarray, a: np.ndarray, b, es: int, mode: str) -> None:
    np.copyto(out, np.where(bits_of(mask, out.size, es, mode), a, b))
