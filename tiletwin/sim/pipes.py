"""The state of one core: pipes, their queues, flags, and what each pipe knows to be finished.

Knowledge is a vector clock over the pipes of all cooperating cores: `know[p][q]` is the number of instructions of
pipe q that are complete before the next instruction of p starts. Program order inside a pipe is *not* knowledge:
a queue issues in order, but the next instruction may start before the previous one has finished (hardware.md 2.1).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..ir.ops import PIPES

NP = len(PIPES)
S = PIPES.index('S')


class Message(NamedTuple):
    """What a flag carries: when it was set, and what is finished by then."""

    time: float
    know: list
    ref: object  # the event that set it
    slice: int  # its index in the timeline


class Queued(NamedTuple):
    step: object
    event: tuple
    issued: float
    know: list  # scalar knowledge at issue
    order: int  # position in the core's issue order


class CoreState:
    """One cube or vector core inside the event simulation."""

    __slots__ = ('index', 'name', 'block', 'events', 'position', 'pending', 'know', 'count', 'free', 'landed', 'busy', 'queues', 'now',
                 'flags', 'last_set', 'ahead', 'issued_set', 'counted', 'order', 'joined', 'cross', 'cross_last', 'scalar_know', 'waiting', 'base')

    def __init__(self, index: int, name: str, block: int, events: list, pipes: int):
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
        self.scalar_know = [0] * pipes
        self.waiting: tuple | None = None  # the event whose steps are being issued

    def drained(self) -> bool:
        return not any(self.queues)
