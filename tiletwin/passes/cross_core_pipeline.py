"""Pipelining between the cube and the vector cores of a block (dialect 7.1).

The body of the loop falls into stages, runs of statements of one core. Every stage is executed for `num_stages`
iterations in a row, so that the cores overlap once their code is separated. What crosses a stage gets one slot per
iteration: workspaces, and tiles that another stage reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir import expr as E
from ..ir.nodes import Buffer, For, If, Instr, Let, Program, Stmt, Store, bodies, map_bodies, walk
from ..ir.ops import OPS
from .buffer_home import homes
from .context import PassContext
from .refuse import CompilerRejects
from .slots import Slots
from .substitute import Names, substitute
from .uses import core_of, core_of_space, reads, scalar_loads, touched, writes

PASS = 'cross_core_pipeline'
# Scalar operations whose operand taken from a tile is found again in its slot.
SHIFTED = ('adds', 'muls')
STAGE_LOOP, INTERVAL = 'stage_loop', 'tl_cross_interval'


@dataclass(frozen=True, slots=True)
class Unit:
    """One statement of the flattened body and its core."""

    stmt: Stmt
    core: str


def statement_core(program: Program, s: Stmt) -> str | None:
    """The core of a statement; of a compound one, that of the last operation inside."""
    if isinstance(s, Store) and program.buffers[s.buffer].space == 'VAR':
        return 'V'
    if isinstance(s, (Instr, Store)):
        return core_of(program, s)
    found = None
    for inner in (x for b in bodies(s) for x in b):
        found = statement_core(program, inner) or found
    return found


def cores_inside(program: Program, body: tuple[Stmt, ...]) -> set[str]:
    return {c for s in walk(body) if isinstance(s, Instr) and (c := core_of(program, s)) is not None}


def writes_gm(program: Program, body: tuple[Stmt, ...]) -> bool:
    transfers = (s for s in walk(body) if isinstance(s, Instr) and OPS[s.op].pipe == 'copy')
    return any(program.buffers[r.buffer].space == 'GM' for s in transfers for r in writes(s))


def candidates(program: Program) -> list[For]:
    """Loops with `num_stages` whose body holds work of both cores."""
    return [s for s in walk(program.body) if isinstance(s, For) and 'num_stages' in s.annotations and cores_inside(program, s.body) == {'C', 'V'}]


class Flattener:
    """The body as the compiler lists it: conditions are lost, and an `if` of one core is listed after its own statements."""

    def __init__(self, program: Program):
        self.program = program
        self.units: list[Unit] = []

    def add(self, s: Stmt) -> None:
        core = statement_core(self.program, s) or (self.units[-1].core if self.units else 'C')
        self.units.append(Unit(s, core))

    def block(self, body: tuple[Stmt, ...]) -> None:
        for s in body:
            match s:
                case If(then=then, els=els):
                    self.block(then)
                    self.block(els)
                    if len(cores_inside(self.program, then + els)) == 1:
                        self.add(s)
                case Let():
                    raise CompilerRejects(f'the value {s.var.name} at the top of a cross-core pipelined loop is lost', where=s.span,
                                          why='the loop body is cut into one list of statements per core, in which the binding does not survive',
                                          instead='the expression itself at each use, or num_stages=0')
                case _:
                    self.add(s)


def stages(units: list[Unit]) -> list[tuple[str, tuple[Stmt, ...]]]:
    """Maximal runs of one core."""
    out: list[tuple[str, list[Stmt]]] = []
    for u in units:
        if out and out[-1][0] == u.core:
            out[-1][1].append(u.stmt)
        else:
            out.append((u.core, [u.stmt]))
    return [(core, tuple(body)) for core, body in out]


Interval = tuple[int, int] | None


def _interval(b: Buffer, starts, extents) -> Interval:
    at, n = E.int_value(E.flat_offset(b.shape, starts)), E.int_value(E.product(extents))
    return None if at is None or n is None else (at, at + n)


class Exposure:
    """Tiles a stage reads without having written them before."""

    def __init__(self, program: Program):
        self.program = program
        self.written: dict[str, list[Interval]] = {}
        self.exposed: set[str] = set()

    def read(self, name: str, span: Interval) -> None:
        covers = self.written.get(name, ())
        if span is None or not any(w is not None and w[0] <= span[0] and span[1] <= w[1] for w in covers):
            self.exposed.add(name)

    def block(self, body: tuple[Stmt, ...]) -> 'Exposure':
        for s in body:
            for x in scalar_loads(s):
                self.read(x.buffer, _interval(self.program.buffers[x.buffer], x.indices, ()))
            if isinstance(s, Instr):
                for r in reads(s):
                    self.read(r.buffer, _interval(self.program.buffers[r.buffer], r.starts, r.extents))
                for r in writes(s):
                    self.written.setdefault(r.buffer, []).append(_interval(self.program.buffers[r.buffer], r.starts, r.extents))
            elif isinstance(s, Store):
                self.written.setdefault(s.buffer, []).append(_interval(self.program.buffers[s.buffer], s.indices, ()))
            for b in bodies(s):
                self.block(b)
        return self


class Pipeliner:
    def __init__(self, program: Program, ctx: PassContext, loop: For):
        self.program, self.ctx, self.loop = program, ctx, loop
        self.depth = int(loop.annotations['num_stages'])
        self.names = Names(program)

    def versioned(self, parts: list[tuple[str, tuple[Stmt, ...]]]) -> set[str]:
        """On-chip buffers of the loop that one stage leaves for another."""
        uses = [{n for s in walk(body) for n in touched(s)} for _, body in parts]
        exposed = [Exposure(self.program).block(body).exposed for _, body in parts]
        home = homes(self.program)
        out = set()
        for name, b in self.program.buffers.items():
            if core_of_space(b.space) is not None and b.alias_of is None and home.get(name) is self.loop:
                if sum(name in u for u in uses) >= 2 and any(name in e for e in exposed):
                    out.add(name)
        return out

    def workspaces(self) -> set[str]:
        return {p for p in self.program.params if isinstance(p, str) and p.startswith('workspace')}

    def slots(self, parts: list[tuple[str, tuple[Stmt, ...]]]) -> Slots:
        grown = self.workspaces()
        strayed = {n for n, b in self.program.buffers.items() if b.space == 'GM' and 'workspace' in n} - grown
        return Slots(self.program, dict.fromkeys(sorted(self.versioned(parts) | grown), self.depth), SHIFTED.__contains__, strayed)

    def trips(self) -> tuple[E.Expr, E.Expr]:
        """Start and extent of the outer loop. The compiler drops the remainder and multiplies a symbolic extent."""
        n = E.int_value(self.loop.extent)
        return self.loop.start, E.Const(n // self.depth) if n is not None else E.mul(self.loop.extent, self.depth)

    def iteration(self, outer: E.Var, inner: E.Var) -> E.Expr:
        return E.add(E.mul(outer, self.depth), inner)

    def notes(self) -> dict:
        return {STAGE_LOOP: True, INTERVAL: int(self.loop.annotations.get(INTERVAL, 1)), 'tl_original_loop_var': self.loop.var.name}

    def run(self) -> Program:
        flat = Flattener(self.program)
        flat.block(self.loop.body)
        parts = stages(flat.units)
        slots = self.slots(parts)
        outer = E.Var(self.names.fresh(f'{self.loop.var.name}_outer'), self.loop.var.dtype)
        body = []
        for _, statements in parts:
            inner = E.Var(self.names.fresh('i'), self.loop.var.dtype)
            at = self.iteration(outer, inner)
            inside = substitute(slots.block(statements, lambda name: inner), {self.loop.var.name: at})
            body.append(For(inner, E.Const(0), E.Const(self.depth), inside, 'serial', self.notes(), self.loop.span))
        start, extent = self.trips()
        nest = For(outer, start, extent, tuple(body), 'serial', {'tl_original_extent': E.text(self.loop.extent)}, self.loop.span)

        def place(block: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
            out = []
            for s in block:
                out.append(nest if s is self.loop else map_bodies(slots.outside(s), place))
            return tuple(out)

        return replace(self.program, body=place(self.program.body), buffers=slots.buffers())


def run(program: Program, ctx: PassContext) -> Program:
    loops = candidates(program)
    if not loops:
        return program
    if ctx.sound:
        from .cross_core_sound import exchanged

        while loops:
            program = exchanged(program, loops[0])
            loops = candidates(program)
        return program
    if len(loops) > 1:
        raise CompilerRejects(f'Cross_core_pipeline: only support one cross core pipeline body, but got {len(loops)}', where=loops[1].span,
                              why='workspaces and tiles are given slots for one loop', instead='num_stages=0 on all but one of the loops')
    if not writes_gm(program, loops[0].body):
        return program
    return Pipeliner(program, ctx, loops[0]).run()
