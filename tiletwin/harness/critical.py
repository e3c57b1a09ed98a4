"""What the longest block waits for: its last instruction, what that waited for, and so on back to the start."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from ..sim.result import Slice, Timeline

# Cycles of the path in which no pipe works: flag and barrier latency, data still landing, instructions not yet issued.
BETWEEN = 'sync/issue'


def pipe_name(core: str, pipe: str) -> str:
    """The two vector cores of a block do the same kind of work: one name for both."""
    return f'{core.rstrip("01")} {pipe}'


class _Path:
    def __init__(self, timeline: Timeline):
        self.slices = timeline.slices
        self.sources: dict[int, list[int]] = defaultdict(list)
        for a in timeline.arrows:
            self.sources[a.target].append(a.source)
        self.before: dict[int, int] = {}  # the operation of the same pipe before this one
        self.after: dict[int, int] = {}  # the operation a stalled pipe goes on with
        self.scalar: dict[str, list[int]] = defaultdict(list)  # of each core, in order
        self.work: dict[str, list[int]] = defaultdict(list)  # operations of a core by their end
        self.done: dict[tuple[str, str], list[int]] = defaultdict(list)  # operations of a pipe by their end
        self.seen: set[int] = set()
        newest: dict[tuple[str, str], int] = {}
        stalled: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, s in enumerate(self.slices):
            place = (s.core, s.pipe)
            if place in newest:
                self.before[i] = newest[place]
            if s.kind == 'op':
                newest[place] = i
                self.work[s.core].append(i)
                for w in stalled.pop(place, ()):
                    self.after[w] = i
            elif s.pipe != 'S':
                stalled[place].append(i)
            if s.pipe == 'S':
                self.scalar[s.core].append(i)
            if s.kind == 'op':
                self.done[place].append(i)
        # Cores are simulated one after the other: the order of slices of different pipes says nothing.
        for lists in (self.scalar, self.work, self.done):
            for found in lists.values():
                found.sort(key=lambda i: (self.slices[i].end, i))
        self.ends = {id(found): [self.slices[i].end for i in found] for lists in (self.scalar, self.work, self.done) for found in lists.values()}

    def latest(self, found: list[int], time: float) -> list[int]:
        """The last of `found` that has ended by `time` and is not on the path yet."""
        at = bisect_right(self.ends[id(found)], time) - 1
        while at >= 0 and found[at] in self.seen:
            at -= 1
        return found[at:at + 1] if at >= 0 else []

    def setters(self, s: Slice, time: float) -> list[int]:
        """What the pipe that set a flag did last: of several waits before one operation only the last has an arrow."""
        if s.flag.startswith('cross'):
            return [j for core, found in self.work.items() if core != s.core for j in self.latest(found, time)]
        place = (s.core, s.flag.split('->')[0])
        return self.latest(self.done[place], time) if place in self.done else []

    def cause(self, i: int) -> int | None:
        """What ended last before slice `i` could start, or before a stall could end."""
        s: Slice = self.slices[i]
        self.seen.add(i)
        time = s.start if s.kind == 'op' else s.end
        found = [*self.sources.get(i, ()), *self.sources.get(self.after.get(i, -1), ())]
        if i in self.before:
            found.append(self.before[i])
        if s.core in self.scalar:
            found += self.latest(self.scalar[s.core], time)
        if s.kind == 'barrier' and s.pipe == 'S' and s.core in self.work:
            found += self.latest(self.work[s.core], time)
        if s.kind == 'wait':
            found += self.setters(s, time)
        return max((j for j in found if j not in self.seen and self.slices[j].end <= time), key=lambda j: self.slices[j].end, default=None)


def critical_path(timeline: Timeline) -> dict[str, float]:
    """Cycles of the longest chain by pipe, most first; they add up to the cycles of the block."""
    path = _Path(timeline)
    spent: dict[str, float] = defaultdict(float)
    time = timeline.cycles
    at = max((i for i, s in enumerate(path.slices) if s.kind == 'op'), key=lambda i: path.slices[i].end, default=None)
    while at is not None:
        s = path.slices[at]
        end = min(s.end, time)
        # A pipe works until its last byte has landed.
        landing = min(time - end, s.latency)
        spent[BETWEEN] += time - end - landing
        time = end
        if s.kind == 'op':
            spent[pipe_name(s.core, s.pipe)] += time - s.start + landing
            time = s.start
        at = path.cause(at)
    spent[BETWEEN] += time
    return {name: cycles for name, cycles in sorted(spent.items(), key=lambda kv: (-kv[1], kv[0])) if cycles > 0}
