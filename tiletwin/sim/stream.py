"""What one core issues, kept small: numbers of interned keys, and where loop iterations begin.

A key is `(static id, value, value, ...)`; equal keys on one kind of core do the same work. An event is named by its place in the
stream; `stream[i]` spells it out as `(key, loop values)`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Iterator

import numpy as np

SHORT = 6  # events below which an iteration is no place to look for repetition


class Keys(dict):
    """Key -> its number."""

    def __init__(self):
        self.list: list[tuple] = []

    def __missing__(self, key: tuple) -> int:
        number = self[key] = len(self.list)
        self.list.append(key)
        return number


class Stream:
    """The events of one core of one block, in issue order."""

    def __init__(self, keys: Keys, depths: list[int]):
        self.keys, self.depths = keys, depths  # `depths`: of every static instruction, the loops around it
        self.numbers = array('i')
        self.loops: list[tuple] = []  # values of the open loop variables at the start of every iteration, outer first
        self.starts = array('q')  # event at which that iteration begins
        self.loop_ids = array('i')  # which loop of the text it belongs to
        self._counts: tuple[int, list] | None = None

    def enter(self, loop: int, values: tuple) -> None:
        self.loops.append(values)
        self.starts.append(len(self.numbers))
        self.loop_ids.append(loop)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple]:
        return (self[i] for i in range(len(self)))

    def key(self, i: int) -> tuple:
        return self.keys.list[self.numbers[i]]

    def sid(self, i: int) -> int:
        """Static id of the instruction."""
        return self.keys.list[self.numbers[i]][0]

    def __getitem__(self, i: int) -> tuple:
        key = self.key(i)
        depth = self.depths[key[0]]
        if not depth:
            return key, ()
        # A loop inside that has ended leaves its variable behind the ones this instruction lies in.
        return key, self.loops[bisect_right(self.starts, i) - 1][:depth]

    @property
    def content(self) -> bytes:
        """Equal for equal streams of one Keys."""
        return self.numbers.tobytes()

    def array(self) -> np.ndarray:
        return np.frombuffer(self.numbers, np.int32) if len(self.numbers) else np.zeros(0, np.int32)

    def counts(self, stop: int | None = None) -> list[tuple[tuple, int, int]]:
        """Every distinct key with how often it is issued and where first, in the order of that; up to event `stop`."""
        if stop is None or stop == len(self):
            if self._counts is None or self._counts[0] != len(self):
                self._counts = len(self), self._count(None)
            return self._counts[1]
        return self._count(stop)

    def _count(self, stop: int | None) -> list[tuple[tuple, int, int]]:
        numbers, first, times = np.unique(self.array()[:stop], return_index=True, return_counts=True)
        order = np.argsort(first, kind='stable')
        return [(self.keys.list[numbers[i]], int(times[i]), int(first[i])) for i in order]

    def marks(self) -> np.ndarray:
        """Events at which an iteration begins, of loops with a body worth the name or that are most of the stream; the stream starts with one."""
        starts, ids = np.frombuffer(self.starts, np.int64) if self.starts else np.zeros(0, np.int64), np.array(self.loop_ids, np.int32)
        chosen = [np.zeros(1, np.int64)]
        for loop in np.unique(ids):
            mine = starts[ids == loop]
            if len(mine) > 1:
                # The iterations of a loop follow one another unless the loop around it goes on in between.
                body = np.median(np.diff(mine))
                if body >= SHORT or body * len(mine) > len(self.numbers) / 2:
                    chosen.append(mine)
        marks = np.unique(np.concatenate(chosen))
        return marks[marks < max(len(self.numbers), 1)]
