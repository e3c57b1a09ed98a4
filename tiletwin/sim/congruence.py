"""Which instructions of a launch do the same work, whatever the addresses they move in GM.

Two keys are congruent when their steps take the same pipes and cycles, use the same flags, move the same bytes and touch the same
on-chip memory. An address in GM counts only where another access of the cooperating cores can meet it: never for tensors the launch
only reads, nor for a store that nobody else comes near.
"""

from __future__ import annotations

import math
from typing import Callable, Iterable

import numpy as np

from .access import Access, Span2D
from .steps import Expanded, Step
from .stream import Keys, Stream

LARGEST = 1 << 26  # granules of a tensor that are looked at one by one


def on_chip(a: Access) -> bool:
    return not a.span.memory.startswith('GM:')


class Congruence:
    """Numbers keys and steps by what they do."""

    def __init__(self, keys: Keys, expand: Callable[[tuple], Expanded], matters: Callable[[Access], bool]):
        self.keys, self.expand, self.matters = keys, expand, matters
        self.found: dict[int, int] = {}
        self.classes: dict[tuple, int] = {}
        self.contents: dict[tuple, int] = {}
        self.tokens: dict[int, int] = {}  # of steps, by identity: every key has its own

    def __call__(self, number: int) -> int:
        found = self.found.get(number)
        if found is None:
            key = self.keys.list[number]
            steps = tuple(self.step(key[0], s) for s in self.expand(key).steps)
            found = self.found[number] = self.classes.setdefault((key[0], steps), len(self.classes))
        return found

    def step(self, sid: int, s: Step) -> int:
        content = (sid, s._replace(accesses=tuple(a for a in s.accesses if self.matters(a))))
        token = self.tokens[id(s)] = self.contents.setdefault(content, len(self.contents))
        return token

    def stretches(self, stream: Stream, marks: np.ndarray) -> np.ndarray:
        """A number for every stretch of a stream between two marks: equal where it does the same."""
        numbers = stream.array()
        distinct, at = np.unique(numbers, return_inverse=True)
        line = np.array([self(int(n)) for n in distinct], np.int32)[at] if len(distinct) else numbers
        ends = [*marks[1:].tolist(), len(numbers)]
        seen: dict[bytes, int] = {}
        return np.array([seen.setdefault(line[a:b].tobytes(), len(seen)) for a, b in zip(marks.tolist(), ends)], np.int64)


def lonely(streams: Iterable[Stream], expand: Callable[[tuple], Expanded], written: set[str], poisoned: frozenset[str]) -> frozenset[Access]:
    """Accesses to `written` tensors that happen once and share no byte with any other of these cores.

    Nothing can race with them, and nobody reads what they leave. What reads memory the launch allocated empty is not among them.
    """
    times: dict[str, dict[Span2D, int]] = {}
    modes: dict[Access, None] = {}
    for stream in streams:
        for key, count, _ in stream.counts():
            for step in expand(key).steps:
                for a in step.accesses:
                    if a.span.memory in written:
                        spans = times.setdefault(a.span.memory, {})
                        spans[a.span] = spans.get(a.span, 0) + count
                        modes[a] = None
    alone = {span for spans in times.values() for span in _alone(spans)}
    return frozenset(a for a in modes if a.span in alone and (a.mode == 'w' or a.span.memory[3:] not in poisoned))


def _alone(spans: dict[Span2D, int]) -> list[Span2D]:
    once = [s for s, count in spans.items() if count == 1]
    if not once:
        return []
    grain = 0
    for s in spans:
        grain = math.gcd(grain, s.start, s.row_bytes, s.pitch if s.rows > 1 else 0)
    grain, low = grain or 1, min(s.start for s in spans)
    size = (max(s.stop for s in spans) - low) // grain + 1
    if size > LARGEST:
        return []
    users = np.zeros(size, np.int32)
    for s in spans:
        granules(users, s, low, grain)[...] += 1
    return [s for s in once if granules(users, s, low, grain).max() == 1]


def granules(table: np.ndarray, span: Span2D, low: int, grain: int) -> np.ndarray:
    """The part of `table`, one entry a granule from byte `low` on, that a span covers."""
    start, width = (span.start - low) // grain, span.row_bytes // grain
    if span.rows == 1:
        return table[start:start + width]
    return np.lib.stride_tricks.as_strided(table[start:], (span.rows, width), (span.pitch // grain * table.itemsize, table.itemsize))
