"""Addresses of on-chip buffers (dialect 8.19).

Off: one counter per memory; annotated L1 and L0 buffers are ignored, UB starts behind the largest annotated end, nothing is checked.
On, `fork` profile: linear scan over live intervals, fresh memory first, then the first free block that fits; the limits are those of A2/A3
on every chip. In the `sound` profile `memory_sound` takes over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import CapacityError
from ..ir.nodes import Buffer, Program
from ..machine.chip import byte_map, chip as chip_of
from . import memory_sound
from .addresses import align, footprint
from .context import MEMORY_PLANNING, PassContext
from .liveness import Point, allocation_order, first_and_last, level, lifetimes, points
from .refuse import CompilerCrashes, CompilerRejects

# The planner knows one set of limits, whatever the platform.
LIMITS = {space: chip_of('a3').memories[space].bytes for space in ('L1', 'L0A', 'L0B', 'L0C', 'UB')}


class PlanningRejects(CompilerRejects, CapacityError):
    """The planner stops with its message; the byte map is this package's."""


class PlanningCrashes(CompilerCrashes, CapacityError):
    """The planner takes a free block that does not exist."""


def linear(program: Program) -> Program:
    buffers = dict(program.buffers)
    ends: dict[str, int] = {}
    for b in buffers.values():
        if b.annotated and b.space == 'UB':
            ends['UB'] = max(ends.get('UB', 0), align(b.address + b.bytes))
    order = allocation_order(program)
    untouched = [b.name for b in program.on_chip() if b.alias_of is None and b.name not in order]
    for name in (*order, *untouched):
        b = buffers[name]
        if b.address is None:
            buffers[name] = replace(b, address=ends.get(b.space, 0))
            ends[b.space] = ends.get(b.space, 0) + footprint(b)
    return program.with_buffers(buffers)


@dataclass(slots=True)
class Interval:
    buffer: Buffer
    size: int
    start: int
    end: int
    address: int | None = None


def fork_intervals(program: Program) -> list[Interval]:
    """Live intervals by start. A last touch nested deeper than the first moves on to the next touching statement of the first one's depth."""
    seq = points(program)
    out = []
    for name, (first, last) in first_and_last(program).items():
        b = program.buffers[name]
        out.append(Interval(b, footprint(b), first.index, _kill(seq, first, last), b.address if b.annotated else None))
    return out


def _kill(seq: list[Point], first: Point, last: Point) -> int:
    if level(last) <= level(first):
        return last.index
    return next((p.index for p in seq[last.index + 1:] if level(p) <= level(first)), len(seq))


class Scan:
    """Linear scan over the buffers of one memory."""

    def __init__(self, intervals: list[Interval], limit: int, lifetimes: dict[str, str]):
        self.intervals, self.limit, self.lifetimes = intervals, limit, lifetimes
        self.fixed = [i for i in intervals if i.buffer.annotated]
        self.active: list[Interval] = []
        self.free: list[tuple[int, int]] = []  # [from, to), sorted, never touching
        self.next = 0

    def run(self) -> None:
        for i in self.intervals:
            self.expire(i.start)
            if i.address is not None:
                self.place_fixed(i)
            else:
                i.address = self.fresh(i) if self.fits(i) else self.reuse(i)
            self.active.append(i)

    def expire(self, now: int) -> None:
        for i in [a for a in self.active if a.end < now]:
            self.active.remove(i)
            self.release(i.address, i.address + i.size)

    def release(self, lo: int, hi: int) -> None:
        blocks = sorted([*self.free, (lo, hi)])
        merged = [blocks[0]]
        for a, b in blocks[1:]:
            if a <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
            else:
                merged.append((a, b))
        self.free = merged

    def place_fixed(self, i: Interval) -> None:
        i.address = align(i.address)
        hit = next((a for a in self.active if a.address < i.address + i.size and i.address < a.address + a.size), None)
        if hit is not None:
            raise self.refusal(PlanningRejects, i, f'Memory allocation failed for: {i.buffer.name} memory allocate conflict with: {hit.buffer.name}',
                               'the annotated range is taken by a buffer that is live at the same time')
        self.free = [piece for a, b in self.free for piece in ((a, min(b, i.address)), (max(a, i.address + i.size), b)) if piece[0] < piece[1]]
        if i.address + i.size > self.next:
            if i.address > self.next:
                self.release(self.next, i.address)
            self.next = i.address + i.size

    def fits(self, i: Interval) -> bool:
        end = self.next + i.size
        together = (f for f in self.fixed if f.start <= i.end and i.start <= f.end)
        return end <= self.limit and not any(align(f.buffer.address) < end and self.next < align(f.buffer.address) + f.size for f in together)

    def fresh(self, i: Interval) -> int:
        self.next += i.size
        return self.next - i.size

    def reuse(self, i: Interval) -> int:
        if not self.free:
            raise self.refusal(PlanningCrashes, i, f'no room for {i.buffer.name} ({i.size} bytes, {self.limit - self.next} left) before any buffer has ended its life',
                               'the planner extends its last free block, and there is none')
        for k, (lo, hi) in enumerate(self.free):
            if hi - lo >= i.size:
                self.free[k:k + 1] = [(lo + i.size, hi)] if lo + i.size < hi else []
                return lo
        lo, hi = self.free[-1]
        if hi == self.next and self.limit - lo >= i.size:
            self.free[-1:] = [(lo + i.size, self.limit)] if lo + i.size < self.limit else []
            self.next = self.limit
            return lo
        raise self.refusal(PlanningRejects, i, f'Memory allocation failed for: {i.buffer.name} required: {i.size}, new memory available: {self.limit - self.next}',
                           'the buffers that are live at this point leave no gap that large')

    def refusal(self, kind: type, i: Interval, text: str, why: str) -> CapacityError:
        placed = self.intervals[:self.intervals.index(i)]
        rows = [(a.buffer.name, a.address, a.size, a.buffer.span, self.lifetimes[a.buffer.name]) for a in placed]
        return kind(text, where=i.buffer.span, why=f'{why}; the planner gives {i.buffer.space} {self.limit} bytes and has placed:\n{byte_map(rows, self.limit)}',
                    instead='smaller tiles, or tiles whose lives do not overlap')


def planned(program: Program) -> Program:
    buffers = dict(program.buffers)
    intervals, lines = fork_intervals(program), lifetimes(program)
    for space, limit in LIMITS.items():
        mine = [i for i in intervals if i.buffer.space == space]
        Scan(mine, limit, lines).run()
        for i in mine:
            buffers[i.buffer.name] = replace(i.buffer, address=i.address)
    groups = ties(intervals)
    return replace(program, buffers=buffers, attrs=program.attrs | ({'address_ties': groups} if groups else {}))


def ties(intervals: list[Interval]) -> tuple[tuple[str, ...], ...]:
    """Buffers of one memory first touched by one statement: the compiler orders them by a hash, so their addresses may be swapped."""
    groups: dict[tuple[str, int], list[str]] = {}
    for i in intervals:
        if not i.buffer.annotated:
            groups.setdefault((i.buffer.space, i.start), []).append(i.buffer.name)
    return tuple(tuple(sorted(g)) for g in groups.values() if len(g) > 1)


def run(program: Program, ctx: PassContext) -> Program:
    if ctx.sound:
        return memory_sound.plan(program, ctx, ctx.on(MEMORY_PLANNING))
    return planned(program) if ctx.on(MEMORY_PLANNING) else linear(program)
