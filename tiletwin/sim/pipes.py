"""The state of one core: pipes, their queues, flags, and what each pipe knows to be finished.

Knowledge is a vector clock over the pipes of all cooperating cores: `know[p][q]` is the number of instructions of
pipe q that are complete before the next instruction of p starts. Program order inside a pipe is *not* knowledge:
a queue issues in order, but the next instruction may start before the previous one has finished (hardware.md 2.1).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..ir.ops import PIPES
from .stream import Stream

NP = len(PIPES)
S = PIPES.index('S')


class Message(NamedTuple):
    """What a flag carries: when it was set, and what is finished by then."""

    time: float
    know: list
    ref: object  # the event that set it; of a cross flag (core, event)
    slice: int  # its index in the timeline


class Queued(NamedTuple):
    step: object
    event: int
    issued: float
    know: list  # scalar knowledge at issue
    order: int  # position in the core's issue order


class CoreState:
    """One cube or vector core inside the event simulation."""

    __slots__ = ('index', 'name', 'block', 'events', 'position', 'pending', 'know', 'count', 'free', 'landed', 'busy', 'queues', 'now',
                 'flags', 'last_set', 'ahead', 'issued_set', 'counted', 'order', 'joined', 'cross', 'cross_last', 'cross_sent', 'cross_takes',
                 'scalar_know', 'waiting', 'awaited', 'base', 'marks', 'segment', 'limit')

    def __init__(self, index: int, name: str, block: int, events: Stream, pipes: int):
        self.index, self.name, self.block, self.events = index, name, block, events
        self.base = index * NP
        self.position = 0
        self.pending: deque = deque()  # expanded steps of the event being issued
        self.know = [[0] * pipes for _ in range(NP)]
        self.count = [0] * NP
        self.free = [0.0] * NP
        self.landed = [0.0] * NP
        self.busy = [0.0] * NP
        self.queues = [deque() for _ in range(NP)]
        self.now = 0.0
        self.flags: dict = {}  # (src, dst, id) -> deque of Message
        self.last_set: dict = {}  # the same keys -> event that set it last
        self.ahead: dict = {}  # the same keys -> sets issued minus waits issued
        self.issued_set: dict = {}
        self.order = 0  # steps issued
        self.counted = None  # step whose issue has been counted
        self.joined = [None] * NP
        self.cross: dict = {}  # flag -> deque of Message
        self.cross_last: dict = {}
        self.cross_sent: dict[int, int] = {}  # flag -> times it was raised
        self.cross_takes: dict[int, deque] = {}  # flag -> (number, pipe, its instruction) of the last waits that took it
        self.scalar_know = [0] * pipes
        self.waiting = -1  # the event whose steps are being issued
        self.awaited: set = set()  # flags some instruction of the core waits for, cross flags by their number alone
        self.marks = events.marks()  # events at which the simulation lets other cores catch up
        self.segment = -1  # stretch between two marks being issued
        self.limit = 0  # where it ends

    def drained(self) -> bool:
        return not any(self.queues)

    def go_on(self) -> bool:
        """Opens the next stretch; False at the end of the stream."""
        if self.pending or self.position < self.limit or self.limit == len(self.events):
            return False
        self.segment += 1
        self.limit = int(self.marks[self.segment + 1]) if self.segment + 1 < len(self.marks) else len(self.events)
        return True
