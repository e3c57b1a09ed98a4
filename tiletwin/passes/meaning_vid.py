"""`threads=2`: what halving every tile by its first dimension does to code that is not about rows."""

from __future__ import annotations

from typing import Iterator

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, Instr, Program, Region, Stmt, Store, bodies, walk
from ..ir.ops import OPS
from .context import PassContext
from .private import consumes
from .substitute import own_exprs
from .uses import reads, scalar_loads, touched, writes
from .vid_reduction import Halver

Note = tuple[str, Span | None]
OWN = 'threads=2 gives each vector core half of the rows of every tile'


class Reader:
    def __init__(self, program: Program):
        self.program = program
        self.halver = Halver(program)
        # Scratch is nobody's rows.
        self.tiles = {n for n in self.halver.reduced if program.buffers[n].origin != 'inject_tmp'}
        for b in program.buffers.values():
            if b.space == 'UB' and b.dims[0] == 1 and program.root(b.name)[0].name not in self.halver.skip:
                self.tiles.add(b.name)
        self.rows: dict[str, int] = {}  # variables of halved loops and their trips

    def height(self, name: str) -> int:
        return self.program.buffers[name].dims[0]

    def whole(self, r: Region) -> bool:
        return all(E.int_value(x) == 0 for x in r.starts) and tuple(map(E.int_value, r.extents)) == self.program.buffers[r.buffer].dims

    def by_row(self, first: E.Expr) -> bool:
        return isinstance(first, E.Var) and first.name in self.rows

    def split(self, name: str) -> bool:
        return name in self.tiles and self.height(name) > 1

    # -- statements ---------------------------------------------------------------------------------------------------
    def notes(self) -> Iterator[Note]:
        used = {n for s in walk(self.program.body) for n in touched(s)}
        for name in sorted(self.tiles & used):
            rows = self.height(name)
            if rows > 1 and rows % 2:
                yield (f'{name} has {rows} rows: {OWN}, so the last one is never touched; an even number of rows keeps them all',
                       self.program.buffers[name].span)
        yield from self.block(self.program.body)

    def block(self, body: tuple[Stmt, ...]) -> Iterator[Note]:
        for s in body:
            yield from self.scalars(s)
            if isinstance(s, For):
                yield from self.loop(s)
                continue
            if isinstance(s, Instr):
                yield from self.instruction(s)
            for b in bodies(s):
                yield from self.block(b)

    def loop(self, s: For) -> Iterator[Note]:
        trips = E.int_value(s.extent)
        if trips is None or not self.halver.by_rows(s):
            yield from self.block(s.body)
            return
        heights = {self.height(n) for n in self.walked(s)}
        if any(h != trips for h in heights) or E.int_value(s.start) != 0:
            yield (f'the loop over {s.var.name} makes {trips} trips over tiles of {", ".join(map(str, sorted(heights)))} rows: {OWN} and half of the trips, '
                   'counted from the first row of each half; a loop over all rows keeps its meaning', s.span)
        self.rows[s.var.name] = trips // 2
        yield from self.block(s.body)
        del self.rows[s.var.name]

    def walked(self, s: For) -> set[str]:
        found = set()
        for x in walk(s.body):
            regions = [(a.buffer, a.starts) for a in x.args if isinstance(a, Region)] if isinstance(x, Instr) else []
            regions += [(x.buffer, x.indices)] if isinstance(x, Store) else []
            regions += [(e.buffer, e.indices) for e in scalar_loads(x)]
            found |= {n for n, i in regions if self.split(n) and i[0] == s.var}
        return found

    def scalars(self, s: Stmt) -> Iterator[Note]:
        for x in scalar_loads(s):
            if self.split(x.buffer) and not self.by_row(x.indices[0]):
                yield (f'a scalar is read from {x.buffer}: {OWN}, and each core reads its own row {E.text(x.indices[0])}; a [1, N] tile, or a loop over all rows, '
                       'does not depend on the core', s.span)
        if isinstance(s, Store) and self.split(s.buffer) and not self.by_row(s.indices[0]):
            yield f'a scalar is stored to {s.buffer}: {OWN}, and both cores store to their own row {E.text(s.indices[0])}', s.span
        for name in self.rows:
            if any(name in E.free_vars(e) for e in self.values(s)):
                yield f'{name} is used as a number: {OWN}, and on both it counts from 0', s.span

    def values(self, s: Stmt) -> Iterator[E.Expr]:
        """Expressions of a statement in which a row number is not the row of a tile or tensor."""
        if isinstance(s, Instr):
            for a in s.args:
                if isinstance(a, Region):
                    if a.buffer in self.tiles or self.program.buffers[a.buffer].space != 'GM':
                        yield from (*a.starts[1:], *a.extents)
                elif isinstance(a, E.EXPR_TYPES):
                    yield from self.stripped(a)
        elif isinstance(s, Store):
            yield from (*s.indices[1 if s.buffer in self.tiles else 0:], *self.stripped(s.value))
        elif not isinstance(s, For):
            for e in own_exprs(s):
                yield from self.stripped(e)

    def stripped(self, e: E.Expr) -> Iterator[E.Expr]:
        """Loads of a tile by row number are no use as a number."""
        if isinstance(e, E.Load) and e.buffer in self.tiles:
            yield from e.indices[1:]
        elif E.children(e):
            for k in E.children(e):
                yield from self.stripped(k)
        else:
            yield e

    # -- instructions -------------------------------------------------------------------------------------------------
    def instruction(self, s: Instr) -> Iterator[Note]:
        if s.op == 'copy':
            yield from self.copy(s)
        elif s.op == 'atomic_add':
            name = s.args[1].buffer
            if self.split(name):
                yield (f'T.tile.atomic_add of {name} is not split: {OWN}, and both cores add theirs to the same rows of {s.args[0].buffer}; '
                       'T.copy to rows of each core, or a [1, N] tile of partial sums', s.span)
        elif OPS[s.op].pipe == 'V':
            yield from self.vector(s)

    def copy(self, s: Instr) -> Iterator[Note]:
        spaces = [self.program.buffers[r.buffer].space for r in s.args]
        if sorted(spaces) != ['GM', 'UB']:
            return
        ub, gm = s.args[spaces.index('UB')], s.args[spaces.index('GM')]
        dim = len(gm.starts) - len(ub.starts)
        if ub.buffer not in self.tiles or dim < 0:
            return
        if self.height(ub.buffer) == 1:
            yield from self.one_row(s, ub.buffer, gm, loads=spaces[0] == 'GM')
            return
        rows = E.int_value(ub.extents[0])
        if rows == 1:
            if not self.by_row(ub.starts[0]):
                yield f'row {E.text(ub.starts[0])} of {ub.buffer} is copied: {OWN}, and the second core copies a row {self.height(ub.buffer) // 2} further on', s.span
            elif any((i == dim) != (ub.starts[0].name in E.free_vars(x)) for i, x in enumerate(gm.starts)):
                yield self.wrong_dim(s, ub, gm, dim)
        elif rows != self.height(ub.buffer) or E.int_value(ub.starts[0]) != 0:
            yield f'part of {ub.buffer} is copied: {OWN}, and both copy half as many from the beginning of their own; copies of whole tiles keep their meaning', s.span
        elif E.int_value(gm.extents[dim]) != rows:
            yield self.wrong_dim(s, ub, gm, dim)

    def wrong_dim(self, s: Instr, ub: Region, gm: Region, dim: int) -> Note:
        return (f'the rows of {ub.buffer} are not dimension {dim} of {gm.buffer}: {OWN}, and the second core goes {self.height(ub.buffer) // 2} further in that '
                'dimension; a tensor whose last dimensions are those of the tile, or the (cid, vid) form', s.span)

    def one_row(self, s: Instr, name: str, gm: Region, loads: bool) -> Iterator[Note]:
        """A tile of one row is not halved, yet the second core moves the next row of the tensor."""
        others = [x for x in walk(self.program.body) if isinstance(x, Instr) and x.op not in ('copy', 'atomic_add')]
        asked = any(name in {r.buffer for r in (reads(x) if loads else writes(x))} for x in others)
        asked |= loads and any(e.buffer == name for x in walk(self.program.body) for e in scalar_loads(x))
        if asked:
            verb = 'loads' if loads else 'stores'
            yield (f'{name} has one row for both cores: the second core {verb} it one row further on in {gm.buffer}; '
                   'a tile with a row for each row of the block, or the (cid, vid) form', s.span)

    def vector(self, s: Instr) -> Iterator[Note]:
        for a in s.args:
            if not isinstance(a, Region) or not self.split(a.buffer) or self.by_row(a.starts[0]):
                continue
            if a.form == 'element' or not self.whole(a):
                yield f'part of {a.buffer} is used: {OWN}, and both work on that part of their own; whole tiles, or a loop over all rows, keep their meaning', s.span
        if s.op == 'reduce' and s.attrs['dim'] == 0 and self.split(s.args[1].buffer) and not self.added_up(s):
            yield (f'the columns of {s.args[1].buffer} are reduced: {OWN}, and each core gets the result of its own; '
                   'T.tile.atomic_add of the partial sums, or the (cid, vid) form with an exchange', s.span)
        if self.rows:
            own = consumes(s)
            for r in writes(s):
                if r.buffer in own and r.buffer in self.tiles and not self.by_row(r.starts[0]):
                    yield f'{r.buffer} is accumulated over rows: {OWN}, and each core accumulates its own', s.span

    def added_up(self, s: Instr) -> bool:
        """Both cores' sums are added to the tensor."""
        name = s.args[0].buffer
        users = [x for x in walk(self.program.body) if isinstance(x, Instr) and name in {r.buffer for r in reads(x)}]
        return s.attrs['kind'] == 'sum' and bool(users) and all(x.op == 'atomic_add' for x in users if x is not s)


def notes(program: Program, ctx: PassContext) -> Iterator[Note]:
    if program.launch.form == 'threads2' and any(b.space == 'UB' for b in program.buffers.values()):
        yield from Reader(program).notes()
