"""In-place merging of tiles (dialect 8.15): a tile made by scalar stores takes over the tile it is computed from.

`b[i] = f(a[i])` with `a` dead afterwards makes `b` another name of `a`. The compiler looks at whole statements of the block
that holds both allocations; reuse of dead tiles in general is memory planning's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator

from ..ir import expr as E
from ..ir.analysis import terms
from ..ir.nodes import For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, bodies, map_bodies, walk
from .context import PassContext
from .liveness import points


def run(program: Program, ctx: PassContext) -> Program:
    viewed = {b.alias_of for b in program.buffers.values()}
    merged: dict[str, str] = {}
    nests = _nests(program)
    first, last = _ends(program, nests)
    for s in walk(program.body):
        made = [n for n, at in first.items() if at is s and n not in viewed]
        dead = [n for n, at in last.items() if at is s and n not in viewed]
        for dst in made:
            for src in dead:
                if src != dst and src not in merged.values() and nests[src] == nests[dst] and _alike(program, dst, src) and InPlace(program, dst, src).holds(s):
                    merged[dst] = merged.get(src, src)
                    break
    if not merged:
        return program
    buffers = {n: b for n, b in program.buffers.items() if n not in merged}
    return replace(program, buffers=buffers, body=renamed(program.body, merged))


def _nests(program: Program) -> dict[str, tuple[int, ...]]:
    """The loops around each allocation: those common to all its uses."""
    out: dict[str, tuple[int, ...]] = {}
    for p in points(program):
        loops = tuple(id(s) for s in p.nest if isinstance(s, For))
        for name in p.names:
            have = out.get(name, loops)
            n = 0
            while n < min(len(have), len(loops)) and have[n] == loops[n]:
                n += 1
            out[name] = loops[:n]
    return out


def _ends(program: Program, nests: dict[str, tuple[int, ...]]) -> tuple[dict[str, Stmt], dict[str, Stmt]]:
    """First and last statement of its block, whole loops and branches included, that touches each allocation."""
    first: dict[str, Stmt] = {}
    last: dict[str, Stmt] = {}
    for p in points(program):
        path = [s for s in (*p.nest, p.stmt) if not isinstance(s, Scope)]
        for name in p.names:
            inside = nests[name]
            depth = next((i + 1 for i, s in enumerate(path) if inside and id(s) == inside[-1]), 0)
            first.setdefault(name, path[depth])
            last[name] = path[depth]
    return first, last


def _alike(program: Program, dst: str, src: str) -> bool:
    a, b = program.buffers[dst], program.buffers[src]
    return (a.space, a.dtype, a.shape) == (b.space, b.dtype, b.shape) and not (a.annotated or b.annotated)


class InPlace:
    """Does a statement compute `dst` element by element from the same element of `src`?"""

    def __init__(self, program: Program, dst: str, src: str):
        self.program, self.dst, self.src = program, dst, src

    def holds(self, s: Stmt) -> bool:
        return isinstance(s, (For, While, If, Store)) and all(self.statement(x) for x in (s, *walk(tuple(x for b in bodies(s) for x in b))))

    def statement(self, s: Stmt) -> bool:
        match s:
            case Store():
                inner = s if s.buffer == self.dst else None
                return s.buffer != self.src and not any(self.named(e) for e in s.indices) and self.value(s.value, inner)
            case Instr():
                return not any(isinstance(a, Region) and a.buffer in (self.dst, self.src) for a in s.args) and not any(self.named(e) for e in _exprs(s))
            case For(start=a, extent=b):
                return not (self.named(a) or self.named(b))
            case While(cond=e) | If(cond=e) | Let(value=e):
                return not self.named(e)
        return True

    def named(self, e: E.Expr) -> bool:
        return any(x.buffer in (self.dst, self.src) for x in E.loads(e))

    def value(self, e: E.Expr, store: Store | None) -> bool:
        """Reads of `src` are fine at the stored index and in its element type, reads of `dst` and indirect reads are not."""
        for x in E.loads(e):
            if x.buffer == self.dst or any(E.loads(i) for i in x.indices):
                return False
            if x.buffer == self.src and (store is None or store.value.dtype != x.dtype or _flat(self.program, x.buffer, x.indices) != _flat(self.program, store.buffer, store.indices)):
                return False
        return True


def _flat(program: Program, buffer: str, indices: tuple[E.Expr, ...]) -> dict[str, int]:
    out: dict[str, int] = {}
    for factor, term in terms(E.flat_offset(program.buffers[buffer].shape, indices)):
        out[E.text(term)] = out.get(E.text(term), 0) + factor
    return {t: f for t, f in out.items() if f}


def _exprs(s: Instr) -> Iterator[E.Expr]:
    for a in (*s.args, *s.attrs.values()):
        if isinstance(a, Region):
            yield from (*a.starts, *a.extents)
        elif isinstance(a, E.EXPR_TYPES):
            yield a


def renamed(body: tuple[Stmt, ...], names: dict[str, str]) -> tuple[Stmt, ...]:
    """Statements with buffers called by other names."""

    def expr(e: E.Expr) -> E.Expr:
        kids = tuple(map(expr, E.children(e)))
        e = E.rebuild(e, kids) if kids else e
        return E.Load(names[e.buffer], e.indices, e.dtype) if isinstance(e, E.Load) and e.buffer in names else e

    def value(a: Any) -> Any:
        if isinstance(a, Region):
            return Region(names.get(a.buffer, a.buffer), tuple(map(expr, a.starts)), tuple(map(expr, a.extents)), a.form)
        if isinstance(a, tuple):
            return tuple(map(value, a))
        return expr(a) if isinstance(a, E.EXPR_TYPES) else a

    def own(s: Stmt) -> Stmt:
        match s:
            case Instr():
                tmp = s.attrs.get('tmp')
                scratch = {} if tmp is None else {'tmp': names.get(tmp, tmp) if isinstance(tmp, str) else tuple(names.get(n, n) for n in tmp)}
                return replace(s, args=tuple(map(value, s.args)), attrs={k: value(v) for k, v in s.attrs.items()} | scratch)
            case Store():
                return replace(s, buffer=names.get(s.buffer, s.buffer), indices=tuple(map(expr, s.indices)), value=expr(s.value))
            case Let():
                return replace(s, value=expr(s.value))
            case For():
                return replace(s, start=expr(s.start), extent=expr(s.extent))
            case While() | If():
                return replace(s, cond=expr(s.cond))
        return s

    def block(stmts: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(map_bodies(own(s), block) for s in stmts)

    return block(body)
