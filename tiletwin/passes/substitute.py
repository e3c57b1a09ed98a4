"""Copies of statements with other names: substitution of scalars and fresh bound variables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterable

from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Let, Program, Region, Stmt, Store, While, map_bodies, walk

Fn = Callable[[E.Expr], E.Expr]


class Names:
    """Scalar names that no statement of a Program binds yet."""

    def __init__(self, program: Program):
        self.taken = {s.var.name for s in walk(program.body) if isinstance(s, (For, Let))} | set(program.buffers)
        self.taken |= {program.launch.cid.name, program.launch.vid.name} | {p.name for p in program.params if isinstance(p, E.Var)}
        self.taken |= {n for b in program.tensors for d in b.shape for n in E.free_vars(d)}

    def fresh(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self.taken:
            count += 1
            name = f'{wanted}_{count}'
        self.taken.add(name)
        return name


def map_value(a: Any, fn: Fn) -> Any:
    """An operand or attribute with every scalar expression in it replaced."""
    if isinstance(a, Region):
        return replace(a, starts=tuple(map(fn, a.starts)), extents=tuple(map(fn, a.extents)))
    if isinstance(a, tuple):
        return tuple(map_value(x, fn) for x in a)
    return fn(a) if isinstance(a, E.EXPR_TYPES) else a


def map_own(s: Stmt, fn: Fn) -> Stmt:
    """One statement with the scalar expressions it holds itself replaced; nested blocks stay."""
    match s:
        case Instr():
            return replace(s, args=tuple(map_value(a, fn) for a in s.args), attrs={k: map_value(v, fn) for k, v in s.attrs.items()})
        case Store():
            return replace(s, indices=tuple(map(fn, s.indices)), value=fn(s.value))
        case Let():
            return replace(s, value=fn(s.value))
        case For():
            return replace(s, start=fn(s.start), extent=fn(s.extent))
        case While() | If():
            return replace(s, cond=fn(s.cond))
    return s


def map_exprs(body: Iterable[Stmt], fn: Fn) -> tuple[Stmt, ...]:
    return tuple(map_bodies(map_own(s, fn), lambda b: map_exprs(b, fn)) for s in body)


def substitute(body: Iterable[Stmt], names: dict[str, E.Expr]) -> tuple[Stmt, ...]:
    if not names:
        return tuple(body)
    return map_exprs(body, lambda e: E.substitute(e, names))


def renewed(body: Iterable[Stmt], names: Names) -> tuple[Stmt, ...]:
    """A second copy of statements: every variable it binds gets a name of its own."""
    out: list[Stmt] = []
    known: dict[str, E.Expr] = {}
    for s in body:
        s = map_own(s, lambda e: E.substitute(e, known))
        s = map_bodies(s, lambda b: substitute(b, known))
        if isinstance(s, For):
            var = E.Var(names.fresh(s.var.name), s.var.dtype)
            s = replace(s, var=var, body=renewed(substitute(s.body, {s.var.name: var}), names))
        elif isinstance(s, Let):
            var = E.Var(names.fresh(s.var.name), s.var.dtype)
            known[s.var.name] = var
            s = replace(s, var=var)
        else:
            s = map_bodies(s, lambda b: renewed(b, names))
        out.append(s)
    return tuple(out)


def own_exprs(s: Stmt) -> list[E.Expr]:
    """The scalar expressions of one statement, nested blocks excluded."""
    found: list[E.Expr] = []
    map_own(s, lambda e: found.append(e) or e)
    return found
