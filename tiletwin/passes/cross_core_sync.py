"""Flags between the cube and the vector cores around workspaces (dialect 8.12).

The i-th access of a workspace on one core is paired with the i-th on the other. The writer sets a flag behind its store,
the reader waits in front of its load, at a level of the loop nests that both cores reach equally often.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Program, Stmt, map_bodies
from ..ir.ops import OPS, route
from .context import PassContext
from .refuse import CompilerRejects

PASS = 'cross_core_sync'
MODE_GROUP = 2  # the cube core and the vector cores of one block


@dataclass(frozen=True, slots=True)
class Point:
    """One access of a workspace by a core."""

    number: int  # in traversal order of its core
    workspace: str
    writes: bool
    pipe: str
    loops: tuple[tuple[int, For], ...]  # enclosing loops, outer first, with their traversal number
    span: Span | None

    def stage_loop(self) -> For | None:
        return next((s for _, s in reversed(self.loops) if s.annotations.get('stage_loop')), None)


class Collector:
    """Accesses of one core's copy of the code to buffers with "workspace" in their name."""

    def __init__(self, program: Program):
        self.program = program
        self.points: list[Point] = []
        self.loops = 0

    def access(self, s: Instr) -> tuple[str, bool, str] | None:
        if OPS[s.op].pipe != 'copy':
            return None
        src, dst = (s.args[1], s.args[0]) if s.op == 'atomic_add' else s.args[:2]
        for r, writes in ((src, False), (dst, True)):
            b = self.program.buffers[r.buffer]
            if b.space == 'GM' and 'workspace' in b.name:
                return b.name, writes, route(self.program.buffers[src.buffer].space, self.program.buffers[dst.buffer].space, s.span)[1]
        return None

    def block(self, body: tuple[Stmt, ...], loops: tuple[tuple[int, For], ...] = ()) -> 'Collector':
        for s in body:
            if isinstance(s, Instr):
                found = self.access(s)
                if found is not None:
                    self.points.append(Point(len(self.points), *found, loops, s.span))
            inside = loops
            if isinstance(s, For):
                inside = loops + ((self.loops, s),)
                self.loops += 1
            map_bodies(s, lambda b: (self.block(b, inside), b)[1])
        return self


def pairs(cube: list[Point], vector: list[Point]) -> list[tuple[Point, Point]]:
    """Access i of a workspace on the cube core with access i on the vector cores, workspaces in the order of their names."""
    out = []
    for name in sorted({p.workspace for p in cube}):
        a, b = [p for p in cube if p.workspace == name], [p for p in vector if p.workspace == name]
        if len(a) != len(b):
            raise CompilerRejects(f'Mismatch in sync points between cube and vec for workspace {name}: cube has {len(a)}, vec has {len(b)}',
                                  where=(a + b)[-1].span,
                                  why='every access of a workspace on one core is paired with one on the other by a flag',
                                  instead='a buffer of its own for every copy between the cores, and as many loads as stores of a workspace')
        for i, (x, y) in enumerate(zip(a, b)):
            if x.writes == y.writes:
                raise CompilerRejects(f'Inconsistent read/write operations for workspace {name} at sync point {i}: '
                                      f'both sides {"write" if x.writes else "read"}', where=x.span,
                                      why='a flag orders a store before a load', instead='a workspace for each direction')
            out.append((x, y))
    return out


class Level:
    """The deepest pair of loops at which both sides execute equally often."""

    def __init__(self, cube: Point, vector: Point, ctx: PassContext):
        self.cube, self.vector, self.ctx = cube, vector, ctx

    def times(self, mine: tuple, other: tuple, at: int) -> int:
        loop = mine[at][1]
        n = E.int_value(loop.extent)
        if n is not None:
            return n
        if at < len(other) and other[at][1].var.name == loop.var.name and E.int_value(other[at][1].extent) is None:
            return 1
        raise CompilerRejects(f'AutoInsertCrossCoreSync::GetLoopIterTimes only works with constant loop sizes, '
                              f'but got {E.text(loop.extent)}', where=loop.span,
                              why='the flags of both cores have to balance, which is decided by counting iterations when the kernel is compiled',
                              instead='the same loop around both accesses, or a constant extent')

    def find(self) -> tuple[int, int]:
        a, b = self.cube.loops, self.vector.loops
        done_a = done_b = 1
        i = j = 0
        best, last = (0, 0), 1
        moved = True
        while moved and (i < len(a) or j < len(b)):
            moved = False
            while i < len(a) and (done_a <= done_b or self.times(a, b, i) == 1):
                if done_a == done_b:
                    best, last = (i, j), done_a
                done_a *= self.times(a, b, i)
                i, moved = i + 1, True
            if done_a < done_b:
                self.lagging('Cube', 'vec', done_a, done_b)
            while j < len(b) and (done_b <= done_a or self.times(b, a, j) == 1):
                if done_a == done_b:
                    best, last = (i, j), done_a
                done_b *= self.times(b, a, j)
                j, moved = j + 1, True
                if done_b == last:
                    best = (best[0], j)
            if done_b < done_a:
                self.lagging('Vec', 'cube', done_b, done_a)
        return (i, j) if done_a == done_b else best

    def lagging(self, slow: str, fast: str, done: int, wanted: int) -> None:
        self.ctx.warn(PASS, f'{slow} loop times (= {done} ) is not enough to catch up {fast} loop times (= {wanted} ): '
                      f'workspace {self.cube.workspace}, cube {self.cube.span}, vec {self.vector.span}', self.cube.span)


class Inserter:
    """Places the flags of one core."""

    def __init__(self, collector: Collector):
        self.collector = collector
        self.at_point: dict[int, Stmt] = {}
        self.at_loop: dict[int, list[tuple[bool, Stmt]]] = defaultdict(list)
        self.points = self.loops = 0

    def flag(self, p: Point, level: int, ident: int) -> None:
        s: Stmt = flag(p, ident)
        stage = p.stage_loop()
        if stage is not None and int(stage.annotations.get('tl_cross_interval', 1)) > 1:
            s = If(interval(stage, p.writes), (s,), (), p.span)
        if level < len(p.loops):
            self.at_loop[p.loops[level][0]].append((p.writes, s))
        else:
            self.at_point[p.number] = s

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, Instr) and self.collector.access(s) is not None:
                placed = self.at_point.get(self.points)
                writes = self.collector.points[self.points].writes
                self.points += 1
                out += [s] if placed is None else [s, placed] if writes else [placed, s]
                continue
            here: list[tuple[bool, Stmt]] = []
            if isinstance(s, For):
                here = self.at_loop[self.loops]
                self.loops += 1
            out += [f for writes, f in here if not writes]
            out.append(map_bodies(s, self.block))
            out += [f for writes, f in here if writes]
        return tuple(out)


def flag(p: Point, ident: int) -> Instr:
    if p.writes:
        return Instr('set_cross_flag', (p.pipe, E.Const(ident)), {'mode': MODE_GROUP}, p.span, PASS)
    return Instr('wait_cross_flag', (E.Const(ident), p.pipe), {}, p.span, PASS)


def interval(stage: For, writes: bool) -> E.Expr:
    """With cross_interval=c a flag is set after every c-th iteration of a stage and after the last, and waited for before every c-th."""
    c = int(stage.annotations['tl_cross_interval'])
    phase = E.Bin('tmod', stage.var, E.Const(c))
    if not writes:
        return E.Bin('==', phase, E.Const(0), 'bool')
    return E.Bin('or', E.Bin('==', phase, E.Const(c - 1), 'bool'), E.Bin('==', stage.var, E.sub(stage.extent, 1), 'bool'), 'bool')


def insert(program: Program, cube: tuple[Stmt, ...], vector: tuple[Stmt, ...], ctx: PassContext) -> tuple[tuple[Stmt, ...], tuple[Stmt, ...]]:
    a, b = Collector(program).block(cube), Collector(program).block(vector)
    on_cube, on_vector = Inserter(a), Inserter(b)
    paired = set()
    for ident, (x, y) in enumerate(pairs(a.points, b.points)):
        i, j = Level(x, y, ctx).find()
        on_cube.flag(x, i, ident)
        on_vector.flag(y, j, ident)
        paired.add(y.number)
    for p in b.points:
        if p.number not in paired:
            # A workspace only the vector cores use is not looked at any more: its accesses keep the number they were collected under.
            on_vector.flag(p, len(p.loops), p.number)
    return on_cube.block(cube), on_vector.block(vector)
