"""What a sound analysis of one block keeps: its statements as items, what each pipe knows to be finished, what an item must wait for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.nodes import Stmt
from ..ir.ops import PIPES
from .sound_access import Access, Step

P = {name: i for i, name in enumerate(PIPES)}
S = P['S']
NEVER = -1
Path = tuple


@dataclass(slots=True)
class Item:
    """A statement of a block for one core: a simple one with its steps, or a compound one with everything inside."""

    path: Path
    stmt: Stmt
    steps: tuple[Step, ...]
    accesses: list[Access]
    compound: bool
    exits: bool  # a loop_break inside leaves the block
    drains: list[tuple[int, int]] = field(default_factory=list)  # pipe pairs whose flags waited for behind the item cover all of it

    @property
    def pipes(self) -> set[int]:
        return {P[a.pipe] for a in self.accesses}

    def tells(self, p: int, q: int) -> bool:
        return all(PIPES[q] in a.released for a in self.accesses if P[a.pipe] == p)


class State:
    """What each pipe knows to be finished: `know[q][p]` is the last item all of whose work on p is done before q goes on.

    `deep[q]` are the flags from more than one iteration ago that q has heard of.
    """

    def __init__(self):
        self.know = [[NEVER] * len(PIPES) for _ in PIPES]
        self.count = [NEVER] * len(PIPES)
        self.pending: dict[tuple, list[int]] = {}
        self.deep: list[frozenset[Need]] = [frozenset() for _ in PIPES]

    def copy(self) -> 'State':
        out = State()
        out.know, out.count, out.pending, out.deep = [list(r) for r in self.know], list(self.count), dict(self.pending), list(self.deep)
        return out

    def finished(self, p: int) -> list[int]:
        row = list(self.know[p])
        row[p] = self.count[p]
        return row

    def learn(self, q: int, message: list[int], deep: frozenset['Need'] = frozenset()) -> None:
        self.know[q] = list(map(max, self.know[q], message))
        self.deep[q] |= deep
        if q == S:
            self.know = [list(map(max, row, self.know[S])) for row in self.know]
            self.deep = [d | self.deep[S] for d in self.deep]

    def did(self, p: int, index: int) -> None:
        self.count[p] = index
        if p == S:
            for row in self.know:
                row[S] = index

    def step(self, s: Step) -> None:
        if s.kind == 'pair':
            self.learn(P[s.other], self.finished(P[s.pipe]), self.deep[P[s.pipe]])
        elif s.kind == 'barrier':
            self.know[P[s.pipe]][P[s.pipe]] = self.count[P[s.pipe]]
        elif s.kind == 'all':
            self.know = [list(map(max, row, self.count)) for row in self.know]
        elif s.kind == 'set':
            self.pending[s.pipe, s.other, s.ident] = self.finished(P[s.pipe])
        elif s.kind == 'wait' and (s.pipe, s.other, s.ident) in self.pending:
            self.learn(P[s.other], self.pending.pop((s.pipe, s.other, s.ident)))


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """Pipe `dst` must wait, before an item, for what pipe `src` did up to item `item`, `distance` iterations ago."""

    src: int
    dst: int
    item: int
    distance: int = 0
