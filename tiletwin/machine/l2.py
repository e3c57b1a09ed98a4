"""What L2 holds of each GM tensor while a launch runs.

A launch that fits L2 reads every byte from HBM once. A larger one is judged by reuse distance: the distinct bytes that all
cores together touch between two touches of a tile. Mean distances follow from the reuse times alone (the average footprint of
all windows of one length), so the cost is one sort of the touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping, Sequence

from .chip import Chip
from .cost import Residency

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Tensor:
    """One GM tensor of a launch and what the launch moves of it, in bytes."""

    name: str
    size: int
    read: int
    written: int
    fresh: bool  # holds nothing before the launch writes it

    @property
    def touched(self) -> int:
        return min(self.size, self.read + self.written)


def fits(chip: Chip, tensors: Sequence[Tensor]) -> bool:
    """Everything the launch touches stays in L2."""
    return sum(t.touched for t in tensors) <= chip.constants['gm.l2_bytes']


def residency(chip: Chip, tensors: Sequence[Tensor], distant: Mapping[str, float] | None = None, warm: bool = False,
              bypass: frozenset[str] = frozenset()) -> Residency:
    """`distant` holds the hit shares of a launch that does not fit; without it every byte misses once, or none when L2 is `warm`.
    Written bytes stay in L2 as far as it holds all that the launch touches; reads of `bypass` leave no trace there."""
    warm = warm and fits(chip, tensors)
    hits = {}
    for t in tensors:
        if t.read:
            first = 0 if warm or t.fresh or t.written >= t.size else min(t.size, t.read)
            hits[t.name] = distant[t.name] if distant and t.name in distant else 1 - first / t.read
    # What is written over and over reaches HBM once.
    once, written = sum(min(t.size, t.written) for t in tensors), sum(t.written for t in tensors)
    beyond = sum(t.touched for t in tensors if t.name not in bypass) - chip.constants['gm.l2_bytes']
    back = min(max(beyond, 0), once)
    missed = sum(t.read * (1 - hits[t.name]) for t in tensors if t.read and t.name not in bypass)
    # Misses are slower while L2 also takes in what the launch writes; half as many bytes as are read have the whole effect.
    beside = min(1.0, 2 * (once - back) / missed) if missed else 0.0
    return Residency(hits, back / written if written else 0.0, slowed=1 + (chip.constants['gm.filling'] - 1) * beside)


def hbm_cycles(chip: Chip, tensors: Sequence[Tensor], resident: Residency) -> float:
    """The least a launch can take: HBM moves what misses and what does not stay."""
    missed = sum(t.read * (1 - resident.hits.get(t.name, 0.0)) for t in tensors)
    back = resident.spilled * sum(t.written for t in tensors)
    return sum(size / chip.per_cycle(chip.constants[f'gm.{way}']) for size, way in ((missed, 'hbm'), (back, 'hbm_write')))


def hit_shares(chip: Chip, tensors: Sequence[Tensor], which: 'np.ndarray', tile: 'np.ndarray', size: 'np.ndarray', reads: 'np.ndarray',
               part: bool = False) -> dict[str, float]:
    """Hit share of every tensor from the touches of all cores in time order: tensor index, tile start in that tensor, bytes, read or write.

    In the first `part` of a launch tiles are seen for the first time more often than in the whole, which reads no byte of a tensor
    for the first time twice.
    """
    import numpy as np

    n = len(which)
    order = np.lexsort((np.arange(n), size, tile, which))
    same = np.zeros(n, bool)
    same[1:] = (which[order][1:] == which[order][:-1]) & (tile[order][1:] == tile[order][:-1]) & (size[order][1:] == size[order][:-1])
    # Tiles of one tensor that overlap count its bytes once.
    first = order[~same]
    distinct = np.bincount(which[first], size[first], len(tensors))
    scale = np.array([min(1.0, t.size / d) if d else 1.0 for t, d in zip(tensors, distinct)])
    weight = size * scale[which]
    time = order + 1.0  # of each touch, tile by tile
    before = np.where(same, np.roll(time, 1), 0.0)
    last = np.ones(n, bool)
    last[:-1] = ~same[1:]
    gaps = np.concatenate([time - before, n + 1 - time[last]])
    weights = np.concatenate([weight[order], weight[order][last]])
    distance = _footprint(gaps, weights, float(weight[first].sum()), n, (time - before)[same])
    held = _random_replacement(distance / chip.constants['gm.l2_bytes'])
    kept = np.array([1.0 if t.fresh else 0.0 for t in tensors])[which[order]] + 0.0
    kept[same] = held
    read = reads[order]
    if part:
        read &= same
    asked = np.bincount(which[order][read], size[order][read], len(tensors))
    got = np.bincount(which[order][read], (size[order] * kept)[read], len(tensors))
    if part:
        first = [0.0 if t.fresh else min(1.0, t.size / t.read) if t.read else 0.0 for t in tensors]
        return {t.name: float((1 - f) * (g / a if a else 0.0)) for t, f, a, g in zip(tensors, first, asked, got) if t.read}
    return {t.name: float(g / a) for t, a, g in zip(tensors, asked, got) if a}


def crowds(tensors: Sequence[Tensor], which: 'np.ndarray', tile: 'np.ndarray', cores: int) -> dict[str, float]:
    """How many of the cores touch the same tile at the same time, per tensor. The touches of one moment lie side by side; a launch whose cores
    do not all have the same number of them has no such moments."""
    import numpy as np

    if not len(which) or len(which) % cores:
        return {}
    moment = np.arange(len(which)) // cores
    _, where, times = np.unique(np.stack([moment, which, tile]), axis=1, return_inverse=True, return_counts=True)
    together = times[where.reshape(-1)].astype(float)
    total, count = np.bincount(which, together, len(tensors)), np.bincount(which, minlength=len(tensors))
    return {t.name: float(a / b) for t, a, b in zip(tensors, total, count) if b}


def _footprint(gaps: 'np.ndarray', weights: 'np.ndarray', total: float, n: int, windows: 'np.ndarray') -> 'np.ndarray':
    """Mean distinct bytes in windows of the given lengths: a tile is missing from the windows that lie inside one of its gaps."""
    import numpy as np

    order = np.argsort(gaps, kind='stable')
    gaps, weights = gaps[order], weights[order]
    above = np.concatenate([np.cumsum((weights * gaps)[::-1])[::-1], [0.0]])
    heavy = np.concatenate([np.cumsum(weights[::-1])[::-1], [0.0]])
    at = np.searchsorted(gaps, windows, 'right')
    return total - (above[at] - windows * heavy[at]) / (n - windows + 1)


def _random_replacement(load: 'np.ndarray') -> 'np.ndarray':
    """Share still held after `load` times the capacity has passed by, when a random line makes room for each new one.

    The policy of the chip is not published. Of a set read over and over, a share h hits, (1 - h) * load lines are replaced per
    round, and a line survives them with probability exp(-(1 - h) * load). Up to the capacity everything stays.
    """
    import numpy as np

    held = np.exp(-load)
    for _ in range(60):
        held = np.exp(-(1 - held) * load)
    return np.where(load <= 1, 1.0, held)
