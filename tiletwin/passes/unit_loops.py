"""Loops of one trip lose their frame when blocks are lowered; annotated ones keep it (dialect 8.13)."""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import For, Program, Stmt, map_bodies
from .context import PassContext
from .substitute import substitute


def _block(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    out: list[Stmt] = []
    for s in body:
        s = map_bodies(s, _block)
        if isinstance(s, For) and E.int_value(s.extent) == 1 and not s.annotations:
            out += substitute(s.body, {s.var.name: s.start})
        else:
            out.append(s)
    return tuple(out)


def run(program: Program, ctx: PassContext) -> Program:
    body = _block(program.body)
    return program if body == program.body else program.with_body(body)
