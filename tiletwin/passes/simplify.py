"""What the compiler's simplifier visibly does: constants folded, known comparisons decided, pure lets inlined, dead code dropped."""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.analysis import Range, bounds
from ..ir.nodes import For, If, Let, Program, Scope, Stmt, While, map_bodies
from .context import PassContext
from .ranges import launch_ranges, linear, loop_range
from .substitute import map_own

_DECIDED = {'<': lambda a, b: a[1] < b[0], '<=': lambda a, b: a[1] <= b[0], '>': lambda a, b: a[0] > b[1], '>=': lambda a, b: a[0] >= b[1],
            '==': lambda a, b: a[0] == a[1] == b[0] == b[1], '!=': lambda a, b: a[1] < b[0] or a[0] > b[1]}
_OPPOSITE = {'<': '>=', '<=': '>', '>': '<=', '>=': '<', '==': '!=', '!=': '=='}


def _number(e: E.Expr) -> float | None:
    return float(e.value) if isinstance(e, E.Const) and not isinstance(e.value, bool) and 'float' in e.dtype else None


def _float(e: E.Bin) -> E.Expr:
    """Identities the compiler applies to floats; a division by a constant becomes a multiplication."""
    a, b = _number(e.a), _number(e.b)
    if e.op in '+-' and b == 0 or e.op in '*/' and b == 1:
        return e.a
    if e.op == '+' and a == 0 or e.op == '*' and a == 1:
        return e.b
    if e.op == '/' and b:
        return E.Bin('*', e.a, E.Const(1.0 / b, e.b.dtype), e.dtype)
    return e


def expr(e: E.Expr, env: dict[str, Range]) -> E.Expr:
    """`e` with everything folded that the ranges of its names decide."""
    kids = E.children(e)
    if not kids:
        return e
    new = tuple(expr(k, env) for k in kids)
    e = E.fold(e if new == kids else E.rebuild(e, new))
    match e:
        case E.Bin(op=op, a=a, b=b) if op in _DECIDED:
            x, y = bounds(a, env), bounds(b, env)
            if x is None or y is None:
                # The terms the two sides share cancel.
                x, y = bounds(linear(E.sub(a, b)), env), (0, 0)
            if x is not None and y is not None:
                if _DECIDED[op](x, y):
                    return E.Const(True, 'bool')
                if _DECIDED[_OPPOSITE[op]](x, y):
                    return E.Const(False, 'bool')
        case E.Bin(op='min' | 'max' as op, a=a, b=b) if 'int' in e.dtype:
            x, y = bounds(a, env), bounds(b, env)
            if x is not None and y is not None:
                if x[1] <= y[0]:
                    return a if op == 'min' else b
                if y[1] <= x[0]:
                    return b if op == 'min' else a
        case E.Bin(op='+' | '-' | '*' | '/') if 'float' in e.dtype:
            return _float(e)
        case E.Bin(op='or', a=a, b=b):
            for x, y in ((a, b), (b, a)):
                if isinstance(x, E.Const):
                    return E.Const(True, 'bool') if x.value else y
        case E.Bin(op='and', a=a, b=b) if any(isinstance(x, E.Const) and not x.value for x in (a, b)):
            return E.Const(False, 'bool')
        case E.Bin(op='//' | '%' | 'tdiv' | 'tmod' as op, a=a, b=E.Const(value=int() as c)) if c > 0:
            x = bounds(a, env)
            if x is not None and 0 <= x[0] and x[1] < c:
                return E.Const(0) if op in ('//', 'tdiv') else a
    return e


class _Simplifier:
    def __init__(self, program: Program):
        self.program = program

    def block(self, body: tuple[Stmt, ...], env: dict[str, Range], lets: dict[str, E.Expr]) -> tuple[Stmt, ...]:
        env, lets = dict(env), dict(lets)
        out: list[Stmt] = []
        for s in body:
            s = map_own(s, lambda e: expr(E.substitute(e, lets), env))
            match s:
                case Let(var=v, value=value) if not E.loads(value):
                    lets[v.name] = value
                case For():
                    out += self.loop(s, env, lets)
                case If(cond=E.Const(value=taken)):
                    out += self.block(s.then if taken else s.els, env, lets)
                case If():
                    then, els = self.block(s.then, env, lets), self.block(s.els, env, lets)
                    if then or els:
                        out.append(replace(s, then=then, els=els))
                case While() | Scope():
                    out.append(map_bodies(s, lambda b: self.block(b, env, lets)))
                case _:
                    out.append(s)
        return _without_dead_lets(tuple(out))

    def loop(self, s: For, env: dict[str, Range], lets: dict[str, E.Expr]) -> list[Stmt]:
        trips = E.int_value(s.extent)
        if trips is not None and trips <= 0:
            return []
        known = loop_range(s, env)
        inner = self.block(s.body, env | ({s.var.name: known} if known else {}), lets)
        return [replace(s, body=inner)] if inner else []


def _uses(body: tuple[Stmt, ...], name: str) -> bool:
    found: list[bool] = []

    def look(e: E.Expr) -> E.Expr:
        found.append(name in E.free_vars(e))
        return e

    for s in body:
        map_own(s, look)
        map_bodies(s, lambda b: (found.append(_uses(b, name)), b)[1])
        if any(found):
            return True
    return False


def _without_dead_lets(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    out: list[Stmt] = []
    for i in range(len(body) - 1, -1, -1):
        s = body[i]
        if not isinstance(s, Let) or _uses(tuple(out), s.var.name):
            out.insert(0, s)
    return tuple(out)


def run(program: Program, ctx: PassContext) -> Program:
    body = _Simplifier(program).block(program.body, launch_ranges(program), {})
    return program if body == program.body else program.with_body(body)
