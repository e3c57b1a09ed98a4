"""The order in which all cores of a launch touch GM: what the reuse distances of L2 are made of.

Only the starts of the GM tiles are generated, so this is far cheaper than the full streams.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from typing import TYPE_CHECKING, Callable, Iterable

from ..ir import expr as E
from ..ir.nodes import For, Instr, Program, Region, Store
from ..ir.ops import OPS
from .access import Geometry
from .issue import IssueGenerator, compile_function

if TYPE_CHECKING:
    import numpy as np

# Of a launch with more touches its first part stands for the whole: what it does again it does at the same distances.
MOST = 4_000_000


class TouchGenerator(IssueGenerator):
    """Emits `ev(site)` and the start of the tile for every copy from or to GM."""

    def __init__(self, program: Program, role: str, scalars: list[str], sites: list[tuple[Region, bool]]):
        super().__init__(program, role, [], scalars)
        self.sites = sites
        self.emitted = 0

    def on_instr(self, s: Instr) -> None:
        if OPS[s.op].pipe != 'copy':
            return
        for i, r in enumerate(s.args[:2]):
            if isinstance(r, Region) and self.program.buffers[r.buffer].space == 'GM':
                self.sites.append((r, i == 0 and s.op != 'atomic_add'))
                self.emit(f'ev({len(self.sites) - 1}); at({self.expr(E.flat_offset(self.program.buffers[r.buffer].shape, r.starts))})')
                self.emitted += 1

    def on_store(self, s: Store) -> None:
        pass

    def serial_for(self, s: For) -> None:
        mark, before = len(self.lines), self.emitted
        super().serial_for(s)
        if self.emitted == before:
            del self.lines[mark:]


class _Enough(Exception):
    pass


def _count(function: Callable, cids: Iterable[int], vid: int, scalars: dict) -> int:
    """Touches of one core."""
    seen = array('H')
    for cid in cids:
        function(seen.append, deque(maxlen=0).append, cid, vid, scalars)
    return len(seen)


def _first(function: Callable, cids: Iterable[int], vid: int, scalars: dict, most: int | None) -> tuple[array, array]:
    """Site and start of the touches of one core, the first `most` of them."""
    site, start = array('H'), array('q')

    def bounded(number: int) -> None:
        if len(site) == most:
            raise _Enough
        site.append(number)

    try:
        for cid in cids:
            function(site.append if most is None else bounded, start.append, cid, vid, scalars)
    except _Enough:
        pass
    return site, start


def touches(program: Program, geometry: Geometry, scalars: dict, blocks: int, cores: int,
            most: int = MOST) -> tuple[list[tuple[str, int, bool]], 'np.ndarray', 'np.ndarray', bool]:
    """Sites (tensor, bytes, is it read), the site and first byte of every touch, in time order, and whether that is only the first part.

    Blocks go round `cores`; the n-th touch of every core of one kind happens at the same time, and each kind is spread evenly
    over the launch.
    """
    import numpy as np

    regions: list[tuple[Region, bool]] = []
    functions = {}
    for role in ('C', 'V'):
        gen = TouchGenerator(program, role, list(scalars), regions)
        source = gen.source('touch', 'ev, at, cid, vid, scalars')
        if gen.emitted:
            functions[role] = compile_function(source, 'touch')
    busy = min(cores, blocks)
    vids = {'C': 1, 'V': program.launch.vectors}
    counts = {role: _count(functions[role], range(0, blocks, cores), 0, scalars) for role in functions}
    share = most / max(1, busy * sum(counts[role] * vids[role] for role in functions))
    parts: list[tuple] = []
    for role in functions:
        bound = math.ceil(counts[role] * share) if share < 1 else None
        mine = [_first(functions[role], range(core, blocks, cores), vid, scalars, bound) for core in range(busy) for vid in range(vids[role])]
        longest = max(len(s) for s, _ in mine)
        parts += [(np.arange(len(s)) / longest, np.array(s, np.int32), np.array(a, np.int64)) for s, a in mine if len(s)]
    if not parts:
        return [], np.zeros(0, np.int32), np.zeros(0, np.int64), False
    order = np.argsort(np.concatenate([t for t, _, _ in parts]), kind='stable')
    which, at = np.concatenate([s for _, s, _ in parts])[order], np.concatenate([a for _, _, a in parts])[order]
    sites = []
    for r, read in regions:
        buffer = program.buffers[r.buffer]
        count = 1
        for e, full in zip(r.extents, geometry.shapes[r.buffer]):
            count *= min(e.value, full) if isinstance(e, E.Const) else full
        sites.append((program.root(r.buffer)[0].name, count * buffer.es, read))
    return sites, which, at * np.array([program.buffers[r.buffer].es for r, _ in regions])[which], share < 1
