"""Loops the compiler writes out: `T.unroll` loops, and what is empty afterwards goes away (dialect 8.0, steps 23)."""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import For, Program, Stmt, map_bodies
from . import simplify
from .context import PassContext
from .refuse import CompilerRejects
from .substitute import Names, renewed, substitute


class _Unroller:
    def __init__(self, program: Program):
        self.names = Names(program)

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            s = map_bodies(s, self.block)
            if isinstance(s, For) and s.kind == 'unroll':
                out += self.copies(s)
            else:
                out.append(s)
        return tuple(out)

    def copies(self, s: For) -> list[Stmt]:
        n = E.int_value(s.extent)
        if n is None:
            raise CompilerRejects('Cannot unroll non-constant loop', where=s.span, why='each iteration is written out', instead='T.serial')
        out: list[Stmt] = []
        for i in range(n):
            trip = substitute(s.body, {s.var.name: E.add(s.start, i)})
            out += trip if i == 0 else renewed(trip, self.names)
        return out


def run(program: Program, ctx: PassContext) -> Program:
    body = _Unroller(program).block(program.body)
    return simplify.run(program if body == program.body else program.with_body(body), ctx)
