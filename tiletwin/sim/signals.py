"""Flags between the pipes of a core and between cores: who sets, who is told, and what a flag carries."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

from ..ir.ops import PIPES
from .pipes import CoreState, Message
from .steps import Step


class Signals:
    """The part of a Schedule that moves messages."""

    cores: list[CoreState]
    groups: dict[int, list[CoreState]]
    newest: list
    mode0: dict
    observers: tuple
    chip: Any
    note: Callable[[float], None]

    def balance(self, core: CoreState, step: Step, event: int) -> None:
        """A flag is one bit: in issue order at most one set may be ahead of the waits."""
        key = (step.pipe, step.other, step.ident)
        core.ahead[key] = core.ahead.get(key, 0) + 1
        if core.ahead[key] > 1:
            for o in self.observers:
                o.set_twice(core, step, event, core.issued_set.get(key))
        core.issued_set[key] = event

    def post(self, core: CoreState, step: Step, event: int, time: float, know: list) -> None:
        key = (step.pipe, step.other, step.ident)
        core.last_set[key] = event
        queue = core.flags.setdefault(key, deque())
        # Of a flag nobody waits for only the first set of every line is of interest, at the end.
        if key in core.awaited or all(core.events.sid(m.ref) != core.events.sid(event) for m in queue):
            queue.append(Message(time, know, event, self.newest[core.index][step.pipe]))

    def post_cross(self, core: CoreState, step: Step, event: int, time: float, know: list) -> None:
        message = Message(time, know, (core, event), self.newest[core.index][step.pipe])
        group = self.groups[core.block]
        vectors = group[1:]
        if step.other == 2 and core.name == 'AIC':
            for v in vectors:
                self.deliver(v, step, message)
        elif step.other == 2:
            self.gather(core, step, message, vectors, [group[0]], ('group', core.block))
        elif step.other == 1:
            self.gather(core, step, message, vectors, vectors, ('pair', core.block))
        else:
            kind = [c for c in self.cores if (c.name == 'AIC') == (core.name == 'AIC')]
            self.gather(core, step, message, kind, kind, ('all', core.name == 'AIC'))

    def gather(self, core: CoreState, step: Step, message: Message, senders: list, receivers: list, scope: tuple) -> None:
        """The flag is raised once every sender has set it."""
        waiting = self.mode0.setdefault((scope, step.ident), {c.index: deque() for c in senders})
        waiting[core.index].append(message)
        for r in receivers:
            r.cross_last[step.ident] = message.ref
        if all(waiting.values()):
            parts = [q.popleft() for q in waiting.values()]
            know, last = parts[0].know, parts[0]
            for part in parts[1:]:
                know = list(map(max, know, part.know))
                self.note(part.time - last.time)
                if part.time > last.time:
                    last = part
            for r in receivers:
                self.deliver(r, step, Message(last.time, know, last.ref, last.slice))

    def deliver(self, core: CoreState, step: Step, message: Message) -> None:
        queue = core.cross.setdefault(step.ident, deque())
        if step.ident in core.awaited or not queue:
            queue.append(message)
        core.cross_last[step.ident] = message.ref
        sent = core.cross_sent[step.ident] = core.cross_sent.get(step.ident, 0) + 1
        if self.observers and sent > self.chip.cross_counter and not self.made_room(core, step.ident, sent - self.chip.cross_counter, message):
            for o in self.observers:
                o.overflow(core, step, *message.ref)

    def took(self, core: CoreState, step: Step, p: int) -> None:
        """A wait of pipe `p` has taken a cross flag. Only the last ones matter: the counter holds no more."""
        takes = core.cross_takes.setdefault(step.ident, deque(maxlen=self.chip.cross_counter))
        takes.append((takes[-1][0] + 1 if takes else 1, core.base + p, core.count[p]))

    def made_room(self, core: CoreState, ident: int, number: int, message: Message) -> bool:
        """Is the wait that took the flag for the `number`-th time known to be over by whoever sets it now?"""
        for taken, pipe, seq in core.cross_takes.get(ident, ()):
            if taken == number:
                return message.know[pipe] >= seq
        return False


def flag(step: Step) -> Any:
    """What a wait waits for, as sets name it."""
    return step.ident if step.kind == 'cwait' else (step.other, step.pipe, step.ident)


def flag_name(step: Step) -> str:
    if step.kind == 'cwait':
        return f'cross {step.ident}'
    return f'{PIPES[step.other]}->{PIPES[step.pipe]} {step.ident}'
