"""Which load or addition stands for which row: tiles, cores and passes are read from the kernel and shape columns."""

from __future__ import annotations

import re
from dataclasses import replace

from .add import add, add_one_core
from .data_copy import to_l1, to_ub
from .registry import Modelled, Skip, models
from .rows import Row

# Tiles of rows that state none: the largest of the same ladder that leaves room for a second one.
_TILES = {'L1': (64, 256), 'UB': (32, 1024)}


def matrix(row: Row) -> tuple[int, int] | None:
    found = re.match(r'(\d+)x(\d+)', row.shape)
    return (int(found[1]), int(found[2])) if found else None


@models('dma')
def data_copy_row(row: Row) -> Modelled | Skip:
    shape = matrix(row)
    if shape is None:
        return Skip(f'{row.shape} is no matrix')
    to, blocks = (to_l1, row.core_counts[0]) if 'L1' in row.kernel else (to_ub, row.core_counts[0] // 2)
    M, N = shape
    if 'unaligned' in row.kernel and N % 16 == 0:
        N -= 1  # hardware 3.5: the unaligned form has N = 12287
    tile = re.search(r'(?<![\d/])(\d+)x(\d+)(?! ?x)', row.kernel)
    rows, cols = (int(tile[1]), int(tile[2])) if tile else _TILES['L1' if 'L1' in row.kernel else 'UB']
    parts = re.search(r'N/(\d+) slices(?: x(\d+))?', row.kernel)
    slices, times = (int(parts[1]), int(parts[2] or 1)) if parts else (1, 1)
    text = f'tiles of {rows}x{cols}' + (f', {slices} slices read {times} times' if parts else '') + ('' if tile else '; tile not stated')
    like = replace(row, shape=f'{M // 8}x{N}') if M * N // (rows * cols * blocks) > 20000 else None
    return Modelled(lambda: to(M, N, rows, cols, blocks, slices, times), text, like=like)


@models('elementwise')
def add_row(row: Row) -> Modelled | Skip:
    shape = matrix(row)
    if not row.kernel.startswith('Add') or shape is None:
        return Skip('only additions are modelled in this category')
    total = shape[0] * shape[1]
    tile = re.search(r'tile (\d+)', row.kernel)
    if not tile:
        return Skip('the tile is not stated')
    size, cores = int(tile[1]), row.core_counts[0]
    if cores == 1:
        like = replace(row, shape=f'{shape[0] // 16}x{shape[1]}') if total // size > 4096 else None
        return Modelled(lambda: add_one_core(total, size), f'one buffer per operand of {size} elements', like=like)
    slots = 2 if re.search(r'C[4-9]|double buffer|bank', row.kernel) else 1
    past = frozenset('XY') if re.search(r'C[4-9]|bypass', row.kernel) else frozenset()
    return Modelled(lambda: add(total, size, slots, cores // 2), f'{slots} set{"s" * (slots > 1)} of buffers of {size} elements'
                    + (', operands read past L2' if past else ''), bypass=past)
