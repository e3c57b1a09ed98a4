"""`T.Parallel` nests become vector instructions, or scalar loops where the compiler finds no vector form (dialect 5.6)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, Program, Stmt, Store, map_bodies
from .context import PassContext
from .meaning_parallel import Nest as Meaning
from .parallel_value import PASS, NoVectorForm, Shape, Values
from .refuse import CompilerRejects
from .substitute import Names, substitute

ROW = 'outer_broadcast_idx'


@dataclass(frozen=True, slots=True)
class Nest:
    """One or two loops around stores. `outer` is None for a single loop."""

    outer: For | None
    inner: For
    stores: tuple[Store, ...]

    @property
    def serial(self) -> bool:
        """A serial loop whose whole body is one parallel loop: it stays, its trips are rows."""
        return self.outer is not None and self.outer.kind != 'parallel'


def _only_loop(s: For) -> For | None:
    return s.body[0] if len(s.body) == 1 and isinstance(s.body[0], For) and s.body[0].kind == 'parallel' else None


def nest_of(s: For) -> Nest | None:
    """The nest `s` heads, or None when there is none the compiler turns into instructions."""
    inner = _only_loop(s)
    if s.kind == 'parallel' and inner is not None and _only_loop(inner) is not None:
        raise CompilerRejects('Unsupported: 3D or higher dimensional parallel loops detected', where=s.span,
                              why='the vectoriser knows one and two parallel dimensions',
                              instead='T.serial around a T.Parallel of two dimensions')
    if s.kind != 'parallel' and inner is None:
        return None
    outer, inner = (s, inner) if inner is not None else (None, s)
    stores = tuple(x for x in inner.body if isinstance(x, Store))
    return Nest(outer, inner, stores) if stores and len(stores) == len(inner.body) else None


class _Vectoriser:
    def __init__(self, program: Program, sound: bool):
        self.program, self.sound = program, sound
        self.values = Values(program, sound)
        self.names = Names(program)
        self.notes: list[tuple[str, Span | None]] = []

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, For):
                out += self.loop(s)
            else:
                out.append(map_bodies(s, self.block))
        return tuple(out)

    def loop(self, s: For) -> list[Stmt]:
        nest = nest_of(s)
        if nest is not None:
            mark = self.values.mark()
            try:
                return self.vectorised(nest)
            except NoVectorForm:
                self.values.reset(mark)
                if nest.outer is not None:
                    return [replace(s, kind=self.serial(s), body=(replace(nest.inner, kind='serial'),))]
                return [replace(s, kind='serial')]
        return [replace(s, kind=self.serial(s), body=self.block(s.body))]

    @staticmethod
    def serial(s: For) -> str:
        return 'serial' if s.kind == 'parallel' else s.kind

    def shape(self, nest: Nest, st: Store) -> Shape:
        """How a store becomes instructions."""
        n = E.int_value(nest.inner.extent)
        m = 1 if nest.outer is None else E.int_value(nest.outer.extent)
        if n is None or m is None or any(E.int_value(x.start) != 0 for x in (nest.inner, nest.outer) if x is not None):
            raise NoVectorForm
        b, v = self.program.buffers[st.buffer], nest.inner.var.name
        if b.space in ('L0A', 'L0B', 'L0C', 'VAR') or len(st.indices) > 3:
            raise NoVectorForm
        if v not in E.free_vars(st.indices[-1]) and (len(st.indices) == 1 or b.space != 'L1'):
            raise NoVectorForm
        outer = nest.outer.var if nest.outer is not None and not nest.serial else None
        kept: E.Expr = nest.outer.var if nest.serial and nest.outer is not None else E.Const(0)
        zero: dict[str, E.Expr] = {v: E.Const(0)}
        if outer is not None:
            zero[outer.name] = E.Const(0)
        if self.sound and len(st.indices) == 1:
            if outer is not None:
                raise NoVectorForm
            return Shape(1, n, True, zero, v, None, kept)
        if len(st.indices) == 1:
            # The compiler takes the product of both extents, also when the outer loop stays.
            return Shape(1, m * n, True, zero, v, None, kept)
        if outer is None:
            return Shape(m, n, False, zero, v, None, kept)
        row = E.Var(ROW, outer.dtype)
        if outer.name in E.free_vars(st.indices[-2]) and self.values.covers(st.value, v, outer.name) and (not self.sound or self.dense(st, n)):
            return Shape(m, n, True, zero, v, outer.name, kept)
        return Shape(m, n, False, {**zero, outer.name: row}, v, outer.name, row)

    def dense(self, st: Store, n: int) -> bool:
        """Rows of every tile follow one another without a gap."""
        names = [st.buffer, *(x.buffer for x in E.loads(st.value))]
        return all(len(b.shape) == 1 or b.space == 'GM' or E.int_value(b.shape[-1]) == n for b in map(self.values.buffer, names))

    def vectorised(self, nest: Nest) -> list[Stmt]:
        shapes = [self.shape(nest, st) for st in nest.stores]
        rows = {1 if x.at_once else x.rows for x in shapes}
        if len(rows) > 1:
            raise NoVectorForm
        found: list[tuple[str, Span | None]] = []
        out: list[Stmt] = []
        for st, x in zip(nest.stores, shapes):
            made = self.values.store(st, x)
            out += made
            if not self.sound and (said := Meaning(self.values, nest.outer, nest.inner, st, x, made).changed()):
                found.append((f'T.Parallel: {said}; whole tiles of equal shape, or T.tile operations on slices, keep the meaning', st.span))
        self.notes += found
        if nest.serial and nest.outer is not None:
            return [replace(nest.outer, body=tuple(out))]
        if nest.outer is None or all(x.at_once for x in shapes):
            return out
        row = E.Var(self.names.fresh(ROW), nest.outer.var.dtype)
        body = tuple(out) if row.name == ROW else substitute(out, {ROW: row})
        return [For(row, E.Const(0), E.Const(rows.pop()), body, 'serial', {}, nest.outer.span)]


def run(program: Program, ctx: PassContext) -> Program:
    vectoriser = _Vectoriser(program, ctx.sound)
    body = vectoriser.block(program.body)
    for message, where in dict.fromkeys(vectoriser.notes):
        ctx.warn(PASS, message, where, changes_meaning=True)
    if body == program.body:
        return program
    return replace(program, buffers={**program.buffers, **vectoriser.values.made}, body=body)
