"""Addresses a right planner would give: live buffers never share a byte, memory is reused only when it has to be.

A buffer is live from its first to its last touch, and over a whole loop when a value may cross the back edge: when it is touched
inside and outside the loop, or when an iteration does not begin by overwriting all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterable, Iterator

from ..ir import expr as E
from ..ir.nodes import Buffer, For, Instr, Program, Region, Scope, Stmt, Store, While
from ..ir.ops import OPS, letters
from ..machine.chip import capacity_error
from .addresses import align, footprint
from .context import PassContext
from .liveness import Point, lifetimes, points
from .sound_access import ELEMENTWISE
from .sync_operands import scratch, written_position

ALWAYS = (-1, 1 << 30)


@dataclass(frozen=True, slots=True)
class Live:
    """A range of bytes somebody needs from one touching statement to another."""

    name: str
    size: int
    start: int
    end: int

    def meets(self, other: 'Live') -> bool:
        return self.start <= other.end and other.start <= self.end


def plan(program: Program, ctx: PassContext, reuse: bool = True) -> Program:
    """`reuse` off gives every buffer bytes of its own."""
    buffers = dict(program.buffers)
    spans = intervals(program)
    for space, memory in ctx.chip.memories.items():
        mine = [Live(b.name, align(_size(b), memory.align), *spans[b.name]) for b in program.on_chip(space) if b.name in spans]
        if not mine:
            continue
        fixed = [(v, buffers[v.name].address) for v in mine if buffers[v.name].annotated] + [(v, 0) for v in hidden(program, space)]
        free = [v for v in mine if not buffers[v.name].annotated]
        found = pack(free, fixed, memory.bytes, memory.align, reuse)
        for name, address in found.items():
            buffers[name] = replace(buffers[name], address=address)
        if any(buffers[v.name].address + _size(buffers[v.name]) > memory.bytes for v in mine):
            live = lifetimes(program)
            raise capacity_error(ctx.chip, space, [(v.name, buffers[v.name].address, v.size, buffers[v.name].span, live[v.name]) for v in mine])
    return program.with_buffers(buffers)


def pack(free: list[Live], fixed: list[tuple[Live, int]], limit: int, to: int, reuse: bool) -> dict[str, int]:
    """Addresses of the first strategy that fits, else of the one that comes closest."""
    best: dict[str, int] = {}
    reach = None
    for order, fresh in _orders(free, reuse):
        found = _greedy(order, fixed, to, limit if fresh else 0)
        top = max((found[v.name] + v.size for v in order), default=0)
        if top <= limit:
            return found
        if reach is None or top < reach:
            best, reach = found, top
    return best


def _orders(free: list[Live], reuse: bool) -> Iterator[tuple[list[Live], bool]]:
    """Orders of placing, and whether memory nobody has used yet comes first: reuse makes buffers wait for one another."""
    by_start = sorted(free, key=lambda v: v.start)
    yield [replace(v, start=ALWAYS[0], end=ALWAYS[1]) for v in by_start], False
    if reuse:
        for key in (lambda v: v.start, lambda v: v.start - v.end, lambda v: -v.size, lambda v: -v.size * (v.end - v.start + 1)):
            yield sorted(by_start, key=key), True
        for key in (lambda v: v.start, lambda v: -v.size, lambda v: -v.size * (v.end - v.start + 1), lambda v: v.start - v.end):
            yield sorted(by_start, key=key), False


def _greedy(order: Iterable[Live], fixed: list[tuple[Live, int]], to: int, fresh: int) -> dict[str, int]:
    """Each buffer behind all others while that stays below `fresh`, then at the lowest address no buffer of its time covers."""
    placed = list(fixed)
    out: dict[str, int] = {}
    for v in order:
        top = align(max((a + w.size for w, a in placed), default=0), to)
        others = placed if top + v.size <= fresh else [(w, a) for w, a in placed if w.meets(v)]
        taken = sorted((a, a + w.size) for w, a in others)
        address = 0
        for lo, hi in taken:
            if address + v.size <= lo:
                break
            address = max(address, align(hi, to))
        out[v.name] = address
        placed.append((v, address))
    return out


def _size(b: Buffer) -> int:
    """Bytes with the column panels an L1 tile is stored in."""
    if b.space == 'L1' and len(b.dims) > 1:
        panels = -(-b.dims[-1] * b.es // 32)
        return max(footprint(b), b.elements // (b.dims[-1] * b.dims[-2]) * panels * b.dims[-2] * 32)
    return footprint(b)


def hidden(program: Program, space: str) -> list[Live]:
    """What gemm_v0 uses of L0A and L0B without an allocation: both from offset 0, twice 128 columns deep."""
    out = []
    for p in points(program):
        s = p.stmt
        if isinstance(s, Instr) and s.op == 'gemm_v0' and space in ('L0A', 'L0B'):
            rows, k = s.attrs['M' if space == 'L0A' else 'N'], s.attrs['K']
            out.append(Live('gemm_v0', rows * (k if k <= 128 else 256) * program.buffers[s.args[0].buffer].es, p.index, p.index))
    return out


# -- life -------------------------------------------------------------------------------------------------------------------------
def intervals(program: Program) -> dict[str, tuple[int, int]]:
    """First and last touching statement at which each allocation holds something, by first touch."""
    seq = points(program)
    loops: dict[int, tuple[int, int]] = {}
    for p in seq:
        for s in p.nest:
            if isinstance(s, (For, While)):
                loops[id(s)] = (loops.get(id(s), (p.index,))[0], p.index)
    touches: dict[str, list[Point]] = {}
    for p in seq:
        for name in p.names:
            touches.setdefault(name, []).append(p)
    out = {}
    for name, mine in touches.items():
        start, end = mine[0].index, mine[-1].index
        for loop in {id(s): s for p in mine for s in p.nest if isinstance(s, (For, While))}.values():
            inside = [p for p in mine if any(s is loop for s in p.nest)]
            if len(inside) < len(mine) or not overwrites(program, name, inside[0], loop):
                start, end = min(start, loops[id(loop)][0]), max(end, loops[id(loop)][1])
        out[name] = (start, end)
    return out


def overwrites(program: Program, name: str, p: Point, loop: Stmt) -> bool:
    """Does every iteration of `loop` begin with `p` writing all of the buffer, reading none of it?"""
    depth = next(i for i, s in enumerate(p.nest) if s is loop)
    between = p.nest[depth + 1:]
    if not all(isinstance(s, Scope) or isinstance(s, For) and (E.int_value(s.extent) or 0) > 0 for s in between):
        return False
    s = p.stmt
    if not isinstance(s, Instr) or isinstance(s, Store):
        return False
    mine = [i for i, a in enumerate(s.args) if isinstance(a, Region) and program.root(a.buffer)[0].name == name]
    if not mine:
        return name in scratch(s)
    target = written_position(s)
    return mine == [target] and name not in scratch(s) and _all_of(program, s.args[target]) and _writes_all(program, s, between)


def _all_of(program: Program, r: Region) -> bool:
    b = program.buffers[r.buffer]
    return b.alias_of is None and all(E.int_value(x) == 0 for x in r.starts) and all(x == d for x, d in zip(r.extents, b.shape))


def _writes_all(program: Program, s: Instr, between: tuple[Stmt, ...]) -> bool:
    if s.op == 'copy':
        return True
    if s.op in ('gemm_v0', 'mma'):
        return E.int_value(s.args[3]) == 1 or _first_of(s.args[3], between)
    if s.op == 'reduce':
        m, n = s.attrs['M'], s.attrs['N']
        return bool(s.attrs['clear']) and (m if s.attrs['dim'] == -1 else n) == program.buffers[s.args[0].buffer].elements
    return (s.op in ELEMENTWISE or s.op in ('broadcast', 'createvecindex')) and letters(OPS[s.op], len(s.args))[0] == 'w' and 'count' not in s.attrs


def _first_of(init: E.Expr, between: tuple[Stmt, ...]) -> bool:
    """`init` holds in the first iteration of a loop that lies wholly inside."""
    for s in between:
        if isinstance(s, For) and init in (E.Bin('==', s.var, s.start, 'bool'), E.Bin('==', s.start, s.var, 'bool')):
            return all(x is s or isinstance(x, Scope) for x in between)
    return False
