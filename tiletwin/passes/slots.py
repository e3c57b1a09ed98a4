"""Slots of multi-buffered tensors and tiles: a new leading dimension, and the slot in front of every access.

Code outside the pipelined loop keeps the first slot.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import Buffer, Instr, Program, Region, Stmt, Store, map_bodies
from ..ir.ops import OPS
from .substitute import map_own

# Scalar operations whose operand taken from a tile is found again in its slot; the others keep reading the first one.
SHIFTED = ('adds', 'muls')


class Slots:
    """`tiles` and `tensors` get `depth` slots. Accesses to any other tensor with "workspace" in its name are shifted all the same."""

    def __init__(self, program: Program, depth: int, tiles: set[str], tensors: set[str] = frozenset(), element_shift: bool = False):
        self.program, self.depth = program, depth
        self.tiles, self.grown = tiles, tiles | tensors
        self.element_shift = element_shift  # every scalar operand follows its slot
        self.shifted = {n for n, b in program.buffers.items() if tensors and b.space == 'GM' and 'workspace' in n} - self.grown

    def buffers(self) -> dict[str, Buffer]:
        out = dict(self.program.buffers)
        for name in self.grown:
            b = out[name]
            out[name] = replace(b, shape=(E.Const(self.depth), *b.shape), versions=self.depth if name in self.tiles else b.versions)
        return out

    # -- accesses -----------------------------------------------------------------------------------------------------
    def indices(self, name: str, starts: tuple[E.Expr, ...], slot: E.Expr) -> tuple[E.Expr, ...]:
        if name in self.grown:
            return (slot, *starts)
        if name in self.shifted:
            return (E.add(starts[0], E.mul(slot, self.program.buffers[name].shape[0])), *starts[1:])
        return starts

    def region(self, r: Region, slot: E.Expr) -> Region:
        extents = (E.Const(1), *r.extents) if r.buffer in self.grown else r.extents
        form = 'region' if r.buffer in self.grown and r.form == 'buffer' else r.form
        return Region(r.buffer, self.indices(r.buffer, r.starts, slot), extents, form)

    def load(self, e: E.Expr, slot: E.Expr) -> E.Expr:
        kids = tuple(self.load(k, slot) for k in E.children(e))
        e = E.rebuild(e, kids) if kids else e
        return E.Load(e.buffer, self.indices(e.buffer, e.indices, slot), e.dtype) if isinstance(e, E.Load) else e

    def own(self, s: Stmt, slot: E.Expr) -> Stmt:
        s = map_own(s, lambda e: self.load(e, slot))
        if isinstance(s, Instr):
            attrs = dict(s.attrs)
            for i, a in enumerate(s.args):
                if isinstance(a, Region) and a.buffer in self.grown and a.form == 'element' and OPS[s.op].signature[i:i + 1] == 'e':
                    size = E.product(self.program.buffers[a.buffer].shape)
                    follows = self.element_shift or s.op in SHIFTED
                    attrs['element'] = E.add(a.starts[0], E.mul(slot, size)) if follows else a.starts[0]
            return replace(s, args=tuple(self.region(a, slot) if isinstance(a, Region) else a for a in s.args), attrs=attrs)
        if isinstance(s, Store):
            return replace(s, indices=self.indices(s.buffer, s.indices, slot))
        return s

    def block(self, body: tuple[Stmt, ...], slot: E.Expr) -> tuple[Stmt, ...]:
        return tuple(map_bodies(self.own(s, slot), lambda b: self.block(b, slot)) for s in body)

    def outside(self, s: Stmt) -> Stmt:
        """A statement outside the loop, nested blocks excluded."""
        return self.own(s, E.Const(0))
