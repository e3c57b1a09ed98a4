"""Which statements of a pipelined loop run ahead: stage and order of each (dialect 7.2, planning)."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Program, Stmt, Store, walk
from ..ir.ops import OPS
from .refuse import CompilerRejects
from .uses import reads, scalar_loads, writes

Unit = tuple[Stmt, ...]


@dataclass(slots=True)
class Step:
    """One statement of the loop body, what it touches, and when it runs."""

    index: int
    unit: Unit
    reads: frozenset[str]
    writes: frozenset[str]
    copies: bool  # fills a tile from global memory and does nothing else
    last_use: int = -1
    prepares: bool = False  # makes what a later condition asks for
    order: int = -1
    stage: int = -1

    @property
    def ahead(self) -> bool:
        return self.prepares or self.copies and self.last_use >= 0

    @property
    def span(self) -> Span | None:
        return self.unit[0].span


def describe(program: Program, index: int, unit: Unit) -> Step:
    got: set[str] = set()
    made: set[str] = set()
    pure = True
    for s in walk(unit):
        got |= {x.buffer for x in scalar_loads(s)}
        if isinstance(s, Instr):
            got |= {r.buffer for r in reads(s)}
            made |= {r.buffer for r in writes(s)}
            pure = pure and s.op == 'copy' and program.buffers[s.args[0].buffer].space == 'GM'
        elif isinstance(s, Store):
            made.add(s.buffer)
            pure = False
    moves = any(isinstance(s, Instr) and OPS[s.op].pipe == 'copy' for s in walk(unit))
    return Step(index, unit, frozenset(got), frozenset(made), pure and moves)


def plan(program: Program, loop: For, units: list[Unit], depth: int) -> list[Step]:
    steps = [describe(program, i, u) for i, u in enumerate(units)]
    order, stage = loop.annotations.get('tl_pipeline_order'), loop.annotations.get('tl_pipeline_stage')
    if order is not None and stage is not None and len(order) and len(stage):
        if len(order) != len(steps) or len(stage) != len(steps):
            raise CompilerRejects(f'order has {len(order)} and stage {len(stage)} entries for {len(steps)} statements', where=loop.span,
                                  why='every statement of the loop body has one place and one stage', instead='one entry per statement')
        for s in steps:
            s.order, s.stage = int(order[s.index]), int(stage[s.index])
        return steps
    _last_uses(steps)
    _conditions(steps)
    _assign(steps, depth)
    _copies_to_front(steps, depth)
    return steps


def _last_uses(steps: list[Step]) -> None:
    for s in steps:
        if not s.copies:
            continue
        for later in steps[s.index + 1:]:
            if later.reads & s.writes:
                s.last_use = later.index
            both = sorted(later.writes & s.writes)
            if both:
                raise CompilerRejects(f'Pipeline planning error: Multiple writes to overlapping buffer regions detected. '
                                      f'Stage {s.index} and stage {later.index} are both '
                                      f"writing to buffer '{both[0]}' with overlapping regions. This is not supported in pipeline planning.",
                                      where=later.span,
                                      why='a tile that is filled ahead is filled by one copy', instead='a tile for each copy')


def _conditions(steps: list[Step]) -> None:
    for s in steps:
        asked = {x.buffer for inner in walk(s.unit) if isinstance(inner, If) for x in E.loads(inner.cond)}
        for earlier in steps[:s.index]:
            earlier.prepares |= bool(earlier.writes & asked)


def _assign(steps: list[Step], depth: int) -> None:
    """Computation keeps its order in the last stage; a copy follows its last user, one iteration or more ahead of it."""
    order = 0
    for s in steps:
        if s.ahead:
            continue
        s.order, s.stage = order, depth
        order += 1
        for c in steps:
            if c.copies and not c.prepares and c.last_use == s.index:
                c.order, c.stage = order, 0
                order += 1
    left = [s for s in steps if s.order < 0]
    for s in steps:
        s.order += len(left)
    for i, s in enumerate(left):
        s.order, s.stage = i, 0


def _copies_to_front(steps: list[Step], depth: int) -> None:
    """When every copy ended up behind all computation, the copies go first and computation moves one stage closer."""
    copies = [s.order for s in steps if s.copies]
    others = [s.order for s in steps if not s.copies]
    if depth >= 2 and copies and min(copies) > max(others, default=0):
        for s in steps:
            s.order = (s.order + len(copies)) % len(steps)
            if not s.copies:
                s.stage -= 1
