"""Naming the two sides of a finding."""

from __future__ import annotations

from typing import NamedTuple

from ..ir.nodes import Instr
from ..ir.ops import PIPES
from ..sim.access import Access, Span2D
from ..sim.issue import Static
from ..sim.stream import Stream
from .findings import Side


class At(NamedTuple):
    """One event: its place in the stream of a core."""

    stream: Stream
    event: int

    @property
    def sid(self) -> int:
        return self.stream.sid(self.event)


class Sites:
    """Turns events back into source lines, loop iterations and regions."""

    def __init__(self, statics: list[Static], program):
        self.statics, self.program = statics, program

    def static(self, at: At) -> Static:
        return self.statics[at.sid]

    def loop(self, at: At) -> str:
        key, values = at.stream[at.event]
        return ', '.join(f'{n}={v}' for n, v in zip(self.statics[key[0]].loops, values))

    def region(self, access: Access) -> str:
        span = access.span
        if span.memory.startswith('GM:'):
            return f'GM {access.buffer}[{span.start}:{span.stop} B]'
        buffer = self.program.buffers.get(access.buffer)
        base = self.program.root(access.buffer)[0].address or 0 if buffer is not None else 0
        return f'{span.memory} {access.buffer}[{span.start - base}:{span.stop - base} B]'

    def side(self, role: str, at: At, op: str, pipe: int, core: str, block: int | None, access: Access | None = None) -> Side:
        static = self.static(at)
        origin = static.instr.origin if isinstance(static.instr, Instr) else 'user'
        return Side(role, op, PIPES[pipe], core, static.span, self.loop(at), self.region(access) if access else '', block, origin)


def interval(a: Span2D, b: Span2D) -> str:
    lo, hi = max(a.start, b.start), min(a.stop, b.stop)
    memory = a.memory.replace('GM:', 'GM ')
    return f'{memory} bytes [{lo}, {hi})'
