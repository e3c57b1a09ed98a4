"""Pipelining inside a core (dialect 7.2): copies of a later iteration are issued before the computation of an earlier one.

In round t a statement of stage s executes iteration t - s. Rounds in which some stage has no iteration are written out in
front of and behind the loop. A tile that lives from one stage into a later one gets a slot per iteration in flight.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import For, If, Let, Program, Stmt, map_bodies, walk
from .buffer_home import homes
from .context import PassContext
from .cross_core_sound import serial
from .pipeline_legal import legal
from .pipeline_plan import Step, Unit, plan
from .refuse import CompilerRejects
from .slots import Slots
from .substitute import Names, renewed, substitute

PASS = 'software_pipeline'
# What the loop keeps of its annotations.
SPENT = ('num_stages', 'tl_pipeline_order', 'tl_pipeline_stage', 'tl_pipeline_sync', 'tl_pipeline_group')


def body_of(loop: For) -> tuple[E.Expr | None, list[Unit]]:
    """The condition around the whole body, if any, and the statements the pipeline is made of."""
    guard, body = None, loop.body
    while len(body) == 1 and isinstance(body[0], If):
        if body[0].els:
            raise CompilerRejects("Pipeline_Planning: Can't handle the body of the loop because the IfThenElse node has an else branch",
                                  where=body[0].span,
                                  why='the condition becomes a predicate on every statement of the pipeline', instead='two loops, or num_stages=0')
        guard = body[0].cond if guard is None else E.Bin('and', guard, body[0].cond, 'bool')
        body = body[0].then
    if len(body) < 2 or isinstance(body[0], Let):
        what = 'a value that reads memory around all of it' if body and isinstance(body[0], Let) else 'a single statement'
        raise CompilerRejects(f"Pipeline_Planning: Can't handle the body of the loop because it is not a SeqStmt: {what}", where=loop.span,
                              why='the statements of the body are shifted against each other',
                              instead='at least two statements at the top of the loop body, or num_stages=0')
    # A value that reads memory binds the rest of the body to itself.
    cut = next((i for i, s in enumerate(body) if isinstance(s, Let)), len(body))
    return guard, [(s,) for s in body[:cut]] + ([body[cut:]] if cut < len(body) else [])


def slots_of(steps: list[Step], own: set[str]) -> dict[str, int]:
    """Tiles of the loop that need more than one slot."""
    out: dict[str, int] = {}
    for name in sorted(own):
        made, used = [s for s in steps if name in s.writes], [s for s in steps if name in s.reads]
        if not made or not used:
            continue
        count = max(s.stage for s in used) - min(s.stage for s in made) + 1
        if count >= 2 and not any(w.order < r.order and w.stage < r.stage for w in made for r in used):
            count -= 1
        if count > 1:
            out[name] = count
    return out


class Injector:
    def __init__(self, program: Program, ctx: PassContext):
        self.program, self.ctx = program, ctx
        self.names = Names(program)
        self.home = homes(program)
        self.grown: dict[str, int] = {}

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, For) and int(s.annotations.get('num_stages', 0)) >= 1:
                out += self.pipeline(s)
            else:
                out.append(map_bodies(s, self.block))
        return tuple(out)

    def pipeline(self, loop: For) -> list[Stmt]:
        if self.ctx.sound and not self.pipelined(loop):
            return [map_bodies(serial(loop), self.block)]
        guard, units = body_of(loop)
        steps = plan(self.program, loop, units, int(loop.annotations['num_stages']))
        inner = [s for s in walk(loop.body) if isinstance(s, For) and int(s.annotations.get('num_stages', 0)) >= 1]
        if inner:
            self.ctx.warn(PASS, 'a pipelined loop inside a pipelined loop stays serial', inner[0].span)
        steps.sort(key=lambda s: s.order)
        depths = slots_of(steps, self.own(loop))
        self.grown |= depths
        return Rounds(self, loop, guard, steps, Slots(self.program, depths, lambda op: self.ctx.sound)).all()

    def pipelined(self, loop: For) -> bool:
        """The loop still means the same when its statements are shifted."""
        try:
            guard, units = body_of(loop)
            steps = plan(self.program, loop, units, int(loop.annotations['num_stages']))
        except CompilerRejects:
            return False
        steps.sort(key=lambda s: s.order)
        return legal(self.program, loop, guard, steps, slots_of(steps, self.own(loop)))

    def own(self, loop: For) -> set[str]:
        """Tiles allocated inside the loop, because nothing outside uses them."""
        return {n for n, at in self.home.items() if at is loop and self.program.buffers[n].space not in ('GM', 'VAR')}

    def run(self) -> Program:
        body = self.block(self.program.body)
        if body == self.program.body:
            return self.program
        return replace(self.program, body=body, buffers=Slots(self.program, self.grown, bool).buffers())


class Rounds:
    """The loop of one pipeline with its prologue and epilogue."""

    def __init__(self, injector: Injector, loop: For, guard: E.Expr | None, steps: list[Step], slots: Slots):
        self.injector, self.loop, self.guard, self.steps, self.slots = injector, loop, guard, steps, slots
        self.last = max(s.stage for s in steps)
        self.notes = {k: v for k, v in loop.annotations.items() if k not in SPENT}

    def statement(self, step: Step, at: E.Expr, condition: E.Expr, written_out: bool) -> tuple[Stmt, ...]:
        """A step in iteration `at`, under its condition."""
        def slot(name: str) -> E.Expr:
            return E.fold(E.Bin('%', at, E.Const(self.slots.depths[name])))

        body = self.slots.block(substitute(step.unit, {self.loop.var.name: at}), slot)
        if written_out:
            body = renewed(body, self.injector.names)
        if self.guard is not None:
            own = self.slots.load(E.substitute(self.guard, {self.loop.var.name: at}), slot)
            condition = E.fold(E.Bin('and', condition, own, 'bool'))
        if condition == E.Const(True, 'bool'):
            return body
        return () if condition == E.Const(False, 'bool') else (If(condition, body, (), step.span),)

    def rounds(self, first: E.Expr, extent: E.Expr, written_out: bool) -> list[Stmt]:
        """Rounds `first` to `first + extent`; those written out ask whether the iteration exists."""
        loop, single = self.loop, E.int_value(extent) == 1
        stop = E.add(loop.start, loop.extent)
        var = E.Var(self.injector.names.fresh(loop.var.name), loop.var.dtype) if written_out else loop.var
        shift = E.sub(first, loop.start)
        body: list[Stmt] = []
        for step in self.steps:
            at = E.sub(first if single else E.add(var, shift), step.stage)
            condition: E.Expr = E.Const(True, 'bool')
            if written_out:
                condition = E.fold(E.Bin('and', E.fold(E.Bin('<=', loop.start, at, 'bool')), E.fold(E.Bin('<', at, stop, 'bool')), 'bool'))
            body += self.statement(step, at, condition, written_out)
        if single:
            return body
        if (E.int_value(extent) or 1) <= 0:
            return []
        return [For(var, loop.start, extent, tuple(body), 'unroll' if written_out else loop.kind, self.notes, loop.span)]

    def all(self) -> list[Stmt]:
        start, extent, last = self.loop.start, self.loop.extent, self.last
        if last == 0:
            return self.rounds(start, extent, False)
        ahead = E.Const(last)
        return (self.rounds(start, ahead, True) + self.rounds(E.add(start, last), E.sub(extent, last), False)
                + self.rounds(E.add(start, extent), ahead, True))


def run(program: Program, ctx: PassContext) -> Program:
    return Injector(program, ctx).run()
