"""Where the time of a block goes, pipe by pipe: working, or kept from working by what.

A pipe that moves data works until its last byte has landed. Of every pipe work and stalls add up to the cycles of the block.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Iterator

from ..errors import Span
from ..sim.result import Slice, Timeline

# Why a pipe stands still, in the order reports print.
WHYS = {
    'flag': 'waits for a flag',
    'landing': 'data still landing',
    'travel': 'cross flag under way',
    'barrier': 'barrier of all pipes',
    'held': 'scalar unit held up',
    'issue': 'nothing issued yet',
    'sync': 'flags and barriers themselves',
    'done': 'no work left',
}


@dataclass(frozen=True, slots=True)
class Stall:
    """A stretch in which one pipe does not work, for one reason."""

    core: str
    pipe: str
    start: float
    end: float
    why: str  # of WHYS
    name: str = ''  # the flag or barrier
    at: Span | None = None  # the statement that waits, or that comes next
    by: Span | None = None  # the statement that set the flag; with 'done' the one the block waits for
    source: str = ''  # the pipe behind it: 'AIC MTE2'

    @property
    def cycles(self) -> float:
        return self.end - self.start


class _Block:
    def __init__(self, timeline: Timeline):
        self.cycles, self.slices = timeline.cycles, timeline.slices
        self.pipes: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, s in enumerate(self.slices):
            self.pipes[s.core, s.pipe].append(i)
        self.work_ends = {place: [(self.slices[i].end, i) for i in found if self.slices[i].kind == 'op'] for place, found in self.pipes.items()}
        arrows: dict[int, list] = defaultdict(list)
        for a in timeline.arrows:
            arrows[a.target].append(a)
        self.origin: dict[int, int] = {}  # a wait -> the slice behind which its flag was set
        for found in self.pipes.values():
            open_waits: list[int] = []
            for i in found:
                s = self.slices[i]
                if s.kind == 'wait':
                    open_waits.append(i)
                    self.match([i], arrows[i])
                elif s.kind == 'op':
                    # An arrow leads to the operation the pipe goes on with, past the waits before it.
                    self.match(open_waits, arrows[i])
                    open_waits = []
        ends = [s.end + s.latency for s in self.slices if s.kind == 'op']
        self.last = max((i for i, s in enumerate(self.slices) if s.kind == 'op'), key=lambda i: self.slices[i].end, default=None) if ends else None
        # The scalar unit of a core: when it stands still itself.
        units = {core: found for (core, pipe), found in self.pipes.items() if pipe == 'S'}
        self.holds = {core: [self.slices[i] for i in found if self.slices[i].kind != 'op'] for core, found in units.items()}
        self.hold_ends = {core: [s.end for s in found] for core, found in self.holds.items()}

    def match(self, waits: list[int], arrows: list) -> None:
        for a in arrows:
            for w in waits:
                if w not in self.origin and self.slices[w].flag == a.name and self.slices[a.source].end <= self.slices[w].end:
                    self.origin[w] = a.source
                    break

    def setter(self, i: int) -> Slice | None:
        """What ran before the flag of a wait was set. Waits behind the last operation have no arrow."""
        s = self.slices[i]
        if i in self.origin:
            return self.slices[self.origin[i]]
        if '->' in s.flag:
            ends = self.work_ends.get((s.core, s.flag.split('->')[0]), [])
            at = bisect_right(ends, (s.end, len(self.slices))) - 1
            return self.slices[ends[at][1]] if at >= 0 else None
        return None

    def of(self, core: str, pipe: str) -> Iterator[Stall]:
        if pipe == 'S':
            yield from self.scalar(core)
            return
        time = landed = 0.0
        for i in self.pipes[core, pipe]:
            s = self.slices[i]
            for x in (*self.gap(s, time), *(self.wait(i) if s.kind == 'wait' else ())):
                if x.end > landed:
                    yield x if x.start >= landed else replace(x, start=landed)
            # A barrier of the pipe itself waits for its own data, which is part of its work.
            time = s.end
            if s.kind == 'op':
                landed = max(landed, s.end + s.latency)
        yield from self.rest(core, pipe, max(time, landed))

    def rest(self, core: str, pipe: str, time: float) -> Iterator[Stall]:
        if self.cycles > time:
            last = self.slices[self.last] if self.last is not None else None
            yield Stall(core, pipe, time, self.cycles, 'done', '', None, last.span if last else None, f'{last.core} {last.pipe}' if last else '')

    def gap(self, s: Slice, time: float) -> Iterator[Stall]:
        """From `time` to the start of `s`: first the queue is empty, then flags that need not wait are passed."""
        issued = min(max(s.issued, time), s.start)
        holds, ends = self.holds.get(s.core, []), self.hold_ends.get(s.core, [])
        for hold in holds[bisect_right(ends, time):]:
            if hold.start >= issued:
                break
            start, end = max(time, hold.start), min(issued, hold.end)
            if start > time:
                yield Stall(s.core, s.pipe, time, start, 'issue', s.op, s.span, None, f'{s.core} S')
            yield Stall(s.core, s.pipe, start, end, 'held', hold.flag or hold.op, hold.span, hold.set_at, f'{s.core} S')
            time = end
        if issued > time:
            yield Stall(s.core, s.pipe, time, issued, 'issue', s.op, s.span, None, f'{s.core} S')
        if s.start > max(issued, time):
            yield Stall(s.core, s.pipe, max(issued, time), s.start, 'sync', s.op, s.span)

    def wait(self, i: int) -> Iterator[Stall]:
        s, setter = self.slices[i], self.setter(i)
        parts = [('flag', s.end)]
        if setter is not None:
            cross = '->' not in s.flag
            parts = [('flag', setter.end), ('landing', setter.end + setter.latency), ('travel' if cross else 'flag', s.end)]
        if setter is not None and not setter.latency and parts[0][0] == parts[-1][0]:
            parts = [('flag', s.end)]
        time = s.start
        for why, until in parts:
            end = min(until, s.end)
            if end > time:
                yield Stall(s.core, s.pipe, time, end, why, s.flag or s.op, s.span, s.set_at, f'{setter.core} {setter.pipe}' if setter else '')
                time = end

    def scalar(self, core: str) -> Iterator[Stall]:
        """Between its waits the scalar unit issues, which is its work; it is done with the last instruction of its core."""
        last = max((s.end if s.pipe == 'S' else s.issued for s in self.slices if s.core == core), default=0.0)
        for i in self.pipes.get((core, 'S'), ()):
            s = self.slices[i]
            if s.kind == 'wait':
                yield from self.wait(i)
            elif s.kind == 'barrier':
                yield Stall(core, 'S', s.start, s.end, 'barrier', s.op, s.span, None, f'{core} S')
        yield from self.rest(core, 'S', last)


def places(timeline: Timeline) -> list[tuple[str, str]]:
    """(core, pipe) of everything that has work, the scalar units of these cores among them."""
    used = {(s.core, s.pipe) for s in timeline.slices if s.kind == 'op' and s.pipe != 'S'}
    return sorted(used | {(core, 'S') for core, _ in used} | {(s.core, 'S') for s in timeline.slices if s.pipe == 'S'})


def stalls(timeline: Timeline) -> dict[tuple[str, str], list[Stall]]:
    """The stalls of every pipe that has work, in the order of time."""
    block = _Block(timeline)
    return {place: [x for x in block.of(*place) if x.end > x.start] for place in places(timeline)}


def gaps(timeline: Timeline) -> dict[tuple[str, str], list[float]]:
    """Of every pipe the lengths of the stretches between two operations in which it does not work, in the order of time."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    ends: dict[tuple[str, str], float] = {}
    for s in timeline.slices:
        if s.kind == 'op':
            place = s.core, s.pipe
            if place in ends and s.start > ends[place]:
                found[place].append(s.start - ends[place])
            ends[place] = max(ends.get(place, 0.0), s.end + s.latency)
    return found


def percentile(ordered: list[float], share: int) -> float:
    """The smallest value that at least `share` per cent of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0.0
