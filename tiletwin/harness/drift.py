"""Records before against records after: what changed, by how much, and on which source lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Mapping, Sequence

from .record import NUMBERS, Key, Record

# Sums of the host's own matrix products are ordered by its processor, so errors of the numbers are compared up to this factor.
NUMBERS_FACTOR = 2.0
SAME, CHANGED, NEW, GONE, STALE = 'same', 'changed', 'new', 'gone', 'stale'


@dataclass(frozen=True)
class Figure:
    """One figure that is not what it was."""

    name: str
    before: float | int | str | None
    after: float | int | str | None

    @property
    def ratio(self) -> float | None:
        numbers = all(isinstance(x, (int, float)) for x in (self.before, self.after))
        return self.after / self.before if numbers and self.before else None


@dataclass(frozen=True)
class Drift:
    """One record before and after."""

    key: Key
    state: str
    before: Record | None
    after: Record | None
    figures: tuple[Figure, ...] = ()
    lines: tuple[str, ...] = ()  # '- ops/expert/x.py:57 set_flag ...' and '+ ...'
    expected: bool = False  # the committed baseline already says so

    @property
    def record(self) -> Record:
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def unexpected(self) -> bool:
        return self.state != SAME and not self.expected

    @property
    def ratio(self) -> float | None:
        """Modelled time after over before."""
        if self.before is None or self.after is None or self.state == STALE:
            return None
        return Figure('cycles', self.before.figures.get('cycles'), self.after.figures.get('cycles')).ratio


def drift(before: Record | None, after: Record | None) -> Drift:
    if before is None or after is None:
        found = after or before
        assert found is not None
        return Drift(found.key, NEW if before is None else GONE, before, after)
    if before.model != after.model:
        return Drift(after.key, STALE, before, after)
    figures = tuple(Figure(name, before.figures.get(name), after.figures.get(name)) for name in dict.fromkeys((*after.figures, *before.figures))
                    if not _alike(name, before.figures.get(name), after.figures.get(name)))
    lines = line_changes(before.syncs, after.syncs)
    return Drift(after.key, CHANGED if figures or lines else SAME, before, after, figures, lines)


def _alike(name: str, before: object, after: object) -> bool:
    if before == after:
        return True
    if not name.startswith(NUMBERS) or name == f'{NUMBERS}ok' or not all(isinstance(x, (int, float)) for x in (before, after)):
        return False
    small, large = sorted(map(abs, (before, after)))
    return large <= NUMBERS_FACTOR * small


def line_changes(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Synchronisation that went or came, each with the line it stands on. A statement that only moved to another line is none."""
    old, new = [s.split(' ', 1)[1] for s in before], [s.split(' ', 1)[1] for s in after]
    out: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != 'equal':
            out += [f'- {s}' for s in before[a:b]] + [f'+ {s}' for s in after[c:d]]
    return tuple(out)


def drifts(before: Mapping[Key, Record], after: Mapping[Key, Record], recorded: Mapping[Key, Record] | None = None) -> list[Drift]:
    """All records of both sides by key. `recorded`: the baselines of the working tree, which announce a change."""
    out = []
    for key in sorted(before.keys() | after.keys()):
        found = drift(before.get(key), after.get(key))
        if recorded is not None and found.state != SAME:
            announced = drift(recorded.get(key), after.get(key)) if key in recorded or key in after else None
            if announced is None or announced.state == SAME:
                found = Drift(found.key, found.state, found.before, found.after, found.figures, found.lines, expected=True)
        out.append(found)
    return out


def geomean(ratios: Sequence[float]) -> float | None:
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
