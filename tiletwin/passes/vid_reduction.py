"""`threads=2`: every UB tile is halved along dim 0 and each vector core works on its half (dialect 8.4).

What the compiler does not adapt is kept as it was and frozen into attributes of the instruction: `count` (elements the
instruction works on when that is no longer the size of its operand), `runs` (operand lengths no slice of the halved tile
has) and `shapes` (of a broadcast). They make an instruction reach past its tile exactly where the chip would.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ir import expr as E
from ..ir.nodes import Buffer, For, If, Instr, Let, Program, Region, Stmt, Store, While, map_bodies, walk
from ..ir.ops import OPS
from . import vid_sound
from .context import PassContext
from .normal_ops import broadcast_shapes, count
from .refuse import CompilerRejects

# Instructions whose trailing element count follows the halved tile; the others keep the count of the whole one.
ADAPTED = frozenset('add sub mul div max min bitwise_and bitwise_or adds subs muls divs maxs mins exp ln abs reciprocal sqrt rsqrt relu '
                    'bitwise_not leaky_relu axpy bitwise_lshift bitwise_rshift compare compare_scalar sin cos fill'.split())
# Instructions without a count of their own in the backend operation.
_UNCOUNTED = frozenset('pow bitwise_xor transpose broadcast reduce gatherb gather_mask sort32 merge_sort sort topk init_sort_buf cast round clamp '
                       'clamp_max clamp_min arith_progression'.split())


def half(n: int) -> int:
    return max(n // 2, 1)


def _skipped(program: Program) -> set[str]:
    """UB tiles of an indirect gather: a copy whose GM side is indexed by an element of UB."""
    found: set[str] = set()
    for s in walk(program.body):
        if isinstance(s, Instr) and s.op == 'copy':
            a, b = s.args
            for ub, other in ((a, b), (b, a)):
                if program.buffers[ub.buffer].space == 'UB' and program.buffers[other.buffer].space != 'UB' and any(
                        isinstance(i, E.Load) and program.buffers[i.buffer].space == 'UB' for i in other.starts):
                    found.add(program.root(ub.buffer)[0].name)
    return found


def contiguous(shape: tuple[int, ...], n: int) -> tuple[int, ...] | None:
    """Extents of the first `n` elements of a tile, when they are a slice of it."""
    extents: list[int] = []
    rest = n
    for size in reversed(shape):
        if rest <= size:
            return (1,) * (len(shape) - len(extents) - 1) + (rest, *reversed(extents))
        if rest % size:
            return None
        extents.append(size)
        rest //= size
    return None


class Halver:
    def __init__(self, program: Program):
        self.program, self.old = program, program.buffers
        self.vid = program.launch.vid
        self.skip = _skipped(program)
        self.buffers: dict[str, Buffer] = dict(program.buffers)
        for b in program.buffers.values():
            if b.space == 'UB' and program.root(b.name)[0].name not in self.skip:
                self.buffers[b.name] = replace(b, shape=(E.Const(half(b.dims[0])), *b.shape[1:]))
        self.reduced = {n for n, b in self.buffers.items() if b is not self.old[n]}
        self.halved_loops: dict[str, int] = {}

    # ---- loops over rows ---------------------------------------------------------------------------------------------

    def by_rows(self, s: For) -> bool:
        """Whether the loop variable walks over the rows of a halved tile."""
        name = s.var.name

        def first(buffer: str, indices: tuple[E.Expr, ...]) -> bool:
            return buffer in self.reduced and indices[0] == E.Var(name, s.var.dtype)

        for x in walk(s.body):
            if isinstance(x, Store) and first(x.buffer, x.indices):
                return True
            if any(first(e.buffer, e.indices) for e in _scalar_loads(x)):
                return True
            if isinstance(x, Instr):
                for a in x.args:
                    if not isinstance(a, Region) or a.buffer not in self.reduced:
                        continue
                    if x.op in ('copy', 'atomic_add'):
                        if first(a.buffer, a.starts):
                            return True
                    elif a.form != 'element' and self.row_pointer(a, s.var):
                        return True
        return False

    def row_pointer(self, r: Region, var: E.Var) -> bool:
        """offset / extent == loop variable."""
        extent = E.int_value(E.product(r.extents))
        offset = E.flat_offset(self.old[r.buffer].shape, r.starts)
        return extent is not None and offset == (E.mul(var, extent) if extent != 1 else var)

    # ---- statements --------------------------------------------------------------------------------------------------

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(self.statement(s) for s in body)

    def statement(self, s: Stmt) -> Stmt:
        if isinstance(s, For):
            n = E.int_value(s.extent)
            if n is not None and self.by_rows(s):
                self.halved_loops[s.var.name] = n // 2
                s = replace(s, extent=E.Const(n // 2))
            return replace(s, body=self.block(s.body))
        if isinstance(s, Instr):
            if s.op == 'copy':
                return self.copy(s)
            # Atomic adds keep their whole destination and get no offset.
            return self.atomic(s) if s.op == 'atomic_add' else self.instruction(s)
        return map_bodies(s, self.block)

    def cut(self, r: Region, dim: int, s: Instr) -> Region:
        """Half of one dimension of a region, unless it is a single element."""
        n = E.int_value(r.extents[dim])
        if n is None:
            raise CompilerRejects('[Error]<ascend_vid_reduction.cc>: Extent is not IntImm after simplify.', where=s.span,
                                  why=f'threads=2 halves {r.buffer}, so its slice needs a constant extent',
                                  instead='a slice of constant size, or the (cid, vid) kernel form')
        return r if n == 1 else replace(r, extents=(*r.extents[:dim], E.Const(n // 2), *r.extents[dim + 1:]))

    def copy(self, s: Instr) -> Instr:
        src, dst = s.args
        spaces = [self.old[r.buffer].space for r in (src, dst)]
        reduced = [r.buffer in self.reduced for r in (src, dst)]
        if 'GM' in spaces and 'UB' in spaces:
            at = spaces.index('UB')
            ub, gm = s.args[at], s.args[1 - at]
            gm, ub = self.gm_copy(s, gm, ub) if reduced[at] else (self.skipped_copy(gm), ub)
            return replace(s, args=(ub, gm) if at == 0 else (gm, ub))
        if all(reduced) or (any(reduced) and any(x in ('L1', 'L0C') for x in spaces)):
            return replace(s, args=tuple(self.cut(r, 0, s) if hit else r for r, hit in zip(s.args, reduced)))
        return s

    def gm_copy(self, s: Instr, gm: Region, ub: Region) -> tuple[Region, Region]:
        dim = len(gm.starts) - len(ub.starts)
        if dim < 0:
            raise CompilerRejects('ub dims may not be more than gm dims!', where=s.span,
                                  why='threads=2 looks for the rows of the tile in the same dimension of the tensor, counted from the right',
                                  instead='a tile of the rank of the tensor')
        h = self.buffers[ub.buffer].dims[0]
        starts = (*gm.starts[:dim], E.add(gm.starts[dim], E.mul(self.vid, h)), *gm.starts[dim + 1:])
        gm = self.cut(replace(gm, starts=starts, form='region'), dim, s)
        return gm, self.cut(ub, 0, s)

    def skipped_copy(self, gm: Region) -> Region:
        """Rows of a tile that is not halved, walked by a loop that is: each core takes its part of the tensor."""
        starts = list(gm.starts)
        for d, i in enumerate(gm.starts):
            if isinstance(i, E.Var) and i.name in self.halved_loops:
                trips, size = self.halved_loops[i.name], E.int_value(self.old[gm.buffer].shape[d])
                if size is not None and 2 * trips <= size:
                    starts[d] = E.add(i, E.mul(self.vid, trips))
        return replace(gm, starts=tuple(starts))

    def atomic(self, s: Instr) -> Instr:
        gm, ub = s.args
        if ub.buffer not in self.reduced or self.old[ub.buffer].space != 'UB':
            return s
        h = self.buffers[ub.buffer].dims[0]
        n = E.int_value(ub.extents[0])
        if n is not None and n > h:
            ub = replace(ub, extents=(E.Const(h), *ub.extents[1:]))
        return replace(s, args=(gm, ub))

    def instruction(self, s: Instr) -> Instr:
        if OPS[s.op].pipe != 'V':
            return self.pointers(s, {})
        before = E.int_value(count(s))
        hit = [a for a in s.args if isinstance(a, Region) and a.buffer in self.reduced]
        if not hit:
            return s
        attrs: dict[str, Any] = {}
        if s.op == 'reduce':
            m = E.int_value(E.as_expr(s.attrs['M']))
            if s.args[1].buffer in self.reduced and m is not None:
                attrs['M'] = half(m)
        if s.op == 'broadcast':
            attrs['shapes'] = broadcast_shapes(s)
        new = self.pointers(s, attrs)
        if s.op in _UNCOUNTED or before is None:
            return new
        first = hit[0]
        at_start = E.int_value(E.flat_offset(self.old[first.buffer].shape, first.starts)) == 0
        wanted = before // 2 if s.op in ADAPTED and (at_start or first.form == 'element') else before
        return new if E.int_value(count(new)) == wanted else replace(new, attrs={**new.attrs, 'count': wanted})

    def pointers(self, s: Instr, attrs: dict[str, Any]) -> Instr:
        """Operands from the start of a halved tile become half as long; operands inside it stay."""
        args, runs = list(s.args), {}
        for position, a in enumerate(s.args):
            if not isinstance(a, Region) or a.buffer not in self.reduced or a.form == 'element':
                continue
            n = E.int_value(E.product(a.extents))
            if n is None or E.int_value(E.flat_offset(self.old[a.buffer].shape, a.starts)) != 0:
                continue
            args[position], exact = self.shortened(a, half(n))
            if not exact:
                runs[position] = half(n)
        if runs:
            attrs = {**attrs, 'runs': runs}
        return replace(s, args=tuple(args), attrs={**s.attrs, **attrs})

    def shortened(self, a: Region, n: int) -> tuple[Region, bool]:
        b = self.buffers[a.buffer]
        if n == b.elements:
            return replace(a, extents=b.shape), True
        extents = contiguous(b.dims, n)
        if extents is None:
            return replace(a, extents=b.shape), False
        return replace(a, extents=tuple(map(E.Const, extents)), form='region'), True


def _scalar_loads(s: Stmt) -> list[E.Load]:
    match s:
        case Store(indices=i, value=v):
            found = [*i, v]
        case Let(value=v) | While(cond=v) | If(cond=v):
            found = [v]
        case For(start=a, extent=b):
            found = [a, b]
        case Instr(args=args):
            found = [e for a in args for e in ((*a.starts, *a.extents) if isinstance(a, Region) else (a,) if isinstance(a, E.EXPR_TYPES) else ())]
        case _:
            found = []
    return [x for e in found for x in E.loads(e)]


def run(program: Program, ctx: PassContext) -> Program:
    if program.launch.form != 'threads2' or not any(b.space == 'UB' for b in program.buffers.values()):
        return program
    if ctx.sound:
        return vid_sound.run(program, ctx)
    halver = Halver(program)
    body = halver.block(program.body)
    return replace(program, buffers=halver.buffers, body=body,
                   attrs={**program.attrs, 'buffers_skip_vid_reduction': tuple(sorted(halver.skip))} if halver.skip else program.attrs)
