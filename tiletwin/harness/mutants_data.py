"""Mutants of what a kernel counts rather than orders: rings that turn one slot too early, accumulators that start wrong.

A ring is a buffer whose slots are chosen by `x % n`, or a pair of buffers chosen by `if x % n == c`. The mutant models an author
who miscounted: every access of the ring turns at n - 1, the flags that guard its n slots stay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Iterator

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import If, Instr, Program, Region, Stmt, Store, map_bodies, walk
from ..ir.ops import OPS, letters
from .mutants import Mutant

CUBE = ('gemm_v0', 'mma')


def data_mutants(program: Program) -> Iterator[Mutant]:
    yield from _short_rings(program)
    yield from _short_pairs(program)
    yield from _inits(program)


# -- rings ----------------------------------------------------------------------------------------------------------------
def moduli(e: E.Expr) -> set[int]:
    return {x.b.value for x in E.walk(e) if isinstance(x, E.Bin) and x.op == '%' and isinstance(x.b, E.Const) and x.b.value > 1}


def turned(e: E.Expr, n: int, m: int) -> E.Expr:
    """`e` with every `x % n` as `x % m`."""
    kids = tuple(turned(k, n, m) for k in E.children(e))
    if not kids:
        return e
    if isinstance(e, E.Bin) and e.op == '%' and kids[1] == E.Const(n, kids[1].dtype):
        return E.Const(0, e.dtype) if m == 1 else E.Bin('%', kids[0], E.Const(m, kids[1].dtype), e.dtype)
    return E.fold(E.rebuild(e, kids))


def rings(program: Program) -> dict[str, tuple[int, ...]]:
    """Buffers with slots the kernel itself fills and reads: name -> numbers of slots, by the index that turns."""
    seen: dict[str, dict[bool, set[int]]] = {}
    for s in walk(program.body):
        for r, writes in _accesses(s):
            root = program.root(r.buffer)[0]
            found = seen.setdefault(root.name, {False: set(), True: set()})
            for e in r.starts:
                found[writes] |= moduli(e)
    return {name: tuple(sorted(found[True] & found[False])) for name, found in seen.items() if found[True] & found[False]}


def _accesses(s: Stmt) -> Iterator[tuple[Region, bool]]:
    if isinstance(s, Instr):
        for letter, a in zip(letters(OPS[s.op], len(s.args)), s.args):
            if isinstance(a, Region):
                if letter in 'wm':
                    yield a, True
                if letter != 'w':
                    yield a, False
    elif isinstance(s, Store):
        yield Region(s.buffer, s.indices, ()), True


def _short_rings(program: Program) -> Iterator[Mutant]:
    for name, sizes in rings(program).items():
        for i, n in enumerate(sizes):
            def region(r, n=n, name=name):
                if not isinstance(r, Region) or program.root(r.buffer)[0].name != name:
                    return r
                return replace(r, starts=tuple(turned(e, n, n - 1) for e in r.starts))

            def change(s: Stmt, region=region) -> Stmt:
                return replace(s, args=tuple(map(region, s.args))) if isinstance(s, Instr) else s

            yield _ring(name, n, i, program.buffers[name].span, lambda change=change: program.with_body(_mapped(program.body, change)))


def _short_pairs(program: Program) -> Iterator[Mutant]:
    """Two buffers in the place of one with two slots: the branch chooses."""
    pairs: dict[tuple[str, ...], list[If]] = {}
    for s in walk(program.body):
        if isinstance(s, If) and s.els and (n := _turns(s.cond)):
            for names in _chosen(program, s):
                pairs.setdefault((n, *names), []).append(s)
    for (n, *names), branches in pairs.items():
        def change(s: Stmt, branches=branches, n=n) -> Stmt:
            return replace(s, cond=turned(s.cond, n, n - 1)) if any(s is b for b in branches) else s

        yield _ring(' and '.join(names), n, 0, program.buffers[names[0]].span, lambda change=change: program.with_body(_mapped(program.body, change)))


def _turns(cond: E.Expr) -> int:
    match cond:
        case E.Bin(op='==', a=E.Bin(op='%', b=E.Const(value=int() as n)), b=E.Const()) if n > 1:
            return n
    return 0


def _chosen(program: Program, s: If) -> list[tuple[str, str]]:
    """On-chip buffers of one shape that only the one and only the other branch touches."""
    def touched(body) -> list[str]:
        names = (program.root(r.buffer)[0].name for x in walk(body) for r, _ in _accesses(x) if program.buffers[r.buffer].space != 'GM')
        return list(dict.fromkeys(names))

    one, two = touched(s.then), touched(s.els)
    pairs = zip([n for n in one if n not in two], [n for n in two if n not in one])
    return [(a, b) for a, b in pairs if all(getattr(program.buffers[a], k) == getattr(program.buffers[b], k) for k in ('shape', 'dtype', 'space'))]


def _ring(name: str, n: int, index: int, span: Span | None, make: Callable[[], Program]) -> Mutant:
    where = f' (line {span.line})' if span else ''
    return Mutant(f'ring {name} turns at {n - 1} of {n} slots{where}', 'ring', name, span, ('ring', name, index), make)


def _mapped(body: tuple[Stmt, ...], change: Callable[[Stmt], Stmt]) -> tuple[Stmt, ...]:
    return tuple(map_bodies(change(s), lambda b: _mapped(b, change)) for s in body)


# -- accumulators -----------------------------------------------------------------------------------------------------------
def _inits(program: Program) -> Iterator[Mutant]:
    groups: dict[tuple, list[Instr]] = {}
    for s in walk(program.body):
        if isinstance(s, Instr) and s.op in CUBE and not (isinstance(s.args[3], E.Const) and not s.args[3].value):
            groups.setdefault((s.op, s.span) if s.span else (s.op, id(s)), []).append(s)
    for key, copies in groups.items():
        s = copies[0]
        for value in (False,) if isinstance(s.args[3], E.Const) else (False, True):
            def change(x: Stmt, copies=copies, value=value) -> Stmt:
                return replace(x, args=(*x.args[:3], E.Const(value, 'bool'))) if any(x is c for c in copies) else x

            where = f' (line {s.span.line})' if s.span else ''
            yield Mutant(f'{s.op} with init={value} for {E.text(s.args[3])}{where}', 'init', s.op, s.span, ('init', value, *key),
                         lambda change=change: program.with_body(_mapped(program.body, change)))
