"""Skipping repetitions exactly.

The cores of a Schedule reach a moment b at which the same things are on their way as at an earlier moment a, and the streams ahead
of b are congruent to those behind a. What the cores do is decided by flags, never by times, so they do the same again: from b to c,
and on for as long as the streams agree. Three things carry over from [a, b] and [b, c] to the stretches after c.

* Times. Every time is the largest of some earlier times plus a duration. While each comparison has the same winner, every time of a
  stretch is a time of the stretch before plus a constant; so when all times have moved by the same amounts from a to b as from b to
  c, they go on moving by these, and the differences that were compared grow or shrink by a fixed step. The first to change sign ends
  the repetition. Durations lie on a binary grid (`machine.cost`): all sums are exact.
* Knowledge. Numbers of finished instructions and of accesses either move along with the instructions issued or stay. A number that
  stays must not be overtaken by one it is compared with.
* What is counted - busy cycles, findings, slices - grows by the same amount.

So a state after n more stretches is the state at c moved n times, bit by bit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Iterator, NamedTuple

import numpy as np

from .pipes import NP, CoreState
from .state import Mover, Reader, visit_rest, visit_times

WORTH = 16  # events a repetition must have for a look at the whole state to pay
CANDIDATES = 24  # earlier moments a moment is compared with
PATIENCE = 4  # stretches in a row that do not carry over before a period is left alone for a while


class Repeat(NamedTuple):
    """What `count` more stretches add to a list: its entries from `body`, each moved by its own step of `drift` per stretch."""

    body: tuple
    drift: tuple
    count: int
    events: dict[int, int]  # core -> events per stretch


def drifts(now: list | tuple, before: list | tuple) -> tuple | None:
    """Steps between two stretches: of slices (start, end, issue), of arrows (source, target). None when their entries are not the same."""
    if len(now) != len(before):
        return None
    out: list = []
    for x, y in zip(now, before):
        if isinstance(x, Repeat) or isinstance(y, Repeat):
            if type(x) is not type(y) or x.count != y.count or x.events != y.events:
                return None
            inner = drifts(x.body, y.body)
            if inner is None:
                return None
            out.append(inner)
        elif len(x) != len(y):
            return None
        else:
            out.append((x[2] - y[2], x[3] - y[3], x[7] - y[7]) if len(x) > 3 else (x[0] - y[0], x[1] - y[1]))
    return tuple(out)


def spelled(line: list | tuple, moves: tuple = ()) -> Iterator[tuple[tuple, tuple]]:
    """Every entry a line stands for, in order, with its moves: (stretches, step of the entry per stretch, events per stretch)."""
    for i, x in enumerate(line):
        here = tuple((n, drift[i], events) for n, drift, events in moves)
        if isinstance(x, Repeat):
            for n in range(1, x.count + 1):
                yield from spelled(x.body, (*here, (n, x.drift, x.events)))
        else:
            yield x, here


def weighed(line: list | tuple) -> list[tuple[tuple, int]]:
    """The entries that were simulated, with the number of entries each stands for, itself included."""
    found: dict[int, list] = {}

    def walk(entries: list | tuple, times: int) -> None:
        for x in entries:
            if isinstance(x, Repeat):
                walk(x.body, times * x.count)
            else:
                found.setdefault(id(x), [x, 0])[1] += times

    walk(line, 1)
    return [(x, times) for x, times in found.values()]


@dataclass
class Moment:
    """A Schedule between two turns."""

    position: tuple[int, ...]  # of every core in its stream
    segment: tuple[int, ...]  # stretch it is in, or about to begin
    begun: tuple[bool, ...]  # has it issued part of it?
    shape: list
    times: np.ndarray
    busy: np.ndarray
    log: int
    slices: int
    arrows: int
    simulated: int
    whole: Reader | None = None
    clocks: dict[tuple, int] = field(default_factory=dict)  # kind of place -> how far it has come


@dataclass
class Watch:
    """A period under observation: the last two moments one period apart."""

    before: Moment
    last: Moment
    misses: int = 0


class Skipper:
    def __init__(self, schedule: Any, cores: list[CoreState]):
        self.schedule, self.cores = schedule, cores
        self.lines = [schedule.classes.stretches(c.events, c.marks) for c in cores]
        self.ends: dict[tuple[int, int], np.ndarray] = {}
        self.seen: dict[tuple, deque[Moment]] = {}
        self.watches: dict[tuple, Watch] = {}
        self.resting: dict[tuple, int] = {}  # period -> moments it is left alone
        self.last = -1  # events when looked last

    # -- streams ------------------------------------------------------------------------------------------------------
    def alike(self, i: int, segment: int, period: int) -> int:
        """Stretches of core `i` from `segment` on that equal those `period` later."""
        ends = self.ends.get((i, period))
        if ends is None:
            line = self.lines[i]
            ends = self.ends[i, period] = np.append(np.flatnonzero(line[period:] != line[:-period]), max(len(line) - period, 0))
        return int(ends[np.searchsorted(ends, segment)]) - segment if segment <= ends[-1] else 0

    def repeats(self, now: Moment, period: tuple[int, ...]) -> int:
        """How many times the stretches of the last period come again after `now`."""
        found = None
        for i, p in enumerate(period):
            if p:
                times = (self.alike(i, now.segment[i], p) - now.begun[i]) // p
                found = times if found is None else min(found, times)
        return found or 0

    # -- moments ------------------------------------------------------------------------------------------------------
    def look(self) -> None:
        """After every turn of the cores."""
        s = self.schedule
        if s.out.simulated == self.last:
            return
        self.last = s.out.simulated
        # A core at the end of a stretch is about to begin the next one.
        segment = tuple(c.segment + (c.position == c.limit and not c.pending) for c in self.cores)
        position = tuple(c.position for c in self.cores)
        offset = tuple(c.position - int(c.marks[g]) if g < len(c.marks) else 0 for c, g in zip(self.cores, segment))
        key = tuple((int(line[g]) if g < len(line) else -1, at, c.segment == g, len(c.pending), *map(len, c.queues))
                    for c, g, at, line in zip(self.cores, segment, offset, self.lines))
        reader = Reader(s)
        reader.same(key)
        visit_times(s, self.cores, reader)
        now = Moment(position, segment, tuple(at > 0 for at in offset), reader.shape, np.array(reader.times),
                     np.array([c.busy for c in self.cores]), len(s.log), len(s.out.slices), len(s.out.arrows), s.out.simulated)
        for period, watch in list(self.watches.items()):
            due = tuple(a + p for a, p in zip(watch.last.segment, period))
            if segment == due:
                if self.follow(period, watch, now):
                    return
            elif any(a > b for a, b in zip(segment, due)):
                del self.watches[period]
        earlier = self.seen.setdefault(key, deque(maxlen=CANDIDATES))
        for before in reversed(earlier):
            period = tuple(b - a for a, b in zip(before.segment, now.segment))
            if self.resting.get(period, 0) > 0:
                self.resting[period] -= 1
            elif period not in self.watches and now.simulated - before.simulated >= WORTH and before.shape == now.shape and self.repeats(now, period) >= 2:
                self.read(now)
                self.watches[period] = Watch(before, now)
                break
        earlier.append(now)

    def read(self, now: Moment) -> None:
        """Notes the whole state of the present moment."""
        if now.whole is None:
            s = self.schedule
            now.whole = Reader(s)
            visit_times(s, self.cores, now.whole)
            visit_rest(s, self.cores, now.whole)
            now.clocks = {('slice', 0): s.serial}
            for c in self.cores:
                now.clocks |= {('event', c.index): c.position, ('order', c.index): c.order}
                now.clocks |= {('seq', c.base + p): c.count[p] for p in range(NP)}
                now.clocks |= {('sent', c.index, ident): n for ident, n in c.cross_sent.items()}

    def follow(self, period: tuple, watch: Watch, now: Moment) -> bool:
        """One more period has gone by; True when the schedule has been moved on."""
        self.read(now)
        count = min(self.repeats(now, period), self.winners(watch, now))
        moved = self.moved(watch.last, now, count) if count > 0 else None
        if moved is not None and self.jump(watch, now, count, *moved):
            del self.watches[period]
            return True
        watch.before, watch.last, watch.misses = watch.last, now, watch.misses + 1
        if watch.misses >= PATIENCE or self.repeats(now, period) < 2:
            del self.watches[period]
            self.resting[period] = 4 * PATIENCE if watch.misses >= PATIENCE else 0
        return False

    # -- what carries over --------------------------------------------------------------------------------------------
    def winners(self, watch: Watch, now: Moment) -> int:
        """How many more stretches keep the winner of every comparison."""
        a, b, c = watch.before, watch.last, now
        if a.shape != b.shape or b.shape != c.shape or c.log - b.log != b.log - a.log:
            return 0
        # Busy cycles are sums of differences of times: when two stretches add the same, all do.
        if not np.array_equal(c.times - b.times, b.times - a.times) or not np.array_equal(c.busy - b.busy, b.busy - a.busy):
            return 0
        log = self.schedule.log
        older, newer = np.array(log[a.log:b.log]), np.array(log[b.log:c.log])
        step = newer - older
        if ((older > 0) != (newer > 0)).any():
            return 0
        # A winner by a tie loses as soon as the other side moves faster.
        closing = np.where(newer > 0, -step, step)
        at = closing > 0
        if not at.any():
            return 1 << 60
        return int(np.min(np.ceil(np.abs(newer[at]) / closing[at]))) - 1

    def moved(self, b: Moment, c: Moment, count: int) -> tuple | None:
        """The values of the moment `count` periods after `c`, or None when knowledge does not carry over."""
        one, two = b.whole, c.whole
        if one.shape != two.shape or one.kinds != two.kinds or len(one.knows) != len(two.knows) or len(one.totals) != len(two.totals):
            return None
        clocks = {kind: two_ - b.clocks.get(kind, 0) for kind, two_ in c.clocks.items()}
        # Cores that ran before these stay where they are.
        clock = np.array([clocks.get(k[:2] if k[0] == 'seq' else k, 0) for k in two.kinds], np.int64)
        old, new = np.array(one.places, np.int64), np.array(two.places, np.int64)
        step = new - old
        if ((step != 0) & (step != clock)).any():
            return None
        ahead = np.array([clocks.get(('seq', p), 0) for p in range(self.schedule.pipes)], np.int64)
        known_old, known = (np.array(r.knows, np.int64).reshape(len(r.knows), self.schedule.pipes) for r in (one, two))
        learnt = known - known_old
        if ((learnt != 0) & (learnt != ahead)).any() or not self.never_overtaken(two, new, step, known, learnt, ahead, c):
            return None
        times = c.times + count * (c.times - b.times)
        totals = np.array(two.totals) + count * (np.array(two.totals) - np.array(one.totals))
        return times, totals, new + count * step, known + count * learnt

    def never_overtaken(self, two: Reader, new: np.ndarray, step: np.ndarray, known: np.ndarray, learnt: np.ndarray, ahead: np.ndarray, c: Moment) -> bool:
        pipes: dict[int, list[int]] = {}
        for i, kind in enumerate(two.kinds):
            if kind[0] == 'seq':
                if step[i] == 0 and ahead[kind[1]] and kind[2] and c.clocks[kind[:2]] - new[i] <= kind[2]:
                    return False
                pipes.setdefault(kind[1], []).append(i)
        for pipe, places in pipes.items():
            if ahead[pipe] and len(known):
                seqs, goes = new[places], step[places] != 0
                knows, grows = known[:, pipe], learnt[:, pipe] != 0
                if goes.any() and not grows.all() and knows[~grows].max() >= seqs[goes].min():
                    return False
                if not goes.all() and grows.any() and knows[grows].min() < seqs[~goes].max():
                    return False
        return True

    # -- moving on ----------------------------------------------------------------------------------------------------
    def jump(self, watch: Watch, c: Moment, count: int, times: np.ndarray, totals: np.ndarray, places: np.ndarray, knows: np.ndarray) -> bool:
        s, a, b = self.schedule, watch.before, watch.last
        events = {core.index: c.position[i] - b.position[i] for i, core in enumerate(self.cores)}
        lines = s.out.slices[b.slices:], s.out.arrows[b.arrows:]
        steps = drifts(lines[0], s.out.slices[a.slices:b.slices]), drifts(lines[1], s.out.arrows[a.arrows:b.arrows])
        if None in steps:
            return False
        for line, body, drift in zip((s.out.slices, s.out.arrows), lines, steps):
            line.append(Repeat(tuple(body), drift, count, events))
        # The comparisons of the last stretch skipped: with those of the first they bound all between.
        older, newer = np.array(s.log[a.log:b.log]), np.array(s.log[b.log:c.log])
        s.log.extend((newer + count * (newer - older)).tolist())
        pending = [len(core.pending) for core in self.cores]
        mover = Mover(s, times, totals, places, knows)
        visit_times(s, self.cores, mover)
        visit_rest(s, self.cores, mover)
        for i, core in enumerate(self.cores):
            core.position += count * events[core.index]
            core.segment += count * (c.segment[i] - b.segment[i])
            core.limit = int(core.marks[core.segment + 1]) if core.segment + 1 < len(core.marks) else len(core.events)
            if pending[i]:
                left = s.steps(core, core.waiting)[-pending[i]:]
                core.pending.clear()
                core.pending.extend(left)
                core.counted = None if core.counted is None else left[0]
        return True
