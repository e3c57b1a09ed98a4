"""Flash attention rows, and the ladder of the TileLang-Ascend one.

The PTO kernel is the four-stage pipeline of `flash_attn.a3_4stage`: 128 queries, tiles of 256 keys, scores three tiles ahead of the
products. The TileLang-Ascend kernel has its own file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Callable, Sequence

from ops.expert.flash_attn.a3_4stage import a3_4stage

from .attention_block128 import BLOCK, STEPS, attention_block128
from .registry import Modelled, Skip, models
from .rows import Row

TILE, AHEAD = 256, 3  # keys per tile of the PTO kernel, and tiles the scores run ahead
LONG = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row says about its problem; sizes it does not mention are 1 head and equal lengths."""

    batch: int
    heads: int
    kv_heads: int
    head: int
    queries: int
    keys: int


def shape(row: Row) -> Shape | None:
    """From texts such as 'S0=S1=4096' with '1 head, D128' or 'B1 H12 KV1 D128 S=32768'."""
    text = f'{row.kernel}, {row.shape}'

    def number(*patterns: str) -> int | None:
        found = (re.search(pattern, text) for pattern in patterns)
        return next((int(m[1]) for m in found if m), None)

    queries = number(r'\bS0=(?:S1=)?(\d+)\b(?! per core)', r'\bS=(\d+)\b', r'\bS(\d{3,})\b')
    keys = number(r'\bS1=(\d+)\b') or queries
    head = number(r'\bD=?(\d+)\b')
    if not (queries and keys and head):
        return None
    heads = number(r'\bH=?(\d+)\b', r'\b(\d+) heads?\b') or 1
    return Shape(number(r'\bB=?(\d+)\b') or 1, heads, number(r'\bKV=?(\d+)\b') or heads, head, queries, keys)


def shorter(row: Row) -> Row | None:
    """A row of the same kernel with 4096 queries and keys, for those that are longer."""
    text = re.sub(r'\b(S0=S1=|S=)(\d+)\b', lambda m: f'{m[1]}{min(int(m[2]), LONG)}', row.shape)
    return replace(row, shape=text) if text != row.shape else None


def cube_cores(row: Row) -> int:
    return row.core_counts[0] if row.core_counts else row.chip.cube_cores


def four_stage(queries: int, keys: int, cores: int, why: str, kind: str = 'scored') -> Modelled | Skip:
    """Blocks without queries would only count as busy, so there are never more blocks than tiles of queries."""
    if queries % BLOCK or keys % TILE or keys < AHEAD * TILE:
        return Skip(f'the kernel takes whole tiles of {BLOCK} queries and {TILE} keys, at least {AHEAD}')
    blocks = min(cores, queries // BLOCK)
    return Modelled(lambda: a3_4stage(queries, keys, BLOCK, s1_tile=TILE, qk_preload=AHEAD, cores=blocks), why, kind)


def block128(found: Shape, cores: int, step: Sequence[Any]) -> Modelled | Skip:
    if found.queries % BLOCK or found.keys % (BLOCK * step[1]) or found.heads % found.kv_heads:
        return Skip(f'the kernel takes whole tiles of {BLOCK} queries and {BLOCK * step[1]} keys')
    blocks = min(cores, found.batch * found.heads * found.queries // BLOCK)
    return Modelled(lambda: attention_block128(found.batch, found.heads, found.kv_heads, found.queries, found.keys, *step, cores=blocks),
                    f'128x128 tiles, Q in L1, queues of {step[0]} slots, a cross flag per {step[1]} tiles, {"axpy" if step[2] else "mul + sub"}')


@models('fa_fwd')
def forward(row: Row) -> Modelled | Skip:
    found = schedule(row)
    return replace(found, like=shorter(row)) if isinstance(found, Modelled) else found


def schedule(row: Row) -> Modelled | Skip:
    found = described(row)
    # 4096 keys are read in the same steps as more.
    shorter = re.sub(r'8192|\d{5,}', '4096', row.shape)
    return replace(found, like=replace(row, shape=shorter)) if isinstance(found, Modelled) and shorter != row.shape else found


def described(row: Row) -> Modelled | Skip:
    found = shape(row)
    if found is None or found.head != BLOCK:
        return Skip('no row of a head other than 128 says how it is tiled')
    if re.search(r'(?<!non-)\bcausal\b', row.kernel):
        return Skip('the published schedules are those of attention without a mask')
    queries = found.batch * found.heads * found.queries
    if row.impl.startswith('PTO'):
        return four_stage(queries, found.keys, cube_cores(row), f'four stages, tiles of {BLOCK} x {TILE}, {AHEAD} ahead')
    if row.impl == 'TileLang-Ascend' and 'expert' in row.kernel:
        return block128(found, cube_cores(row), STEPS['best'])
    if row.impl == 'AscendC':
        return four_stage(queries, found.keys, cube_cores(row), 'our four-stage kernel; the vendor\'s is closed', 'bound')
    return Skip('the schedule of this kernel is not described')


@models('fa_fwd_fewcore')
def few_cores(row: Row) -> Modelled | Skip:
    return Skip('not a kernel time: 12 tiles more take 1.7 us on one core and 4.9 us on four, of which the cube alone needs 13.7 us')


@models('fa_ladder')
def ladder_step(row: Row) -> Modelled | Skip:
    found, step = shape(replace(row, kernel='')), step_of(row)
    if found is None or step is None:
        return Skip('the step is not described')
    return block128(found, cube_cores(row), STEPS[step])


def step_of(row: Row) -> str | None:
    """Which step of the ladder a row is."""
    words = {'L1 resident': 'resident', 'Pipelined': 'pipelined', 'axpy': 'axpy'}
    return next((step for word, step in words.items() if word in row.kernel), None)


def published_speed(row: Row) -> float | None:
    """Speed of a ladder row relative to the last step."""
    found = re.search(r'relative to the last ladder step: ([\d.]+)', row.note)
    return float(found[1]) if found else None


def ladder(rows: Sequence[Row], time: Callable[[Row], float]) -> list[tuple[str, float, float]]:
    """(step, published, modelled) speeds relative to the last step, in the order of the table."""
    steps = [(row, speed, time(row)) for row in rows if row.cat == 'fa_ladder' and (speed := published_speed(row)) is not None]
    last = next(us for _, speed, us in steps if speed == 1.0)
    return [(step_of(row), speed, last / us) for row, speed, us in steps]


@models('sparse_fa')
def sparse(row: Row) -> Modelled | Skip:
    return Skip('paged attention of one token: how its kernels share 128 heads and 2048 rows among the cores is not described')


@models('cann_mha', 'cann_gqa', 'cann_mla', 'cann_sparse_flash_attention', 'sparse_mla')
def other_attention(row: Row) -> Modelled | Skip:
    return Skip('causal, decode and latent attention: neither the tiling nor the split over the cores is published')
