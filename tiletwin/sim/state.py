"""The state of a running Schedule as plain numbers, so that two moments can be compared and one moved forward.

`visit` walks through everything that decides what happens next, always in the same order, and hands every value to a visitor, which
returns the value to put in its place. `Reader` notes the values, `Mover` puts in those of a later moment.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from .pipes import NP, CoreState, Message, Queued


class Reader:
    """What a moment looks like: equal `shape` means that the same things are on their way."""

    def __init__(self, schedule: Any):
        self.tokens = schedule.classes.tokens
        self.shape: list = []
        self.times: list[float] = []
        self.totals: list[float] = []  # grow by what a repetition adds
        self.places: list[int] = []  # events, slices, orders and sequence numbers: either they move along or they stay
        self.kinds: list[tuple] = []  # of the places
        self.knows: list[list] = []
        self.seen: dict[int, list] = {}

    def same(self, value: Any) -> None:
        self.shape.append(value)

    def token(self, step: Any) -> int:
        return self.tokens[id(step)]

    def step(self, core: CoreState, step: Any, old: int, new: int) -> Any:
        self.shape.append(self.tokens[id(step)])
        return step

    def time(self, value: float) -> float:
        self.times.append(value)
        return value

    def total(self, value: float) -> float:
        self.totals.append(value)
        return value

    def place(self, value: int, kind: tuple) -> int:
        self.places.append(value)
        self.kinds.append(kind)
        return value

    def event(self, value: int, core: int) -> int:
        return self.place(value, ('event', core))

    def order(self, value: int, core: int) -> int:
        return self.place(value, ('order', core))

    def slice(self, value: int) -> int:
        return self.place(value, ('slice', 0))

    def seq(self, value: int, pipe: int, reach: int = 0) -> int:
        """Number of an instruction of `pipe`; one that stays behind must be farther than `reach` to be out of the way."""
        return self.place(value, ('seq', pipe, reach))

    def take(self, value: int, core: int, ident: int) -> int:
        return self.place(value, ('sent', core, ident))

    def know(self, value: list) -> list:
        if id(value) not in self.seen:
            self.seen[id(value)] = value
            self.knows.append(value)
        return value


class Mover:
    """Puts values in, in the order a Reader noted them."""

    def __init__(self, schedule: Any, times: np.ndarray, totals: np.ndarray, places: np.ndarray, knows: np.ndarray):
        self.schedule = schedule
        self.times, self.totals, self.places = iter(times.tolist()), iter(totals.tolist()), iter(places.tolist())
        self.knows = iter(knows.tolist())
        self.seen: dict[int, tuple[list, list]] = {}

    def same(self, value: Any) -> None:
        pass

    def token(self, step: Any) -> None:
        pass

    def step(self, core: CoreState, step: Any, old: int, new: int) -> Any:
        at = next(i for i, s in enumerate(self.schedule.steps(core, old)) if s is step)
        return self.schedule.steps(core, new)[at]

    def time(self, value: float) -> float:
        return next(self.times)

    def total(self, value: float) -> float:
        return type(value)(next(self.totals))

    def event(self, value: int, core: int) -> int:
        return next(self.places)

    order = event

    def slice(self, value: int) -> int:
        return next(self.places)

    def seq(self, value: int, pipe: int, reach: int = 0) -> int:
        return next(self.places)

    def take(self, value: int, core: int, ident: int) -> int:
        return next(self.places)

    def know(self, value: list) -> list:
        found = self.seen.get(id(value))
        if found is None:
            # The old list is kept, so that its identity is not given to another.
            found = self.seen[id(value)] = value, next(self.knows)
        return found[1]


def visit_times(schedule: Any, cores: list[CoreState], v: Any) -> None:
    """The part of the state the times depend on."""
    for core in cores:
        core.now = v.time(core.now)
        v.same((core.counted is None, len(core.pending)))
        for p in range(NP):
            core.free[p] = v.time(core.free[p])
            core.landed[p] = v.time(core.landed[p])
            v.same(len(core.queues[p]))
            for i, q in enumerate(core.queues[p]):
                event = v.event(q.event, core.index)
                step = v.step(core, q.step, q.event, event)
                core.queues[p][i] = Queued(step, event, v.time(q.issued), v.know(q.know), v.order(q.order, core.index))
        for flags in (core.flags, core.cross):
            for key, queue in flags.items():
                v.same((key, len(queue)))
                _messages(core, queue, v)
    for key, waiting in schedule.mode0.items():
        for index, queue in waiting.items():
            v.same((key, index, len(queue)))
            _messages(schedule.cores[index], queue, v)
    v.same(tuple(c.index for c in schedule.arrived))


def _messages(core: CoreState, queue: deque, v: Any) -> None:
    for i, m in enumerate(queue):
        queue[i] = Message(v.time(m.time), v.know(m.know), _ref(core, m.ref, v), v.slice(m.slice))


def _ref(core: CoreState, ref: Any, v: Any) -> Any:
    if isinstance(ref, tuple):
        v.same(ref[0].index)
        return ref[0], v.event(ref[1], ref[0].index)
    return v.event(ref, core.index)


def visit_rest(schedule: Any, cores: list[CoreState], v: Any) -> None:
    """What findings and the timeline depend on besides."""
    for core in cores:
        i = core.index
        core.order = v.total(core.order)
        core.waiting = v.event(core.waiting, i)
        core.scalar_know = v.know(core.scalar_know)
        # Sets nobody waits for only pile up: from the second on they are told apart no more.
        v.same(tuple((key, n if key in core.awaited else min(n, 2)) for key, n in core.ahead.items()))
        for p in range(NP):
            core.busy[p] = v.total(core.busy[p])
            core.count[p] = v.total(core.count[p])
            core.know[p] = v.know(core.know[p])
            schedule.newest[i][p] = v.slice(schedule.newest[i][p])
            v.same(tuple(schedule.targets[i][p]))
            schedule.targets[i][p] = {name: v.slice(s) for name, s in schedule.targets[i][p].items()}
        for table in (core.last_set, core.issued_set, core.cross_last):
            v.same(tuple(table))
            for key, ref in table.items():
                table[key] = _ref(core, ref, v)
        for ident, sent in core.cross_sent.items():
            core.cross_sent[ident] = v.total(sent)
        for ident, takes in core.cross_takes.items():
            v.same((ident, len(takes)))
            for j, (number, pipe, seq) in enumerate(takes):
                v.same(pipe)
                takes[j] = v.take(number, i, ident), pipe, v.seq(seq, pipe)
    schedule.serial = v.total(schedule.serial)
    for o in schedule.observers:
        o.visit(v)
