"""Which matrix product stands for which row: the tiling is read from the kernel column."""

from __future__ import annotations

import re
from dataclasses import replace

from tiletwin.machine.chip import Chip

from .elementwise import unary, unary_tile
from .gemm import Schedule, gemm
from .registry import Modelled, Skip, models
from .rows import Row

_BYTES = {'float16': 2, 'bfloat16': 2, 'float32': 4, 'int8': 1}
_TYPES = {'fp16': 'float16', 'bf16': 'bfloat16', 'fp32': 'float32', 'int8': 'int8'}
# Cores along M and N: 24 as the rows say, the others as near to a square as they divide.
_GRIDS = {1: (1, 1), 8: (2, 4), 20: (4, 5), 24: (4, 6), 32: (4, 8)}


def sizes(row: Row) -> tuple[int, int, int] | None:
    """M, N, K of '8192^3', 'm=k=n=1536', '1024x576x6144'."""
    cube = re.search(r'(?:m=k=n=|^)(\d+)(?:\^3|$)', row.shape)
    if cube:
        return (int(cube[1]),) * 3
    three = re.search(r'(\d+)x(\d+)x(\d+)', row.shape)
    return tuple(map(int, three.groups())) if three else None  # type: ignore[return-value]


def types(row: Row) -> tuple[str, str] | None:
    """Element types of the operands and the result; a single one holds for both."""
    words = [_TYPES.get(w.strip()) for w in row.dtype.split('->')]
    if None in words:
        return None
    return words[0], words[-1]  # type: ignore[return-value]


def grid(row: Row) -> tuple[int, int] | None:
    return _GRIDS.get(row.core_counts[0]) if row.core_counts else None


def accumulators(chip: Chip, block: tuple[int, int, int]) -> int:
    return 2 if 2 * block[0] * block[1] * 4 <= chip.memories['L0C'].bytes else 1


def large(row: Row, block: tuple[int, int, int], cores: tuple[int, int]) -> Schedule:
    """Panels of eight steps of A, four where they are twice as high, and three of two steps of B: the vendor's double buffers fill L1 to
    its last byte, of which a kernel here has 256 less."""
    return Schedule(block, 8 if block[0] <= 128 else 4, 2, 2, 3, cores, accumulators=accumulators(row.chip, block))


def good(chip: Chip, shape: tuple[int, int, int], kind: str) -> Schedule:
    """Ours, for rows that state no tiling: tiles that keep every core busy to the end, panels as deep as L1 takes them."""
    M, N, _ = shape
    es, cores = _BYTES[kind], chip.cube_cores
    bm, step = min(128, -(-M // 16) * 16), 128 // es
    m_tiles = -(-M // bm)
    bn = next(n for waves in range(1, 10**6) if (n := -(-N // (max(1, cores * waves // m_tiles) * 16)) * 16) <= 256)
    steps = next(s for s in (8, 4, 2, 1) if 2 * (bm + bn) * step * es * s <= chip.memories['L1'].bytes)
    return Schedule((bm, bn, step), steps, steps, grid=(0, cores), swizzle=3, accumulators=accumulators(chip, (bm, bn, step)))


def plan(row: Row) -> tuple[Schedule, str] | Skip:
    """The schedule a row states."""
    text, cores = row.kernel, grid(row)
    block = re.search(r'(\d+)x(\d+)x(\d+)', text)
    if cores is None:
        return Skip(f'the split over {row.cores} cores is not stated')
    base = re.search(r'base (\d+)x(\d+)x(\d+) stepK(\d+)', text)
    if base:
        m, k, n, steps = map(int, base.groups())
        return Schedule((m, n, k), steps, steps, grid=cores), f'base {m}x{k}x{n}, panels of {steps} steps of K, one accumulator'
    if row.impl == 'AscendC basic API' and block:
        tile = tuple(map(int, block.groups()))
        return large(row, tile, cores), f'{block[0]} products, panels of 8 and 2 steps, {cores[0]}x{cores[1]} cores'  # type: ignore[arg-type]
    if row.impl == 'AscendC Matmul API':
        tile = (128, 256, 64)
        if re.search(r'depth|step|MDL|const', text):
            # On A5 the 8192^3 products at the speed of the cube leave 94 B/cycle per core for 128x256 tiles, more than the 87 that the
            # basic-API kernel measures; its 256x256 tiles need half.
            tile = (256, 256, 64) if row.arch == 'a5' else tile
            return large(row, tile, cores), f'{tile[0]}x256x64 products in deep panels, {cores[0]}x{cores[1]} cores'
        return Schedule(tile, 1, 1, 1, 1, cores), f'128x256x64 products, one step of K in L1 at a time, {cores[0]}x{cores[1]} cores'
    return Skip('the tiling is not stated')


@models('gemm')
def gemm_row(row: Row) -> Modelled | Skip:
    shape, kinds = sizes(row), types(row)
    if shape is None or kinds is None:
        return Skip(f'{row.shape} {row.dtype} is no product the dialect has')
    found = plan(row)
    if isinstance(found, Skip):
        ours = good(row.chip, shape, kinds[0])
        return Modelled(lambda: gemm(*shape, ours, *kinds), ours.text, 'bound')
    # A smaller product has the same steps, only fewer of them.
    small = 1536 if grid(row) == (1, 1) else 4096
    like = replace(row, shape=f'{small}^3') if max(shape) > small else None
    # AscendC's products use the unit flag: the reported FIX time includes waiting for the cube (hardware 2.2).
    return Modelled(lambda: gemm(*shape, found[0], *kinds), found[1], like=like, unlike=('fix',) if row.impl.startswith('AscendC') else ())


@models('gemm_small')
def gemm_small_row(row: Row) -> Modelled | Skip:
    """catlass: panels in L1 as stated, halves of them in L0, tiles in a block swizzle."""
    shape, kinds = sizes(row), types(row)
    if shape is None or kinds is None:
        return Skip(f'{row.shape} {row.dtype} is no product the dialect has')
    if 'zN' in row.shape:
        return Skip('B lies in GM as fractals; a GM tensor of the dialect is row-major')
    l1 = re.search(r'L1 (\d+),(\d+),(\d+)', row.kernel)
    turn = re.search(r'swizzle (\d+),(\d+)', row.kernel)
    if not l1:
        ours = good(row.chip, shape, kinds[0])
        return Modelled(lambda: gemm(*shape, ours, *kinds), ours.text, 'bound')
    tile = tuple(map(int, l1.groups()))
    step = 128 // _BYTES[kinds[0]]
    block = (tile[0], tile[1], step)
    tiles = -(-shape[0] // tile[0]) * -(-shape[1] // tile[1])
    swizzle, along_n = (int(turn[1]), turn[2] == '1') if turn else (3, False)
    found = Schedule(block, tile[2] // step, tile[2] // step, 2, 2, (0, row.chip.cube_cores), swizzle, along_n, accumulators(row.chip, block))
    text = f'L1 {tile[0]}x{tile[1]}x{tile[2]}, tiles in snakes of {swizzle}'
    if 'ASWT' in row.kernel and tiles % row.chip.cube_cores:
        return Modelled(lambda: gemm(*shape, found, *kinds), f'{text}; how ASWT splits the last wave is not stated', 'bound')
    return Modelled(lambda: gemm(*shape, found, *kinds), text)


@models('fixpipe_align')
def unaligned_row(row: Row) -> Modelled | Skip:
    """Stores of rows that are no whole blocks; the tiling is ours."""
    shape, kinds = sizes(row), types(row)
    if shape is None or kinds is None:
        return Skip(f'{row.shape} {row.dtype} is no product the dialect has')
    ours = good(row.chip, shape, kinds[0])
    return Modelled(lambda: gemm(*shape, ours, *kinds), ours.text, 'bound')


@models('gemm_decode')
def decode_row(row: Row) -> Modelled | Skip:
    """'16x5120x17408, 34 blocks' is M, K, N; every block has its columns, and the time is the mean of a block."""
    found, kind = re.search(r'(\d+)x(\d+)x(\d+), (\d+) blocks', row.shape), _TYPES.get(row.dtype)
    if found is None or kind is None:
        return Skip('sizes or blocks are not stated')
    M, K, N, blocks = map(int, found.groups())
    width = min(256, -(-N // (blocks * 16)) * 16)
    ours = Schedule((16, width, 64), 4, 4, grid=(1, blocks), accumulators=2)
    return Modelled(lambda: gemm(M, N, K, ours, kind, 'float32'), f'ours: panels of 256x{width}, {blocks} blocks', 'bound', 'block')


@models('gemm_mxfp8', 'gemm_mxfp4')
def scaled_row(row: Row) -> Skip:
    return Skip('the dialect has no product of block-scaled types')


@models('fused')
def gelu_row(row: Row) -> Modelled | Skip:
    """Parts of the product with a Gelu behind it; 8192^3 with 8192^2 results."""
    shape, kinds, cores = sizes(replace(row, shape=row.shape.split('+')[0].strip())), types(row), grid(row)
    if shape is None or kinds is None or cores is None:
        return Skip(f'{row.shape} on {row.cores} cores is no product the dialect has')
    if row.kernel == 'matmul alone':
        tile = (256, 256, 64) if row.arch == 'a5' else (128, 256, 64)
        text = f'{tile[0]}x256x64 products in deep panels, as the last step of the ladder'
        return Modelled(lambda: gemm(*shape, large(row, tile, cores), *kinds), text,
                        like=replace(row, shape='4096^3 + gelu') if max(shape) > 4096 else None)
    if row.kernel == 'fused via GM':
        tile = (128, 256, 64)
        text = '128x256x64 products in deep panels, Gelu on each finished tile through GM'
        return Modelled(lambda: gemm(*shape, large(row, tile, cores), *kinds, gelu=True), text,
                        like=replace(row, shape='4096^3 + gelu') if max(shape) > 4096 else None)
    if row.kernel == 'gelu alone':
        n, chip = shape[0] * shape[1], row.chip
        width = unary_tile(n, kinds[1], chip.cube_cores, chip.memories['UB'].bytes)
        text = f'ours: flat tiles of {width}, two slots each way'
        return Modelled(lambda: unary(n, kinds[1], 'gelu_tanh', chip.cube_cores, width), text, 'bound')
    return Skip('a 256x256 float tile does not fit UB, and how it is cut is not described')
