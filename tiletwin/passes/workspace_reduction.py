"""Copies between the two cores of a block go through global memory (dialect 8.9).

No path joins UB to L1 or L0C to UB. The producer's half of such a virtual copy becomes a store to a workspace tensor,
the consumer's half a load in front of the first instruction that reads the destination.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import Buffer, For, If, Instr, Program, Region, Scope, Stmt, While, map_bodies, walk, whole
from ..ir.ops import VIRTUAL_ROUTES, route
from .context import AUTO_CV_COMBINE, PassContext
from .refuse import CompilerRejects
from .uses import reads

PASS = 'workspace_reduction'
# Names of UB tiles the vid split left whole, as the split leaves them behind.
SKIPPED = 'buffers_skip_vid_reduction'


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace: per block `rows` x `cols`, of which each vector core moves `rows / shares`."""

    name: str
    kind: str  # 'ub_to_l1' or 'l0c_to_ub'
    rows: int
    cols: int
    shares: int  # vector cores that split a tile between them: 2 with threads=2
    skipped: bool  # an undivided UB tile
    destination: Region
    dtype: str
    span: Span | None


def virtual(program: Program, s: Stmt) -> str | None:
    """The virtual route of a copy, None for any other statement."""
    if isinstance(s, Instr) and s.op == 'copy':
        src, dst = (program.buffers[r.buffer].space for r in s.args[:2])
        name = route(src, dst, s.span)[0]
        return name if name in VIRTUAL_ROUTES else None
    return None


class Reducer:
    def __init__(self, program: Program, ctx: PassContext):
        self.program, self.ctx = program, ctx
        launch = program.launch
        self.cid, self.vid = E.Var(launch.cid.name, launch.cid.dtype), E.Var(launch.vid.name, launch.vid.dtype)
        self.shares = 2 if launch.form == 'threads2' else 1
        self.all: list[Workspace] = []
        self.of_source: dict[str, Workspace] = {}
        self.of_destination: dict[str, Workspace] = {}

    # -- collection ---------------------------------------------------------------------------------------------------
    def matrix(self, b: Buffer, span: Span | None) -> tuple[int, int]:
        dims = b.dims
        return (dims[-2], dims[-1]) if len(dims) > 1 else (1, dims[0])

    def describe(self, s: Instr, kind: str) -> Workspace:
        src, dst = (self.program.buffers[r.buffer] for r in s.args[:2])
        skipped = kind == 'ub_to_l1' and src.name in self.program.attrs.get(SKIPPED, ())
        if skipped:
            if len(dst.shape) != 2:
                raise CompilerRejects(f'{dst.name} has {len(dst.shape)} dimensions', where=s.span,
                                      why='a tile gathered row by row goes to a 2-D L1 tile',
                                      instead='a 2-D L1 tile')
            rows, cols = self.matrix(dst, s.span)
        else:
            rows, cols = self.matrix(src, s.span)
            if kind == 'ub_to_l1':
                rows *= self.shares
        destination = whole(dst) if skipped else s.args[1]
        return Workspace(self.name(s), kind, rows, cols, self.shares, skipped, destination, dst.dtype, s.span)

    def name(self, s: Instr) -> str:
        number = len(self.all) + 1
        name = f'workspace_{number}'
        if name in self.program.buffers:
            raise CompilerRejects(f'the parameter {name} has the name of an automatic workspace', where=s.span,
                                  why='copies between the cores are given workspaces of that name, and later passes tell buffers apart by name',
                                  instead=f'another name for {name}, for example workspace_{"abcdefgh"[number % 8]}')
        return name

    def collect(self) -> None:
        for s in walk(self.program.body):
            kind = virtual(self.program, s)
            if kind is not None:
                w = self.describe(s, kind)
                self.all.append(w)
                # The compiler's maps are keyed by buffer name: a later copy from or to the same buffer replaces the entry.
                self.of_source[s.args[0].buffer] = w
                self.of_destination[s.args[1].buffer] = w

    # -- regions ------------------------------------------------------------------------------------------------------
    def gm(self, w: Workspace, rows: int, first: E.Expr, split: bool) -> Region:
        """`rows` rows of this block's part from row `first`, or of this vector core's share of it."""
        at, column = first, E.Const(0)
        if split and w.shares == 2:
            if w.rows % 2 == 0:
                at = E.add(first, E.mul(self.vid, w.rows // 2))
            else:
                column = E.Bin('tdiv', E.mul(self.vid, w.rows * w.cols), E.Const(2))
        return Region(w.name, (self.cid, at, column), (E.Const(1), E.Const(rows), E.Const(w.cols)), 'region')

    def producer(self, s: Instr, w: Workspace) -> Instr:
        """The store that takes the place of the copy."""
        src = self.program.buffers[s.args[0].buffer]
        if w.kind == 'l0c_to_ub':
            target = self.gm(w, w.rows, E.Const(0), split=False)
        elif w.skipped:
            row = s.args[1].starts[-2] if len(s.args[1].starts) > 1 else E.Const(0)
            target = self.gm(w, self.matrix(src, s.span)[0], row, split=True)
        else:
            target = self.gm(w, self.matrix(src, s.span)[0], E.Const(0), split=True)
        source = self.tile(s.args[0], *self.matrix(src, s.span))
        return replace(s, args=(source, target), attrs={**s.attrs, 'whole_tile': True, 'pitch': E.Const(w.cols)}, origin=PASS)

    def tile(self, r: Region, rows: int, cols: int) -> Region:
        """`rows` x `cols` of an on-chip buffer from where the operand starts."""
        extents = tuple(E.Const(1) for _ in r.starts[:-2]) + ((E.Const(rows), E.Const(cols)) if len(r.starts) > 1 else (E.Const(cols),))
        return Region(r.buffer, r.starts, extents, r.form)

    def consumer(self, w: Workspace) -> Instr:
        """The load in front of the first reader."""
        if w.kind == 'ub_to_l1':
            source, rows = self.gm(w, w.rows, E.Const(0), split=False), w.rows
        else:
            rows = w.rows // w.shares
            source = self.gm(w, rows, E.Const(0), split=True)
        attrs = {'relu': False, 'transpose': False, 'pad': E.Const(0), 'whole_tile': True, 'pitch': E.Const(w.cols)}
        return Instr('copy', (source, self.tile(w.destination, rows, w.cols)), attrs, w.span, PASS)

    # -- rewriting ----------------------------------------------------------------------------------------------------
    def block(self, body: tuple[Stmt, ...], pending: dict[str, Workspace], around: tuple[Stmt, ...] = ()) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            kind = virtual(self.program, s)
            if kind is not None:
                # A virtual copy is no reader: only what it became is looked at, and that store is already in place.
                out.append(self.producer(s, self.of_source[s.args[0].buffer]))
                continue
            if isinstance(s, Instr):
                for name in dict.fromkeys(r.buffer for r in reads(s)):
                    if name in pending:
                        self.warn_deeper(pending[name], around)
                        out.append(self.consumer(pending.pop(name)))
            out.append(map_bodies(s, lambda b: self.block(b, pending, around + (s,))))
        return tuple(out)

    def warn_deeper(self, w: Workspace, around: tuple[Stmt, ...]) -> None:
        """The first reader stands in a loop or branch the copy does not stand in."""
        for s in around:
            around_copy = any(virtual(self.program, x) and x.span == w.span and x.args[1] == w.destination for x in walk((s,)))
            if isinstance(s, (For, While, If)) and not around_copy:
                where, what = 'loop', 'again in every iteration, over what earlier ones changed'
                if isinstance(s, If):
                    where, what = 'branch', 'only when its condition holds'
                self.ctx.warn(PASS, f'{w.destination.buffer} is loaded from {w.name} inside the {where} at {s.span}, '
                              f'in front of its first reader: {what}', w.span)
                return

    def at_definition(self, body: tuple[Stmt, ...], numbered: list[Workspace]) -> tuple[Stmt, ...]:
        """Both halves where the copy stands, every copy with a workspace of its own: the meaning of the source."""
        out: list[Stmt] = []
        for s in body:
            if virtual(self.program, s) is not None:
                w = numbered.pop(0)
                out += [self.producer(s, w), self.consumer(w)]
            else:
                out.append(map_bodies(s, lambda b: self.at_definition(b, numbered)))
        return tuple(out)

    def run(self) -> Program:
        self.collect()
        if not self.all:
            return self.program
        body = self.at_definition(self.program.body, list(self.all)) if self.ctx.sound else self.block(self.program.body, dict(self.of_destination))
        buffers = dict(self.program.buffers)
        for w in self.all:
            buffers[w.name] = Buffer(w.name, 'GM', (self.program.launch.blocks, E.Const(w.rows), E.Const(w.cols)), w.dtype, w.span, origin=PASS)
        names = tuple(w.name for w in self.all)
        return replace(self.program, params=self.program.params + names, buffers=buffers, body=body,
                       attrs={**self.program.attrs, 'auto_gm': self.program.attrs.get('auto_gm', ()) + names})


def by_hand(program: Program) -> bool:
    """Every virtual copy stands in a hand-written scope: the kernel means the on-chip bridge of its chip, not a workspace."""
    inside = {id(s) for scope in walk(program.body) if isinstance(scope, Scope) for s in walk(scope.body)}
    return all(id(s) in inside for s in walk(program.body) if virtual(program, s) is not None)


def run(program: Program, ctx: PassContext) -> Program:
    # The compiler has no bridges and goes through GM on every chip, without synchronisation; the chip model has them on a5 and refuses elsewhere.
    if not ctx.on(AUTO_CV_COMBINE) and by_hand(program):
        return program
    return Reducer(program, ctx).run()
