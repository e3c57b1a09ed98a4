"""Scalar accesses to global memory in innermost loops are guarded by their bounds (dialect 5.5).

An index that cannot be proved to lie inside the tensor puts the store under an `if` and replaces the load by 0.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.analysis import Range, bounds
from ..ir.nodes import For, If, Program, Stmt, Store, map_bodies, walk
from .context import SAFE_ACCESS_OFF, PassContext
from .ranges import launch_ranges, loop_range
from .substitute import map_own


class _Guard:
    def __init__(self, program: Program):
        self.program = program

    def conditions(self, buffer: str, indices: tuple[E.Expr, ...], env: dict[str, Range]) -> E.Expr | None:
        b = self.program.buffers[buffer]
        if b.space != 'GM':
            return None
        found: E.Expr | None = None
        for i, size in zip(indices, b.shape):
            if not E.free_vars(i):
                continue
            at, full = bounds(i, env), E.int_value(size)
            for proved, test in ((at is not None and full is not None and at[1] < full, E.Bin('<', i, size, 'bool')),
                                 (at is not None and at[0] >= 0, E.Bin('>=', i, E.Const(0), 'bool'))):
                if not proved:
                    found = test if found is None else E.Bin('and', found, test, 'bool')
        return found

    def loads(self, e: E.Expr, env: dict[str, Range]) -> E.Expr:
        kids = E.children(e)
        if kids:
            e = E.rebuild(e, tuple(self.loads(k, env) for k in kids))
        if isinstance(e, E.Load):
            inside = self.conditions(e.buffer, e.indices, env)
            if inside is not None:
                return E.Select(inside, e, E.Const(0.0 if 'float' in e.dtype else 0, e.dtype), e.dtype)
        return e

    def statement(self, s: Stmt, env: dict[str, Range]) -> Stmt:
        s = map_own(s, lambda e: self.loads(e, env))
        if isinstance(s, Store):
            inside = self.conditions(s.buffer, s.indices, env)
            if inside is not None:
                return If(inside, (s,), (), s.span)
        return map_bodies(s, lambda b: tuple(self.statement(x, env) for x in b))

    def block(self, body: tuple[Stmt, ...], env: dict[str, Range]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, For):
                known = loop_range(s, env)
                inner = env | ({s.var.name: known} if known else {})
                leaf = not any(isinstance(x, For) for x in walk(s.body))
                out.append(replace(s, body=tuple(self.statement(x, inner) for x in s.body) if leaf else self.block(s.body, inner)))
            else:
                out.append(map_bodies(s, lambda b: self.block(b, env)))
        return tuple(out)


def run(program: Program, ctx: PassContext) -> Program:
    if ctx.on(SAFE_ACCESS_OFF):
        return program
    body = _Guard(program).block(program.body, launch_ranges(program))
    return program if body == program.body else program.with_body(body)
