"""Binds scalar parameters and symbolic sizes of a Program to their values at a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import CallError
from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Launch, Let, Program, Region, Stmt, Store, While, map_bodies


def specialise(program: Program, scalars: dict[str, Any]) -> Program:
    """The same Program with every name of `scalars` replaced by a constant."""
    dtypes = {p.name: p.dtype for p in program.params if isinstance(p, E.Var)}
    missing = [n for n in dtypes if n not in scalars]
    if missing:
        raise CallError(f'no value for the scalar parameter {missing[0]!r}', where=program.span,
                        why='the kernel is specialised to its scalars before it runs',
                        instead='pass one number per scalar parameter')
    if not scalars:
        return program
    names = {n: E.Const(_plain(v), dtypes.get(n) or ('float32' if isinstance(v, float) else 'int32')) for n, v in scalars.items()}

    def ex(e):
        return E.substitute(e, names)

    def arg(a):
        if isinstance(a, Region):
            return replace(a, starts=tuple(map(ex, a.starts)), extents=tuple(map(ex, a.extents)))
        return ex(a) if isinstance(a, E.EXPR_TYPES) else a

    def attr(v):
        if isinstance(v, E.EXPR_TYPES):
            return ex(v)
        return tuple(map(attr, v)) if isinstance(v, (tuple, list)) else v

    def body(stmts: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(stmt(s) for s in stmts)

    def stmt(s: Stmt) -> Stmt:
        match s:
            case Instr():
                return replace(s, args=tuple(map(arg, s.args)), attrs={k: attr(v) for k, v in s.attrs.items()})
            case Store():
                return replace(s, indices=tuple(map(ex, s.indices)), value=ex(s.value))
            case Let():
                return replace(s, value=ex(s.value))
            case For():
                s = replace(s, start=ex(s.start), extent=ex(s.extent))
            case While() | If():
                s = replace(s, cond=ex(s.cond))
        return map_bodies(s, body)

    buffers = {n: replace(b, shape=tuple(map(ex, b.shape))) for n, b in program.buffers.items()}
    launch: Launch = replace(program.launch, blocks=ex(program.launch.blocks))
    return replace(program, buffers=buffers, launch=launch, body=body(program.body))


def _plain(v):
    return v if isinstance(v, (bool, int, float)) else v.item()
