"""`threads=2` in profile `sound`: a kernel is split only when every statement provably works on its own half of the rows.

A tile is split when each operation treats its first dimension as independent rows: whole tiles of equal height, row loops
that use the row number as first index, tensors whose rows correspond. Anything else leaves the kernel on one vector core.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import Buffer, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, map_bodies, walk
from ..ir.ops import OPS
from .context import PassContext
from .substitute import map_own, map_value

# Element by element, so that any split of the operands is a split of the work.
_ELEMENTWISE = frozenset('add sub mul div max min bitwise_and bitwise_or bitwise_xor pow adds subs muls divs maxs mins exp ln abs reciprocal sqrt '
                         'rsqrt relu bitwise_not sin cos sigmoid silu leaky_relu axpy mul_add_dst bitwise_lshift bitwise_rshift fill'.split())
_COUNTED = frozenset('cast round clamp clamp_max clamp_min'.split())  # the last argument is the element count


class Whole(Exception):
    """A statement whose work cannot be shared out by rows."""

    def __init__(self, reason: str, where: Span | None):
        super().__init__(reason)
        self.reason, self.where = reason, where


class _Splitter:
    def __init__(self, program: Program):
        self.program, self.vid = program, program.launch.vid
        self.tiles = {b.name: b for b in program.buffers.values() if b.space == 'UB' and b.origin != 'inject_tmp'}
        for b in self.tiles.values():
            if b.alias_of is not None or b.annotated:
                raise Whole(f'{b.name} shares the bytes of another tile', b.span)
        self.rows: dict[str, int] = {}  # row loops: variable -> half of the rows

    def height(self, name: str) -> int:
        return self.tiles[name].dims[0]

    def buffers(self) -> dict[str, Buffer]:
        return {n: replace(b, shape=(E.Const(b.dims[0] // 2), *b.shape[1:])) if n in self.tiles else b for n, b in self.program.buffers.items()}

    # ---- operands ----------------------------------------------------------------------------------------------------

    def whole(self, r: Region) -> bool:
        b = self.program.buffers[r.buffer]
        return all(E.int_value(s) == 0 for s in r.starts) and tuple(map(E.int_value, r.extents)) == b.dims

    def row(self, r: Region) -> str | None:
        """The row loop whose variable is the first index."""
        first = r.starts[0]
        one = r.form == 'element' or E.int_value(r.extents[0]) == 1
        return first.name if one and isinstance(first, E.Var) and first.name in self.rows else None

    def check_height(self, name: str, rows: int, where: Span | None) -> None:
        if self.height(name) != rows:
            raise Whole(f'{name} has {self.height(name)} rows next to {rows}', where)
        if rows % 2:
            raise Whole(f'{name} has an odd number of rows', where)

    def halved(self, r: Region) -> Region:
        return replace(r, extents=(E.Const(E.int_value(r.extents[0]) // 2), *r.extents[1:]))

    def shifted(self, e: E.Expr) -> E.Expr:
        """Row numbers count from this core's first row."""
        return E.substitute(e, {n: E.add(E.Var(n), E.mul(self.vid, h)) for n, h in self.rows.items()})

    def operand(self, a: Any) -> Any:
        """A row operand keeps its first index; everything else sees the row number of the whole tile."""
        if isinstance(a, Region) and a.buffer in self.tiles:
            return replace(a, starts=(a.starts[0], *map(self.loaded, a.starts[1:])), extents=tuple(map(self.loaded, a.extents)))
        return map_value(a, self.loaded)

    def loaded(self, e: E.Expr) -> E.Expr:
        for x in E.loads(e):
            if x.buffer in self.tiles:
                first = x.indices[0]
                if not (isinstance(first, E.Var) and first.name in self.rows):
                    raise Whole(f'a scalar is read from {x.buffer}', None)
        return self._rewritten(e)

    def _rewritten(self, e: E.Expr) -> E.Expr:
        if isinstance(e, E.Load) and e.buffer in self.tiles:
            return E.Load(e.buffer, (e.indices[0], *map(self._rewritten, e.indices[1:])), e.dtype)
        kids = E.children(e)
        return E.rebuild(e, tuple(map(self._rewritten, kids))) if kids else self.shifted(e)

    # ---- statements --------------------------------------------------------------------------------------------------

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out = []
        for s in body:
            try:
                out.append(self.statement(s))
            except Whole as found:
                raise found if found.where is not None else Whole(found.reason, getattr(s, 'span', None)) from None
        return tuple(out)

    def statement(self, s: Stmt) -> Stmt:
        match s:
            case For():
                return self.loop(s)
            case Instr():
                return self.instruction(s)
            case Store():
                b = self.program.buffers[s.buffer]
                if b.space == 'UB':
                    if self.row(Region(s.buffer, s.indices, tuple(E.Const(1) for _ in s.indices), 'element')) is None:
                        raise Whole(f'a scalar is stored to {s.buffer}', s.span)
                    return replace(s, indices=(s.indices[0], *map(self.loaded, s.indices[1:])), value=self.loaded(s.value))
                if b.space == 'VAR' and self.rows or b.space == 'GM' and not self.rows:
                    raise Whole(f'a scalar is stored to {s.buffer}', s.span)
                return map_own(s, self.loaded)
            case Let() | While() | If() | Scope():
                return map_bodies(map_own(s, self.loaded), self.block)
        return s

    def loop(self, s: For) -> Stmt:
        heights = {self.height(n) for n in self.walked(s)}
        if not heights:
            return map_bodies(map_own(s, self.loaded), self.block)
        trips = E.int_value(s.extent)
        if self.rows:
            raise Whole(f'the loop over {s.var.name} walks over rows inside a loop that does', s.span)
        if heights != {trips} or E.int_value(s.start) != 0 or trips % 2:
            raise Whole(f'the loop over {s.var.name} does not walk over all rows of its tiles', s.span)
        self.rows[s.var.name] = trips // 2
        body = self.block(s.body)
        del self.rows[s.var.name]
        return replace(s, extent=E.Const(trips // 2), body=body)

    def walked(self, s: For) -> set[str]:
        """Tiles whose first index is the loop variable somewhere in the body."""
        found: set[str] = set()

        def look(buffer: str, indices: tuple[E.Expr, ...]) -> None:
            if buffer in self.tiles and indices[0] == s.var:
                found.add(buffer)

        def inside(e: E.Expr) -> E.Expr:
            for x in E.loads(e):
                look(x.buffer, x.indices)
            return e

        for x in walk(s.body):
            map_own(x, inside)
            if isinstance(x, Store):
                look(x.buffer, x.indices)
            elif isinstance(x, Instr):
                for a in x.args:
                    if isinstance(a, Region):
                        look(a.buffer, a.starts)
        return found

    def instruction(self, s: Instr) -> Instr:
        mine = [a for a in s.args if isinstance(a, Region) and a.buffer in self.tiles]
        if self.rows and not (mine and all(self.row(a) is not None for a in mine)):
            # Each core makes half of the trips.
            raise Whole(f'{s.op} in a loop over rows does not work on one row', s.span)
        if not mine or self.rows:
            return replace(s, args=tuple(map(self.operand, s.args)))
        if not all(self.whole(a) for a in mine):
            raise Whole(f'part of {next(a.buffer for a in mine if not self.whole(a))} is used', s.span)
        rows = self.height(mine[0].buffer)
        for a in mine:
            self.check_height(a.buffer, rows, s.span)
        if s.op in ('copy', 'atomic_add'):
            return replace(s, args=tuple(self.halved(a) if a in mine else self.moved(a, mine[0], s) for a in s.args))
        self.check_rows(s, rows)
        args = [self.halved(a) if isinstance(a, Region) else self.operand(a) for a in s.args]
        attrs = dict(s.attrs)
        if s.op in _COUNTED:
            args[-1] = E.Const(E.int_value(args[-1]) // 2)
        if s.op == 'reduce':
            attrs['M'] = rows // 2
        return replace(s, args=tuple(args), attrs=attrs)

    def check_rows(self, s: Instr, rows: int) -> None:
        """Whether an instruction on whole tiles works on each row by itself."""
        ok = s.op in _ELEMENTWISE
        if s.op in _COUNTED:
            ok = E.int_value(E.as_expr(s.args[-1])) == self.tiles[s.args[0].buffer].elements
        elif s.op == 'reduce':
            ok = s.attrs['dim'] == -1 and len(s.args[1].extents) == 2 and s.attrs.get('real_shape') is None
        elif s.op == 'broadcast':
            ok = len(s.args[0].extents) == 2 and s.attrs['axis'] == 1
        elif s.op in ('compare', 'compare_scalar', 'select'):
            mask = self.tiles[s.args[1 if s.op == 'select' else 0].buffer]
            ok = mask.elements * 8 == self.tiles[s.args[2 if s.op == 'select' else 1].buffer].elements and 'VSEL_CMPMASK_SPR' not in s.args
        if not ok or OPS[s.op].pipe != 'V':
            raise Whole(f'{s.op} does not work row by row', s.span)

    def moved(self, r: Region, tile: Region, s: Instr) -> Region:
        """The other side of a transfer: rows of a tensor, or a whole tile of the cube core."""
        b = self.program.buffers[r.buffer]
        if b.space != 'GM':
            if not self.whole(r) or b.dims[-2:] != self.tiles[tile.buffer].dims[-2:] or len(tile.extents) < 2:
                raise Whole(f'part of {r.buffer} is copied', s.span)
            return r
        dim = len(r.starts) - len(tile.starts)
        if dim < 0 or tuple(map(E.int_value, r.extents[dim:])) != self.tiles[tile.buffer].dims:
            raise Whole(f'the rows of {tile.buffer} are not consecutive rows of {r.buffer}', s.span)
        starts = tuple(map(self.loaded, r.starts))
        half = E.int_value(tile.extents[0]) // 2
        return replace(r, starts=(*starts[:dim], E.add(starts[dim], E.mul(self.vid, half)), *starts[dim + 1:]),
                       extents=(*r.extents[:dim], E.Const(half), *r.extents[dim + 1:]), form='region')


def run(program: Program, ctx: PassContext) -> Program:
    try:
        splitter = _Splitter(program)
        body = splitter.block(program.body)
    except Whole as found:
        ctx.warn('vid_reduction', f'one vector core does all the work: {found.reason}', found.where)
        return replace(program, launch=replace(program.launch, form='threads1'))
    return replace(program, buffers=splitter.buffers(), body=body)
