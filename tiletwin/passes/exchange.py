"""Dependences between the cores of a block through global memory, and the flags that order them (dialect 6.4).

Used by the sound profile. An item is a statement of a block, a whole loop or branch included. A dependence between two items of
one block becomes a flag set behind the first and waited for in front of the second; one carried by the loop around the block is
also set once before the loop and waited for once behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import Span
from ..ir.nodes import CUBE_SPACES, Instr, Program, Stmt
from .context import AUTO_SYNC, PassContext
from .uses import touched

OTHER = {'C': 'V', 'V': 'C'}


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """One core touches a tensor both cores use."""

    core: str
    pipe: str
    tensor: str
    writes: bool
    span: Span | None

    def meets(self, other: 'Access') -> bool:
        return self.core != other.core and self.tensor == other.tensor and (self.writes or other.writes)


@dataclass(slots=True)
class Item:
    """A statement with what each core keeps of it."""

    stmt: Stmt
    kept: dict[str, list[Stmt]]
    accesses: list[Access] = field(default_factory=list)
    settled: set[Access] = field(default_factory=set)  # the other core has waited for these when the item is over
    flags: dict[tuple[str, str], int] = field(default_factory=dict)  # flags in use inside, by core and pipe that set them


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Work of `core` on `pipe` up to item `source` is over before the other core goes on with item `target`."""

    core: str
    pipe: str
    source: int
    target: int
    carried: bool
    at: str  # pipe of the access that has to wait
    tensors: frozenset[str]
    span: Span | None


class Dependences:
    """The edges of one block."""

    def __init__(self, program: Program, ctx: PassContext, items: list[Item], loop: bool, together: bool):
        self.program, self.ctx, self.items, self.loop = program, ctx, items, loop
        self.together = together  # a loop_break may leave the block: a flag is waited for where it is set
        self.found: list[Edge] = []

    def find(self) -> list[Edge]:
        for carried in (False, True) if self.loop else (False,):
            for j, item in enumerate(self.items):
                for need in item.accesses:
                    self.require(j, need, carried)
        return self.found

    def require(self, j: int, need: Access, carried: bool) -> None:
        last: dict[str, tuple[int, list[Access]]] = {}
        for i, a in enumerate(self.items):
            # What an earlier item did in the iteration before is met through the same item of this iteration.
            if (i >= j) if carried else (i < j):
                for x in a.accesses:
                    if x.meets(need):
                        if x.pipe not in last or last[x.pipe][0] != i:
                            last[x.pipe] = (i, [])
                        last[x.pipe][1].append(x)
        for pipe, (i, met) in last.items():
            if not all(x in self.items[i].settled for x in met) and not self.covered(met[0].core, pipe, i, j, need.pipe, carried):
                target = i + 1 if self.together else j
                self.found.append(Edge(met[0].core, pipe, i, target, carried and not self.together, need.pipe, frozenset({need.tensor}),
                                       met[-1].span))

    def covered(self, core: str, pipe: str, i: int, j: int, at: str, carried: bool) -> bool:
        """An edge found before makes the other core wait for this work already."""
        for e in self.found:
            if e.core != core or e.source < i or e.carried and not carried:
                continue
            # On chips where a wait stops only one pipe, it serves that pipe.
            if not self.ctx.chip.cross_wait_blocks_core and e.at != at:
                continue
            in_time = e.target <= j or carried and not e.carried
            if in_time and (e.pipe == pipe or self.tied(core, i, e.source)):
                return True
        return False

    def tied(self, core: str, first: int, last: int) -> bool:
        """On this core, item `last` comes after item `first` because of the tiles both work on, step by step."""
        if not self.ctx.on(AUTO_SYNC):
            return False
        held: set[str] = set()
        for i in range(first, last + 1):
            s = self.items[i].stmt
            if not isinstance(s, Instr) or not self.items[i].kept[core]:
                continue
            tiles = {n for n in touched(s) if self.program.buffers[n].space in ('UB', *CUBE_SPACES)}
            if i == first or tiles & held:
                held |= tiles
                if i == last:
                    return first < last
        return False


def numbered(items: list[Item], edges: list[Edge]) -> tuple[list[int], dict[tuple[str, str], int]]:
    """Per edge the number of its flag among those its core and pipe set; and how many are in use.

    Blocks side by side use the same flags again, nested ones do not. Edges whose sets and waits come in the same order share one.
    """
    used: dict[tuple[str, str], int] = {}
    for item in items:
        for key, n in item.flags.items():
            used[key] = max(used.get(key, 0), n)
    open_: dict[tuple[str, str], list[tuple[int, Edge]]] = {}
    out = [0] * len(edges)
    for n in sorted(range(len(edges)), key=lambda k: (edges[k].source, edges[k].target)):
        e = edges[n]
        key = (e.core, e.pipe)
        shared = next((k for k, f in open_.get(key, ()) if not e.carried and not f.carried and f.source < e.source and f.target <= e.target), None)
        if shared is None:
            shared = used.get(key, 0)
            used[key] = shared + 1
        lanes = [(k, f) for k, f in open_.get(key, ()) if k != shared]
        open_[key] = [*lanes, (shared, e)]
        out[n] = shared
    return out, used
