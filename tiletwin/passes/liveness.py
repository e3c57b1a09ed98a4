"""Where on-chip buffers are touched: in program order, with the loops around each touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import CUBE_SPACES, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, bodies
from .sync_operands import scratch


@dataclass(frozen=True, slots=True)
class Point:
    """A statement that touches on-chip buffers; `nest` are the statements around it, outer first."""

    index: int
    stmt: Stmt
    nest: tuple[Stmt, ...]
    names: tuple[str, ...]  # allocations, in operand order

    @property
    def span(self) -> Span | None:
        return self.stmt.span


def touched(program: Program, s: Stmt) -> tuple[str, ...]:
    """On-chip allocations a statement names, nested blocks excluded, in operand order; scratch stands behind the operands."""
    order: dict[str, None] = {}

    def touch(name: str) -> None:
        root = program.root(name)[0]
        if root.space in CUBE_SPACES or root.space == 'UB':
            order.setdefault(root.name)

    def expr(e: E.Expr) -> None:
        for x in E.loads(e):
            touch(x.buffer)

    match s:
        case Instr():
            for a in (*s.args, *s.attrs.values()):
                if isinstance(a, Region):
                    touch(a.buffer)
                    for e in (*a.starts, *a.extents):
                        expr(e)
                elif isinstance(a, E.EXPR_TYPES):
                    expr(a)
            for name in scratch(s):
                touch(name)
        case Store():
            for e in (*s.indices, s.value):
                expr(e)
            touch(s.buffer)
        case Let(value=e) | While(cond=e) | If(cond=e):
            expr(e)
        case For():
            expr(s.start)
            expr(s.extent)
    return tuple(order)


def points(program: Program) -> list[Point]:
    """Every touching statement in program order."""
    out: list[Point] = []

    def block(body: tuple[Stmt, ...], nest: tuple[Stmt, ...]) -> None:
        for s in body:
            names = touched(program, s)
            if names:
                out.append(Point(len(out), s, nest, names))
            for inner in bodies(s):
                block(inner, (*nest, s))

    block(program.body, ())
    return out


def first_and_last(program: Program) -> dict[str, tuple[Point, Point]]:
    """First and last touch of every allocation, by first touch."""
    out: dict[str, tuple[Point, Point]] = {}
    for p in points(program):
        for name in p.names:
            out[name] = (out[name][0] if name in out else p, p)
    return out


def allocation_order(program: Program) -> list[str]:
    """Allocations as the compiler orders them: each sinks into the innermost loop that holds all its uses; a block's own come first, by first use."""
    nests: dict[str, tuple[Stmt, ...]] = {}
    for p in points(program):
        loops = tuple(s for s in p.nest if isinstance(s, For))
        for name in p.names:
            nests[name] = _common(nests[name], loops) if name in nests else loops
    placed: dict[int, list[str]] = {}
    for name, loops in nests.items():
        placed.setdefault(id(loops[-1]) if loops else 0, []).append(name)
    return [name for key in (0, *_loops(program.body)) for name in placed.get(key, ())]


def _common(a: tuple[Stmt, ...], b: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    n = 0
    while n < min(len(a), len(b)) and a[n] is b[n]:
        n += 1
    return a[:n]


def _loops(body: tuple[Stmt, ...]) -> Iterator[int]:
    for s in body:
        if isinstance(s, For):
            yield id(s)
        for inner in bodies(s):
            yield from _loops(inner)


def level(p: Point) -> int:
    """Depth of a statement as memory planning counts it: loops, branches and core scopes."""
    return sum(isinstance(s, (For, While, If, Scope)) for s in p.nest)


def lifetimes(program: Program) -> dict[str, str]:
    """Source lines of the first and last touch of every allocation."""
    return {name: lines(first, last) for name, (first, last) in first_and_last(program).items()}


def lines(first: Point, last: Point) -> str:
    if first.span is None or last.span is None:
        return ''
    return f'line {first.span.line}' if first.span.line == last.span.line else f'lines {first.span.line} to {last.span.line}'
