"""How the vector kernels of this folder share out their work and lay it out in UB."""

from __future__ import annotations

import json
import math

from .rows import Row

WIDTH = {'float16': 2, 'bfloat16': 2, 'float32': 4, 'int32': 4, 'int64': 8, 'int16': 2, 'int8': 1, 'uint8': 1}
FLOATS = ('float16', 'bfloat16', 'float32')
REPEAT = 64  # four-byte elements of one vector repeat
SPARE = 2048  # bytes of UB left for alignment gaps


def shapes(row: Row) -> list[tuple[int, ...]]:
    """The operand shapes of a CANN-bench row; the whole shape cell is one JSON list of lists."""
    return [tuple(s) for s in json.loads(row.shape)]


def dtypes(row: Row) -> list[str]:
    return json.loads(row.dtype)


def attributes(row: Row) -> dict:
    """The operator's attributes; numbers are sometimes written as text."""
    found = json.loads(row.note or '{}')
    return {k: float(v) if isinstance(v, str) and v.replace('.', '').replace('-', '').replace('e', '').isdigit() else v for k, v in found.items()}


def place(*buffers: tuple[int, int]) -> list[int]:
    """UB addresses of buffers `(bytes, phase)`, one behind the other, each starting at 256 * phase modulo 512.

    A vector repeat reads 8 of the 16 bank groups of 32 bytes from each source. Sources of phase 0 and phase 1 never meet in a group (hardware 2.3).
    """
    out, free = [], 0
    for size, phase in buffers:
        start = free + (256 * phase - free) % 512
        out.append(start)
        free = start + size
    return out


def span(total: int, most: int, workers: int, unit: int = REPEAT) -> int:
    """Elements per tile: as many as UB allows, in whole units, and no tile left over when every core has had the same number."""
    rounds = max(1, math.ceil(total / (workers * most)))
    return max(unit, math.ceil(total / (workers * rounds * unit)) * unit)


def rows_per_tile(rows: int, bytes_per_row: int, ub: int, workers: int, most: int = 255) -> int:
    """Whole rows per tile; 0 when not even one fits."""
    fit = min((ub - SPARE) // bytes_per_row, most)
    if fit < 1:
        return 0
    share = math.ceil(rows / workers)
    rounds = math.ceil(share / fit)
    return max(1, math.ceil(share / rounds))


def long_chunk(N: int, held: int, each: int, ub: int) -> int:
    """Elements per chunk when `held` bytes of every element stay and `each` bytes per element of a chunk are needed besides; 0 if too long."""
    left = ub - SPARE - held * up(N, 512)
    most = left // (each + held) // 128 * 128
    if most < 512:
        return 0
    parts = math.ceil(N / most)
    return up(math.ceil(N / parts), 128)


def up(n: int, to: int) -> int:
    return -(-n // to) * to
