"""Conflicts in GM between blocks that nothing orders.

The blocks of a launch run in any order and at the same time. A map of each written tensor says which block owns each
granule of bytes; a second block that writes or reads an owned granule is a conflict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..sim.access import Access
from ..sim.congruence import granules
from .findings import Finding, Side
from .source import At, Sites


@dataclass(frozen=True, slots=True)
class Touch:
    """One GM access of a block: the access of the analysed block and where it happens in this one."""

    access: Access
    core: str
    pipe: int
    op: str
    at: At


class BlockCheck:
    def __init__(self, sites: Sites, sizes: dict[str, int]):
        self.sites, self.sizes = sites, sizes  # bytes per tensor
        self.touches: list[tuple[int, str, int, Touch]] = []  # block, tensor, shift in bytes, touch
        self.conflicts: dict[tuple, list] = {}
        self.covered: set[str] = set()  # tensors of which every byte is written by some block

    def add(self, block: int, tensor: str, shift: int, touch: Touch) -> None:
        self.touches.append((block, tensor, shift, touch))

    def check(self) -> None:
        by_tensor: dict[str, list] = {}
        for block, tensor, shift, touch in self.touches:
            by_tensor.setdefault(tensor, []).append((block, shift, touch))
        for tensor, rows in by_tensor.items():
            if any(t.access.mode != 'r' for _, _, t in rows):
                self.tensor(tensor, rows)

    def tensor(self, tensor: str, rows: list) -> None:
        spans = {(shift, t.access.span) for _, shift, t in rows}
        grain = 0
        for shift, s in spans:
            grain = math.gcd(grain, s.start + shift, s.row_bytes, s.pitch if s.rows > 1 else 0)
        grain = grain or 1
        low = min(s.start + shift for shift, s in spans)
        wholly = low == 0 and max(s.stop + shift for shift, s in spans) == self.sizes[tensor]
        size = (max(s.stop + shift for shift, s in spans) - low) // grain
        owner = np.full(size, -1, np.int32)
        added = np.full(size, -1, np.int32)
        writers = [r for r in rows if r[2].access.mode in 'wm']
        atomics = [r for r in rows if r[2].access.mode == 'a']
        for block, shift, touch in writers:
            view = granules(owner, touch.access.span, low - shift, grain)
            if ((view != -1) & (view != block)).any():
                other = int(view[(view != -1) & (view != block)].flat[0])
                self.conflict('WAW', tensor, block, other, touch, writers)
            view[...] = block
        if wholly and (owner != -1).all():
            self.covered.add(tensor)
        for block, shift, touch in atomics:
            view = granules(owner, touch.access.span, low - shift, grain)
            if ((view != -1) & (view != block)).any():
                self.conflict('WAW', tensor, block, int(view[(view != -1) & (view != block)].flat[0]), touch, writers)
            granules(added, touch.access.span, low - shift, grain)[...] = block
        for block, shift, touch in rows:
            if touch.access.mode in 'rm':
                for table, peers in ((owner, writers), (added, atomics)):
                    view = granules(table, touch.access.span, low - shift, grain)
                    foreign = (view != -1) & (view != block)
                    if foreign.any():
                        self.conflict('RAW', tensor, block, int(view[foreign].flat[0]), touch, peers)

    def conflict(self, kind: str, tensor: str, block: int, other: int, touch: Touch, peers: list) -> None:
        key = (kind, tensor, touch.at.sid)
        if key in self.conflicts:
            self.conflicts[key][0] += 1
            return
        first = next((t for b, _, t in peers if b == other), touch)
        self.conflicts[key] = [1, kind, tensor, block, other, touch, first]

    def kinds(self) -> dict[str, set[str]]:
        out: dict[str, set[str]] = {}
        for kind, tensor, _ in self.conflicts:
            out.setdefault(tensor, set()).add(kind)
        return out

    def findings(self, same_value: set[str]) -> list[Finding]:
        out = []
        for count, kind, tensor, block, other, touch, first in self.conflicts.values():
            verb = 'reads' if kind == 'RAW' else 'writes'
            a = self.sites.side('writes', first.at, first.op, first.pipe, first.core, other, first.access)
            b: Side = self.sites.side(verb, touch.at, touch.op, touch.pipe, touch.core, block, touch.access)
            benign = kind == 'WAW' and tensor in same_value
            message = f'{kind} on {tensor} between blocks: block {block} {verb} bytes that block {other} writes'
            if benign:
                message += '; both store the same value'
            out.append(Finding('racecheck', 'race', 'review' if benign else 'error', message, (a, b),
                               'the blocks of a launch run at the same time and in any order',
                               'give each block its own bytes, T.tile.atomic_add for sums, or T.sync_all() with no more blocks than cores',
                               f'GM {tensor}', count))
        return out
