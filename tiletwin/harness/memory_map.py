"""When which bytes of the on-chip memories hold something: from the write that fills them to the last read before the next one."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from ..sim.result import Timeline


@dataclass(frozen=True, slots=True)
class Life:
    """One tenant of a slot: addresses in bytes, times in cycles of the block."""

    memory: str  # 'AIC L1'
    buffer: str
    start: int
    stop: int
    begin: float
    end: float


def _slots(timeline: Timeline) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """The parts of every buffer that are used apart from one another: ranges that overlap are one."""
    ranges: dict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
    for s in timeline.slices:
        for t in s.touches:
            ranges[t.memory, t.buffer].add((t.start, t.stop))
    out = {}
    for key, found in ranges.items():
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], stop)
            else:
                merged.append((start, stop))
        out[key] = merged
    return out


def lives(timeline: Timeline) -> list[Life]:
    """By memory, then by address and time."""
    slots = _slots(timeline)
    uses: dict[tuple[str, str, int, int], list[tuple[float, float, str]]] = defaultdict(list)
    for s in timeline.slices:
        modes: dict[tuple[str, str, int, int], str] = {}
        for t in s.touches:
            own = slots[t.memory, t.buffer]
            slot = own[bisect_right(own, (t.start, float('inf'))) - 1]
            key = t.memory, t.buffer, *slot
            # An operation in place keeps its tenant.
            modes[key] = t.mode if modes.get(key, t.mode) == t.mode else 'm'
        for key, mode in modes.items():
            uses[key].append((s.start, s.end + (s.latency if mode != 'r' else 0.0), mode))
    out: list[Life] = []
    for (memory, buffer, start, stop), found in uses.items():
        found.sort()
        begin, end, read = found[0][0], found[0][1], False
        for at, until, mode in found:
            if mode == 'w' and read:
                out.append(Life(memory, buffer, start, stop, begin, end))
                begin, end, read = at, until, False
            end, read = max(end, until), read or mode != 'w'
        out.append(Life(memory, buffer, start, stop, begin, end))
    return sorted(out, key=lambda x: (x.memory, x.start, x.begin, x.buffer))


def in_use(found: list[Life]) -> list[tuple[float, int]]:
    """(time, bytes that hold something from then on) of one memory; a byte two tenants claim counts once for each."""
    changes: dict[float, int] = defaultdict(int)
    for x in found:
        changes[x.begin] += x.stop - x.start
        changes[x.end] -= x.stop - x.start
    out, held = [], 0
    for time in sorted(changes):
        held += changes[time]
        out.append((time, held))
    return out
