"""Memory reads that steer control or addresses become lets.

The scalar unit reads such a value once and keeps it in a register. Giving it a name makes "once" visible to every
consumer of the Program: the data engine and the issue stream then agree on how often memory is read.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import Break, For, If, Instr, Let, Program, Region, Stmt, Store, While, map_bodies


class _Hoister:
    def __init__(self, program: Program):
        self.program = program
        self.count = 0
        self.lets: list[Let] = []

    def reads(self, e: E.Expr) -> bool:
        return any(self.program.buffers[x.buffer].space != 'VAR' for x in E.loads(e))

    def scalar(self, e: E.Expr, span) -> E.Expr:
        if not self.reads(e):
            return e
        var = E.Var(f'read_{self.count}', e.dtype)
        self.count += 1
        self.lets.append(Let(var, e, span))
        return var

    def inside(self, e: E.Expr, span) -> E.Expr:
        """Hoists the indices of the loads of a value expression, not the value itself."""
        if isinstance(e, E.Load):
            return E.Load(e.buffer, tuple(self.scalar(i, span) for i in e.indices), e.dtype)
        kids = E.children(e)
        return E.rebuild(e, tuple(self.inside(k, span) for k in kids)) if kids else e

    def arg(self, a, s: Instr):
        if isinstance(a, Region):
            return replace(a, starts=tuple(self.scalar(e, s.span) for e in a.starts), extents=tuple(self.scalar(e, s.span) for e in a.extents))
        if isinstance(a, str):
            return a
        if s.op in ('gemm_v0', 'mma', 'set_flag', 'wait_flag', 'set_cross_flag', 'wait_cross_flag'):
            return self.scalar(a, s.span)
        return self.inside(a, s.span)

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            self.lets = []
            match s:
                case Instr():
                    new: Stmt = replace(s, args=tuple(self.arg(a, s) for a in s.args))
                case Store():
                    new = replace(s, indices=tuple(self.scalar(i, s.span) for i in s.indices), value=self.inside(s.value, s.span))
                case If():
                    new = replace(s, cond=self.scalar(s.cond, s.span))
                case For():
                    new = replace(s, start=self.scalar(s.start, s.span), extent=self.scalar(s.extent, s.span))
                case While() if self.reads(s.cond):
                    cond = self.scalar(s.cond, s.span)
                    leave = If(E.Un('not', cond, 'bool'), (Break(s.span),), (), s.span)
                    new = While(E.Const(True, 'bool'), (*self.lets, leave, *s.body), s.span)
                    self.lets = []
                case _:
                    new = s
            lets, self.lets = self.lets, []
            out += lets
            out.append(map_bodies(new, self.block))
        return tuple(out)


def hoist_loads(program: Program) -> Program:
    return program.with_body(_Hoister(program).block(program.body))
