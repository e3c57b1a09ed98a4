"""Buffers every iteration of a loop overwrites before it reads them: iterations may keep their own copy."""

from __future__ import annotations

from ..ir import expr as E
from ..ir.analysis import bounds
from ..ir.nodes import Instr, Program, Region, Stmt, bodies, walk
from ..ir.ops import OPS, letters
from .sound_overlap import Lets, ranges
from .uses import scalar_loads, touched, writes


def consumes(s: Instr) -> set[str]:
    """Buffers whose old content the instruction uses."""
    found = {a.buffer for a, c in zip(s.args, letters(OPS[s.op], len(s.args))) if isinstance(a, Region) and c != 'w'}
    if s.op in ('gemm_v0', 'mma') and s.args[3] == E.Const(True, 'bool'):
        found -= {s.args[2].buffer} - {r.buffer for r in s.args[:2]}
    if s.op == 'reduce' and not s.attrs['clear']:
        found.add(s.args[0].buffer)
    return found | {x.buffer for x in scalar_loads(s)}


def full(program: Program, r: Region) -> bool:
    """The region is the whole buffer."""
    b = program.buffers[r.buffer]
    return all(E.int_value(a) == 0 for a in r.starts) and E.product(r.extents) == E.product(b.shape)


def inside(program: Program, r: Region) -> bool:
    """The slice of the tensor ends in it, for every value of its variables."""
    env = ranges(program, lets := Lets(program))
    for size, at, extent in zip(program.buffers[r.buffer].shape, r.starts, r.extents):
        room = bounds(E.sub(size, E.add(lets(at), extent)), env)
        if room is None or room[0] < 0:
            return False
    return True


def unclipped(program: Program, s: Instr) -> bool:
    """A load into L1 that meets the end of its tensor leaves the rest of a slot as it was; loads into UB fill it up."""
    src, dst = (program.buffers[r.buffer] for r in s.args[:2])
    if s.op != 'copy' or src.space != 'GM' or dst.space != 'L1' or s.attrs.get('whole_tile'):
        return True
    return inside(program, s.args[0])


def overwritten(program: Program, body: tuple[Stmt, ...], name: str, any_extent: bool = False) -> bool:
    """The first statement that touches the buffer writes all of it and reads none. With `any_extent` what it writes is all there is."""
    for s in body:
        if any(name in touched(x) for b in bodies(s) for x in walk(b)):
            return False
        if name in touched(s):
            if not isinstance(s, Instr) or name in consumes(s):
                return False
            mine = [r for r in writes(s) if r.buffer == name]
            return bool(mine) and unclipped(program, s) and (any_extent or any(full(program, r) for r in mine))
    return False
