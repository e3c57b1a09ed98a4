"""Which memory `alloc_shared` and `alloc_fragment` tiles live in, decided by the operations that use them (dialect 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..ir.nodes import Instr, Program, Region, walk
from ..ir.ops import OPS
from .context import PassContext

_FRAGMENT = ('L0A', 'L0B', 'L0C')
# Operands the compiler passes as regions of a transfer, not as pointers of an operation.
_TRANSFERS = ('copy', 'atomic_add')


@dataclass
class _Uses:
    cube: set[str] = field(default_factory=set)
    vector: set[str] = field(default_factory=set)
    copied: set[str] = field(default_factory=set)
    position: dict[str, int] = field(default_factory=dict)  # smallest operand position in a matrix operation
    pairs: list[tuple[str, str]] = field(default_factory=list)  # (source, destination) of every copy in program order


def _collect(program: Program) -> _Uses:
    uses = _Uses()
    for s in walk(program.body):
        if not isinstance(s, Instr):
            continue
        names = [program.root(a.buffer)[0].name for a in s.args if isinstance(a, Region)]
        if s.op in _TRANSFERS:
            uses.copied.update(names)
            if s.op == 'copy':
                uses.pairs.append((names[0], names[1]))
        elif OPS[s.op].pipe == 'M':
            for position, name in enumerate(names):
                uses.cube.add(name)
                uses.position[name] = min(position, uses.position.get(name, position))
        elif s.op == 'dump_tensor':
            uses.copied.update(names)
        else:
            uses.vector.update(names)
    return uses


def _shared(name: str, uses: _Uses, spaces: dict[str, str]) -> str:
    if name in uses.cube:
        return 'L1'
    if name in uses.vector:
        return 'UB'
    if name in uses.copied:
        feeds = any(a == name and spaces[b] in ('L0A', 'L0B') for a, b in uses.pairs)
        return 'L1' if feeds else 'UB'
    # Scalar and T.Parallel accesses do not count as uses: such a tile stays where shared tiles start out.
    return 'L1'


def run(program: Program, ctx: PassContext) -> Program:
    """Places every tile; views follow the tile they view."""
    if not any(b.space in ('SHARED', 'FRAGMENT') for b in program.buffers.values()):
        return program
    uses = _collect(program)
    spaces = {b.name: b.space for b in program.buffers.values()}
    for b in program.buffers.values():
        if b.alias_of is None and b.space == 'FRAGMENT':
            spaces[b.name] = _FRAGMENT[uses.position.get(b.name, 2)]
    for b in program.buffers.values():
        if b.alias_of is None and b.space == 'SHARED':
            spaces[b.name] = _shared(b.name, uses, spaces)
    for src, dst in uses.pairs:
        if spaces[src] == 'UB' and program.buffers[dst].space == 'SHARED' and dst not in uses.cube | uses.vector:
            spaces[dst] = 'UB'
    return program.with_buffers({n: replace(b, space=spaces[program.root(n)[0].name]) if b.space in ('SHARED', 'FRAGMENT') else b
                                 for n, b in program.buffers.items()})
