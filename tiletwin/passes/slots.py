"""Slots of multi-buffered tensors and tiles: a new leading dimension, and the slot in front of every access.

Code outside the pipelined loop keeps the first slot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

from ..ir import expr as E
from ..ir.nodes import Buffer, Instr, Program, Region, Stmt, Store, map_bodies
from ..ir.ops import OPS
from .substitute import map_own

Slot = Callable[[str], E.Expr]  # buffer name -> the slot an access goes to


class Slots:
    """Buffers with the number of slots each gets.

    `follows` says which vector operations find a scalar operand taken from a tile in its slot; the others read the first one.
    Accesses to tensors in `strayed` move by whole tensors without the tensor having grown.
    """

    def __init__(self, program: Program, depths: dict[str, int], follows: Callable[[str], bool], strayed: set[str] = frozenset()):
        self.program, self.depths, self.follows, self.strayed = program, depths, follows, strayed

    def buffers(self) -> dict[str, Buffer]:
        out = dict(self.program.buffers)
        for name, depth in self.depths.items():
            b = out[name]
            out[name] = replace(b, shape=(E.Const(depth), *b.shape), versions=b.versions if b.space == 'GM' else depth)
        return out

    # -- accesses -----------------------------------------------------------------------------------------------------
    def indices(self, name: str, starts: tuple[E.Expr, ...], slot: Slot) -> tuple[E.Expr, ...]:
        if name in self.depths:
            return (slot(name), *starts)
        if name in self.strayed:
            return (E.add(starts[0], E.mul(slot(name), self.program.buffers[name].shape[0])), *starts[1:])
        return starts

    def region(self, r: Region, slot: Slot) -> Region:
        extents = (E.Const(1), *r.extents) if r.buffer in self.depths else r.extents
        form = 'region' if r.buffer in self.depths and r.form == 'buffer' else r.form
        return Region(r.buffer, self.indices(r.buffer, r.starts, slot), extents, form)

    def load(self, e: E.Expr, slot: Slot) -> E.Expr:
        kids = tuple(self.load(k, slot) for k in E.children(e))
        e = E.rebuild(e, kids) if kids else e
        return E.Load(e.buffer, self.indices(e.buffer, e.indices, slot), e.dtype) if isinstance(e, E.Load) else e

    def own(self, s: Stmt, slot: Slot) -> Stmt:
        s = map_own(s, lambda e: self.load(e, slot))
        if isinstance(s, Instr):
            attrs = dict(s.attrs)
            for i, a in enumerate(s.args):
                if isinstance(a, Region) and a.buffer in self.depths and a.form == 'element' and OPS[s.op].signature[i:i + 1] == 'e':
                    size = E.product(self.program.buffers[a.buffer].shape)
                    attrs['element'] = E.add(a.starts[0], E.mul(slot(a.buffer), size)) if self.follows(s.op) else a.starts[0]
            return replace(s, args=tuple(self.region(a, slot) if isinstance(a, Region) else a for a in s.args), attrs=attrs)
        if isinstance(s, Store):
            return replace(s, indices=self.indices(s.buffer, s.indices, slot))
        return s

    def block(self, body: tuple[Stmt, ...], slot: Slot) -> tuple[Stmt, ...]:
        return tuple(map_bodies(self.own(s, slot), lambda b: self.block(b, slot)) for s in body)

    def outside(self, s: Stmt) -> Stmt:
        """A statement outside the loop, nested blocks excluded."""
        return self.own(s, lambda name: E.Const(0))
