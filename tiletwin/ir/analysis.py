"""Questions about expressions: value ranges, additive terms, and what steers control flow."""

from __future__ import annotations

from typing import Iterator

from . import expr as E
from .nodes import For, If, Instr, Let, Program, Region, Stmt, Store, While, walk

Range = tuple[int, int]


def bounds(e: E.Expr, env: dict[str, Range]) -> Range | None:
    """Smallest and largest integer value, or None when unknown. `env` maps names to inclusive ranges."""
    match e:
        case E.Const(value=v):
            return (int(v), int(v)) if isinstance(v, (int, bool)) else None
        case E.Var(name=n):
            return env.get(n)
        case E.Cast(a=a):
            return bounds(a, env)
        case E.Un(op='-', a=a):
            r = bounds(a, env)
            return r and (-r[1], -r[0])
        case E.Select(a=a, b=b):
            x, y = bounds(a, env), bounds(b, env)
            return (min(x[0], y[0]), max(x[1], y[1])) if x and y else None
        case E.Bin(op=op, a=a, b=b):
            x, y = bounds(a, env), bounds(b, env)
            if x is None or y is None:
                if op == '%' and y is not None and y[0] == y[1] > 0:
                    return (0, y[0] - 1)
                return None
            return _bin_bounds(op, x, y)
    return None


def _bin_bounds(op: str, x: Range, y: Range) -> Range | None:
    if op == '+':
        return x[0] + y[0], x[1] + y[1]
    if op == '-':
        return x[0] - y[1], x[1] - y[0]
    if op == '*':
        p = [a * b for a in x for b in y]
        return min(p), max(p)
    if op == 'min':
        return min(x[0], y[0]), min(x[1], y[1])
    if op == 'max':
        return max(x[0], y[0]), max(x[1], y[1])
    if op in ('//', 'tdiv', '/') and y[0] > 0 and x[0] >= 0:
        return x[0] // y[1], x[1] // y[0]
    if op in ('%', 'tmod') and y[0] == y[1] > 0:
        return x if 0 <= x[0] and x[1] < y[0] else (0, y[0] - 1) if x[0] >= 0 or op == '%' else None
    if op in E.COMPARISON + E.LOGIC:
        return 0, 1
    return None


def terms(e: E.Expr) -> list[tuple[int, E.Expr]]:
    """`e` as a sum of (integer factor, term)."""
    match e:
        case E.Bin(op='+', a=a, b=b):
            return terms(a) + terms(b)
        case E.Bin(op='-', a=a, b=b):
            return terms(a) + [(-c, t) for c, t in terms(b)]
        case E.Bin(op='*', a=a, b=E.Const(value=int() as c)) | E.Bin(op='*', a=E.Const(value=int() as c), b=a):
            return [(c * k, t) for k, t in terms(a)]
        case E.Bin(op='*', a=a, b=b) if len(terms(a)) > 1:
            return [(k, E.Bin('*', t, b, e.dtype)) for k, t in terms(a)]
        case E.Const(value=int() as v):
            return [(int(v), E.Const(1))]
    return [(1, e)]


class Inliner:
    """Expands lets, so that dependence questions see block and loop variables only."""

    def __init__(self, program: Program):
        self.names: dict[str, E.Expr] = {}
        for s in walk(program.body):
            if isinstance(s, Let):
                self.names[s.var.name] = E.substitute(s.value, self.names)

    def __call__(self, e: E.Expr) -> E.Expr:
        return E.substitute(e, self.names) if self.names else e


def region_exprs(r: Region) -> tuple[E.Expr, ...]:
    return r.starts + r.extents


def control_exprs(program: Program, s: Stmt) -> Iterator[E.Expr]:
    """Expressions of one statement that steer control flow, addresses or synchronisation (not stored values)."""
    match s:
        case For(start=a, extent=b):
            yield a
            yield b
        case While(cond=c) | If(cond=c):
            yield c
        case Let(value=v):
            yield v
        case Store(buffer=b, indices=idx, value=v):
            yield from idx
            if program.buffers[b].space == 'VAR':
                yield v
        case Instr():
            for arg in s.args:
                if isinstance(arg, Region):
                    yield from region_exprs(arg)
                elif not isinstance(arg, str) and s.op in ('set_flag', 'wait_flag', 'set_cross_flag', 'wait_cross_flag', 'gemm_v0', 'mma'):
                    yield arg


def data_dependent(program: Program) -> Stmt | None:
    """The first statement whose control depends on tensor data, else None."""
    for s in walk(program.body):
        for e in control_exprs(program, s):
            if any(program.buffers[x.buffer].space != 'VAR' for x in E.loads(e)):
                return s
    return None
