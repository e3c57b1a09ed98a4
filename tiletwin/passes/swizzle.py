"""Block order: `T.use_swizzle` is the identity on the PTO target (dialect 2.3)."""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import Program
from .context import PassContext
from .substitute import map_exprs


def _identity(e: E.Expr) -> E.Expr:
    kids = tuple(map(_identity, E.children(e)))
    if isinstance(e, E.Call) and e.fn == 'swizzle':
        return kids[0]
    return E.rebuild(e, kids) if kids != E.children(e) else e


def run(program: Program, ctx: PassContext) -> Program:
    if ctx.target != 'pto':
        return program
    body = map_exprs(program.body, _identity)
    return program if body == program.body else program.with_body(body)
