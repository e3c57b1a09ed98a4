"""Which load or addition stands for which row: tiles, cores and passes are read from the kernel and shape columns."""

from __future__ import annotations

import re
from dataclasses import replace

from .add import add, add_again, add_one_core
from .data_copy import shared_to_l1, shared_to_ub, to_l1, to_ub
from .elementwise import unary, unary_tile
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
    like = replace(row, shape=f'{M // 16}x{N}') if M * N // (rows * cols * blocks) > 1000 else None
    return Modelled(lambda: to(M, N, rows, cols, blocks, slices, times), text, like=like)


@models('dma_conflict')
def shared_row(row: Row) -> Modelled | Skip:
    """Every core reads the whole matrix. In one order, the line all cores want decides, whatever the tile."""
    shape = matrix(row)
    if shape is None or 'same-address' not in row.kernel:
        return Skip('24 cores x 6.3 MB in 205 us is 0.73 TB/s, a quarter of what L2 gives distinct addresses: tile and repeats are not stated')
    (M, N), text = shape, 'every core reads tiles of 64 rows in the same order'
    if 'L1' in row.kernel:
        return Modelled(lambda: shared_to_l1(M, N, 64, row.core_counts[0]), text)
    return Modelled(lambda: shared_to_ub(M, N, 64, row.core_counts[0] // 2), text)


@models('elementwise')
def add_row(row: Row) -> Modelled | Skip:
    shape = matrix(row)
    if row.kernel.startswith('Gelu') and shape is not None:
        n, cores, dtype = shape[0] * shape[1], row.chip.cube_cores, row_type(row.dtype)
        width = unary_tile(n, dtype, cores, row.chip.memories['UB'].bytes)
        return Modelled(lambda: unary(n, dtype, 'gelu_tanh', cores, width), f'ours: flat tiles of {width}, two slots each way', 'bound')
    if not row.kernel.startswith('Add') or shape is None:
        return Skip('only additions and Gelu are modelled in this category')
    total = shape[0] * shape[1]
    tile = re.search(r'tile (\d+)', row.kernel)
    if not tile:
        return Skip('the tile is not stated')
    size, cores = int(tile[1]), row.core_counts[0]
    if cores == 1:
        like = replace(row, shape=f'{shape[0] // 32}x{shape[1]}') if total // size > 4096 else None
        return Modelled(lambda: add_one_core(total, size), f'one buffer per operand of {size} elements', like=like)
    slots = 2 if re.search(r'C[4-9]|double buffer|bank', row.kernel) else 1
    past = frozenset('XY') if re.search(r'C[4-9]|bypass', row.kernel) else frozenset()
    return Modelled(lambda: add(total, size, slots, cores // 2), f'{slots} set{"s" * (slots > 1)} of buffers of {size} elements'
                    + (', operands read past L2' if past else ''), bypass=past)


# Addresses of x, y and z in UB. Sources half a row of banks apart never meet; z in another 64 KiB row meets neither (hardware 2.3).
_BANKS = {'no conflict': (0, 33024, 65536), 'read/read same group': (0, 32768, 65536), 'misaligned read/write': (0, 16640, 33280)}


@models('bank')
def bank_row(row: Row) -> Modelled | Skip:
    found = re.search(r'Add (fp\d+) (\d+) elem x(\d+), (.*)', row.kernel)
    if not found:
        return Skip('the dialect has no nd2nz inside UB')
    if found[4] not in _BANKS:
        return Skip('the dialect has no operand of stride 0: every operand is a contiguous run')
    count, times, places = int(found[2]), int(found[3]), _BANKS[found[4]]
    return Modelled(lambda: add_again(count, times, *places, row_type(found[1])), f'operands at {places}', clock='kernel')


def row_type(name: str) -> str:
    return {'fp16': 'float16', 'fp32': 'float32', 'bf16': 'bfloat16'}[name]
