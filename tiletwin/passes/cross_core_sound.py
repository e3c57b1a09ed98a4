"""Pipelining between the cores where it keeps the meaning of the loop, for any start and trip count.

Executing every stage for several iterations in a row is loop distribution: it is right when nothing flows from a stage into
an earlier one of a later iteration. A tile or workspace that each iteration overwrites before it reads gets a slot per
iteration; anything else that crosses stages keeps the loop serial.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import Break, For, If, Instr, Let, Program, Stmt, Store, map_bodies, walk
from ..ir.ops import OPS
from .buffer_home import homes
from .cross_core_pipeline import INTERVAL, STAGE_LOOP, Unit, cores_inside, stages, statement_core
from .private import overwritten
from .slots import Slots
from .substitute import Names, renewed, substitute
from .uses import scalar_loads, touched, written

PIPELINE_NOTES = ('num_stages', 'tl_pipeline_order', 'tl_pipeline_stage', 'tl_pipeline_sync', 'tl_pipeline_group', INTERVAL)


def serial(loop: For) -> For:
    """The loop without its request to be pipelined."""
    return replace(loop, annotations={k: v for k, v in loop.annotations.items() if k not in PIPELINE_NOTES})


def exchanged(program: Program, loop: For) -> Program:
    """The Program with `loop` pipelined, or serial where that would change its meaning."""
    new = Distribution(program, loop).nest()
    nest, buffers = new if new is not None else (serial(loop), program.buffers)

    def place(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(nest if s is loop else map_bodies(s, place) for s in body)

    return replace(program, body=place(program.body), buffers=buffers)


class Distribution:
    def __init__(self, program: Program, loop: For):
        self.program, self.loop = program, loop
        self.depth = int(loop.annotations['num_stages'])
        self.lets = tuple(s for s in loop.body if isinstance(s, Let))

    def units(self) -> list[Unit] | None:
        """The statements of the body with their cores; None when one belongs to both or acts on something else than data."""
        stored = written(self.program.body)
        found: list[Unit] = []
        for s in walk(self.loop.body):
            if isinstance(s, Break) or isinstance(s, Instr) and OPS[s.op].pipe == 'sync':
                return None
            if isinstance(s, Store) and self.program.buffers[s.buffer].space == 'VAR':
                return None
            if any(self.program.buffers[n].alias_of is not None for n in touched(s)):
                return None
        for s in self.loop.body:
            if isinstance(s, Let):
                if any(self.program.buffers[x.buffer].space != 'GM' or x.buffer in stored for x in scalar_loads(s)):
                    return None
                continue
            if isinstance(s, (For, If)) and len(cores_inside(self.program, (s,))) > 1:
                return None
            core = statement_core(self.program, s) or (found[-1].core if found else None)
            if core is None:
                return None
            found.append(Unit(s, core))
        return found

    def slots(self, parts: list[tuple[str, tuple[Stmt, ...]]]) -> Slots | None:
        """Slots of what crosses stages; None when something that does cannot be told apart by iteration."""
        uses = [{n for s in walk(body) for n in touched(s)} for _, body in parts]
        home, depths = homes(self.program), {}
        for name in sorted(written(self.loop.body)):
            if sum(name in u for u in uses) < 2:
                continue
            b = self.program.buffers[name]
            body = tuple(s for s in self.loop.body if not isinstance(s, Let))
            workspace = b.space == 'GM' and name.startswith('workspace') and overwritten(self.program, body, name, any_extent=True)
            if home.get(name) is not self.loop or not (workspace or b.space != 'GM' and overwritten(self.program, body, name)):
                return None
            depths[name] = self.depth
        return Slots(self.program, depths, lambda op: True)

    def nest(self) -> tuple[For, dict] | None:
        units = self.units()
        parts = stages(units) if units else []
        slots = self.slots(parts) if parts else None
        if slots is None:
            return None
        loop, names = self.loop, Names(self.program)
        n = E.int_value(loop.extent)
        outer = E.Var(names.fresh(f'{loop.var.name}_outer'), loop.var.dtype)
        rounds = E.fold(E.Bin('//', E.add(loop.extent, self.depth - 1), E.Const(self.depth)))
        left = E.sub(loop.extent, E.mul(outer, self.depth))
        extent = E.Const(self.depth) if n is not None and n % self.depth == 0 else E.emin(E.Const(self.depth), left)
        notes = {STAGE_LOOP: True, INTERVAL: int(loop.annotations.get(INTERVAL, 1)), 'stage_depth': self.depth}
        body = []
        for k, (_, statements) in enumerate(parts):
            inner = E.Var(names.fresh('i'), loop.var.dtype)
            at = E.add(loop.start, E.add(E.mul(outer, self.depth), inner))
            inside = substitute(slots.block(self.lets + statements, lambda name: inner), {loop.var.name: at})
            # The lets of the body are evaluated again in every stage, under names of their own.
            inside = renewed(inside, names) if k and self.lets else inside
            body.append(For(inner, E.Const(0), extent, inside, 'serial', notes, loop.span))
        return For(outer, E.Const(0), rounds, tuple(body), 'serial', {}, loop.span), slots.buffers()
