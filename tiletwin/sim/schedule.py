"""Event simulation of cooperating cores: seven asynchronous in-order pipes each, flags, barriers, cross-core flags.

One pass yields the modelled time of every instruction and, through the knowledge vectors of `pipes`, which
instructions are ordered. Observers (`sanitize`) see each instruction with the knowledge it starts with.

What a core does next never depends on the times, only on what has been set and taken. Every comparison of two times goes through
`note`, so that `repeat` can tell how long a repetition of the same steps keeps the same winners.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

from ..ir.ops import PIPES
from .pipes import NP, S, CoreState, Message, Queued
from .repeat import Skipper
from .result import CORES
from .signals import Signals, flag, flag_name
from .steps import ALL, Expanded, Step

CROSS = ('cset', 'cwait', 'sync_all')


class Observer(Protocol):
    """Events are places in the stream of their core."""

    def issued(self, core: CoreState, step: Step, event: int) -> None: ...
    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: int, order: int) -> None: ...
    def set_twice(self, core: CoreState, step: Step, event: int, earlier: int | None) -> None: ...
    def overflow(self, core: CoreState, step: Step, sender: CoreState, event: int) -> None: ...
    def left_set(self, core: CoreState, key: tuple, event: int) -> None: ...
    def stuck(self, waits: list['Wait']) -> None: ...


@dataclass(frozen=True, slots=True)
class Wait:
    """One blocked pipe of a deadlock."""

    core: CoreState
    pipe: int
    step: Step
    event: int
    last_set: Any  # event that last set the flag, of a cross flag (core, event), or None


@dataclass
class Outcome:
    """Raw timeline: slices are (core index, pipe, start, end, step, event, kind, time of issue, event that set the flag waited for).

    Where a stretch was skipped, a `repeat.Repeat` stands for what it would have added.
    """

    cycles: float = 0.0
    slices: list = field(default_factory=list)
    arrows: list = field(default_factory=list)
    finished: bool = True
    cores: list[CoreState] = field(default_factory=list)
    simulated: int = 0  # events; the rest was skipped


class Schedule(Signals):
    """Runs the streams of the cores of one block, or of all blocks when they synchronise with one another."""

    def __init__(self, streams: dict[tuple[int, int], Any], vectors: int, expand: Callable[[tuple], Expanded], cost, chip,
                 observers: tuple[Observer, ...] = (), classes: Callable[[int], int] | None = None):
        """`classes` numbers keys by what they do (see `congruence`); with it, repetitions are skipped."""
        self.expand, self.cost, self.chip, self.observers, self.classes = expand, cost, chip, observers, classes
        self.vectors = vectors
        self.pipes = len(streams) * NP
        self.cores = [CoreState(i, CORES[c], b, ev, self.pipes) for i, ((b, c), ev) in enumerate(streams.items())]
        self.groups: dict[int, list[CoreState]] = {}
        for core in self.cores:
            self.groups.setdefault(core.block, []).append(core)
        self.out = Outcome(cores=self.cores)
        self.arrived: list[CoreState] = []
        self.mode0: dict[tuple[str, int], dict[int, deque]] = {}
        self.targets: list = [[{} for _ in range(NP)] for _ in self.cores]  # arrows waiting for the next slice: the last of every flag
        self.newest: list = [[-1] * NP for _ in self.cores]  # index of each pipe's last slice: what a flag set now reports
        self.serial = 0  # slices so far, those skipped included
        self.flag_cycles, self.issue_cycles = cost.flag(), cost.scalar('issue')
        self.expanded: dict[int, tuple[Step, ...]] = {}  # by number of the key
        # Differences of the times compared, in the order of the comparisons.
        self.log: Any = [] if classes else deque(maxlen=0)
        self.note = self.log.append

    # -- running ------------------------------------------------------------------------------------------------------
    def run(self) -> Outcome:
        for together in self.parts():
            self.advance(together)
        out = self.out
        out.finished = all(c.position >= len(c.events) and not c.pending and c.drained() for c in self.cores)
        out.cycles = max((max(c.now, *c.free, *c.landed) for c in self.cores), default=0.0)
        if not out.finished:
            waits = self.waits()
            for o in self.observers:
                o.stuck(waits)
        else:
            for core in self.cores:
                for key, queue in core.flags.items():
                    for message in queue:
                        for o in self.observers:
                            o.left_set(core, key, message.ref)
        return out

    def steps(self, core: CoreState, event: int) -> tuple[Step, ...]:
        number = core.events.numbers[event]
        found = self.expanded.get(number)
        if found is None:
            found = self.expanded[number] = self.expand(core.events.keys.list[number]).steps
        return found

    def parts(self) -> list[list[CoreState]]:
        """Cores that signal one another run together, others one after the other."""
        signals = False
        for core in self.cores:
            steps = [step for _, _, first in core.events.counts() for step in self.steps(core, first)]
            signals |= any(step.kind in CROSS for step in steps)
            core.awaited = {flag(step) for step in steps if step.kind in ('wait', 'cwait')}
        return [self.cores] if signals else [[core] for core in self.cores]

    def advance(self, cores: list[CoreState]) -> None:
        """Stretch by stretch: a core issues its next one when its pipes have done the last, or when nobody can go on otherwise."""
        skipper = Skipper(self, cores) if self.classes else None
        while True:
            moved = False
            for core in cores:
                if core.drained():
                    core.go_on()
                moved |= self.issue(core)
                for p in range(NP):
                    if core.queues[p]:
                        moved |= self.drain(core, p)
            if not moved and not any([core.go_on() for core in cores]):
                return
            if skipper is not None:
                skipper.look()

    def waits(self) -> list[Wait]:
        out = []
        for core in self.cores:
            for p in range(NP):
                if core.queues[p]:
                    q = core.queues[p][0]
                    out.append(Wait(core, p, q.step, q.event, self.last_set(core, q.step)))
            if core.pending:
                step = core.pending[0]
                if not (step.kind == 'barrier' and step.pipe == ALL and not core.drained()):
                    out.append(Wait(core, S, step, core.waiting, self.last_set(core, step)))
        return out

    def last_set(self, core: CoreState, step: Step):
        if step.kind == 'wait':
            return core.last_set.get(flag(step))
        if step.kind == 'cwait':
            return core.cross_last.get(step.ident)
        return None

    # -- the scalar unit ----------------------------------------------------------------------------------------------
    def issue(self, core: CoreState) -> bool:
        moved = False
        while True:
            if not core.pending:
                if core.position >= core.limit:
                    return moved
                core.waiting = core.position
                core.position += 1
                self.out.simulated += 1
                core.pending.extend(self.steps(core, core.waiting))
                moved = True
                continue
            step, event = core.pending[0], core.waiting
            if core.counted is not step:
                core.order += 1
                core.counted = step
                if step.kind == 'set':
                    self.balance(core, step, event)
                elif step.kind == 'wait':
                    key = flag(step)
                    core.ahead[key] = core.ahead.get(key, 0) - 1
            if step.pipe not in (S, ALL) and step.kind != 'sync_all':
                if step.kind == 'op':
                    for o in self.observers:
                        o.issued(core, step, event)
                core.queues[step.pipe].append(Queued(step, event, core.now, core.scalar_know, core.order))
                core.now += self.issue_cycles
            elif not self.scalar_step(core, step, event):
                return moved
            core.pending.popleft()
            core.counted = None
            moved = True

    def scalar_step(self, core: CoreState, step: Step, event: int) -> bool:
        kind = step.kind
        if kind == 'op':
            for o in self.observers:
                o.issued(core, step, event)
            seq = core.count[S] + 1
            for o in self.observers:
                o.executed(core, S, core.scalar_know, seq, step, event, core.order)
            core.count[S] = seq
            know = list(core.scalar_know)
            know[core.base + S] = seq
            core.scalar_know = know
            self.slice(core, S, core.now, core.now + step.cycles, step, event, 'op')
            core.now += step.cycles
        elif kind == 'barrier':
            if step.pipe == S:
                return True
            if not core.drained():
                return False
            start = core.now
            know = list(core.scalar_know)
            for p in range(NP):
                know = list(map(max, know, core.know[p]))
            for p in range(NP):
                know[core.base + p] = core.count[p]
            core.scalar_know = know
            core.now = self.latest([core.now, *core.free, *core.landed]) + self.cost.pipe_barrier('ALL')
            self.slice(core, S, start, core.now, step, event, 'barrier')
        elif kind == 'set':
            self.post(core, step, event, core.now, core.scalar_know)
            core.now += self.flag_cycles
        elif kind == 'wait':
            message = self.take(core, step)
            if message is None:
                return False
            self.scalar_wait(core, step, event, message, self.flag_cycles)
        elif kind == 'cset':
            self.post_cross(core, step, event, core.now + self.cost.cross_flag(), core.scalar_know)
            core.now += self.flag_cycles
        elif kind == 'cwait':
            message = self.take(core, step)
            if message is None:
                return False
            self.scalar_wait(core, step, event, message, self.flag_cycles)
        elif kind == 'sync_all':
            return self.sync_all(core, step, event)
        return True

    def scalar_wait(self, core: CoreState, step: Step, event: int, message: Message, cycles: float) -> None:
        start = core.now
        core.now = self.latest((core.now, message.time)) + cycles
        core.count[S] += 1
        if step.kind == 'cwait':
            self.took(core, step, S)
        know = list(map(max, core.scalar_know, message.know))
        know[core.base + S] = core.count[S]
        core.scalar_know = know
        index = self.slice(core, S, start, core.now, step, event, 'wait', start, message.ref)
        if message.slice >= 0:
            self.out.arrows.append((message.slice, index, flag_name(step)))

    def sync_all(self, core: CoreState, step: Step, event: int) -> bool:
        if core not in self.arrived:
            self.arrived.append(core)
        if len(self.arrived) < len(self.cores):
            return False
        know = [0] * self.pipes
        for c in self.cores:
            know = list(map(max, know, c.scalar_know))
        time = self.latest([c.now for c in self.cores]) + self.cost.sync_all(len(self.cores))
        for c in self.cores:
            self.slice(c, S, c.now, time, c.pending[0], c.waiting, 'barrier')
            c.now, c.scalar_know = time, know
            if c is not core:
                c.pending.popleft()
                c.counted = None
        self.arrived = []
        return True

    # -- a pipe -------------------------------------------------------------------------------------------------------
    def drain(self, core: CoreState, p: int) -> bool:
        queue, moved, note = core.queues[p], False, self.note
        while queue:
            q = queue[0]
            step = q.step
            if core.joined[p] is not q.know:
                core.joined[p] = q.know
                core.know[p] = list(map(max, core.know[p], q.know))
            free, issued = core.free[p], q.issued
            note(issued - free)
            start = issued if issued > free else free
            kind = step.kind
            if kind == 'op':
                seq = core.count[p] + 1
                for o in self.observers:
                    o.executed(core, p, core.know[p], seq, step, q.event, q.order)
                core.count[p] = seq
                core.free[p] = start + step.cycles
                landed, before = core.free[p] + step.latency, core.landed[p]
                note(landed - before)
                note(before - start)
                # A pipe counts as busy until the last byte has landed, as the profiler of the chip reports it.
                core.landed[p] = max(landed, before)
                core.busy[p] += core.landed[p] - max(start, before)
                self.slice(core, p, start, core.free[p], step, q.event, 'op', q.issued)
            elif kind == 'wait' or kind == 'cwait':
                message = self.take(core, step)
                if message is None:
                    return moved
                core.count[p] += 1
                if kind == 'cwait':
                    self.took(core, step, p)
                core.know[p] = list(map(max, core.know[p], message.know))
                note(message.time - start)
                core.free[p] = max(start, message.time) + self.flag_cycles
                if message.time > start:
                    self.slice(core, p, start, message.time, step, q.event, 'wait', q.issued, message.ref)
                if message.slice >= 0:
                    self.targets[core.index][p][flag_name(step)] = message.slice
            elif kind == 'set':
                core.free[p] = start + self.flag_cycles
                note(core.landed[p] - core.free[p])
                self.post(core, step, q.event, max(core.free[p], core.landed[p]), self.finished(core, p))
            elif kind == 'cset':
                core.free[p] = start + self.flag_cycles
                note(core.landed[p] - start)
                self.post_cross(core, step, q.event, max(start, core.landed[p]) + self.cost.cross_flag(), self.finished(core, p))
            elif kind == 'barrier':
                core.know[p] = self.finished(core, p)
                note(core.landed[p] - start)
                if core.landed[p] > start:
                    self.slice(core, p, start, core.landed[p], step, q.event, 'barrier', q.issued)
                core.free[p] = max(start, core.landed[p]) + self.cost.pipe_barrier(PIPES[p])
            queue.popleft()
            moved = True
        return moved

    def finished(self, core: CoreState, p: int) -> list:
        know = list(core.know[p])
        know[core.base + p] = core.count[p]
        return know

    def take(self, core: CoreState, step: Step) -> Message | None:
        queue = core.flags.get(flag(step)) if step.kind == 'wait' else core.cross.get(step.ident)
        return queue.popleft() if queue else None

    def slice(self, core: CoreState, p: int, start: float, end: float, step: Step, event: int, kind: str, issued: float | None = None,
              setter: Any = None) -> int:
        index = self.newest[core.index][p] = self.serial
        self.serial += 1
        self.out.slices.append((core.index, p, start, end, step, event, kind, start if issued is None else issued, setter))
        if kind == 'op' and self.targets[core.index][p]:
            self.out.arrows += [(source, index, name) for name, source in self.targets[core.index][p].items()]
            self.targets[core.index][p] = {}
        return index

    def latest(self, times: list[float]) -> float:
        found = times[0]
        for time in times[1:]:
            self.note(time - found)
            if time > found:
                found = time
        return found
