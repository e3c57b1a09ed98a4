"""Copies L1 -> L0 that need not be carried out: the matrix instruction reads the L1 tile itself.

Allowed for an L0 buffer when every `mma` that reads it follows, in the same block of statements, a copy of the same
slice, and nothing in between writes the L1 tile. Then no one can see the difference.
"""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import Instr, Program, Region, Stmt, bodies, walk
from .memory import Plan


def forwarded(program: Program, layout: Plan) -> tuple[dict[tuple[int, int], Instr], frozenset[str]]:
    """({(id of mma, operand position): the copy that filled it}, L0 buffers that are never filled)."""
    sources: dict[tuple[int, int], Instr] = {}
    kept: set[str] = set()
    filled: set[str] = set()
    arenas = [p.arena for p in layout.places.values()]
    for b in program.buffers.values():
        if b.space in ('L0A', 'L0B') and arenas.count(layout.places[b.name].arena) > 1:
            kept.add(b.name)
    _block(program, layout, program.body, sources, kept, filled)
    # a statement object met twice (an unrolled body) would have two different sources
    seen: set[int] = set()
    for s in walk(program.body):
        if isinstance(s, Instr) and s.op == 'mma':
            if id(s) in seen:
                kept |= {a.buffer for a in s.args[:2]}
            seen.add(id(s))
    free = frozenset(filled - kept)
    return {k: c for k, c in sources.items() if c.args[1].buffer in free}, free


def _block(program: Program, layout: Plan, body: tuple[Stmt, ...], sources: dict, kept: set[str], filled: set[str]) -> None:
    live: dict[tuple, Instr] = {}  # (buffer, starts) -> copy still standing
    for s in body:
        if not isinstance(s, Instr):
            live.clear()
            for inner in bodies(s):
                _block(program, layout, inner, sources, kept, filled)
            continue
        if s.op == 'wait_cross_flag':
            live.clear()  # meanwhile a vector core may write the L1 tile
        for i, a in enumerate(s.args):
            if not isinstance(a, Region):
                continue
            space = program.buffers[a.buffer].space
            if space in ('L0A', 'L0B'):
                if s.op == 'mma' and i < 2:
                    copy = live.get((a.buffer, a.starts))
                    if copy is None:
                        kept.add(a.buffer)
                    else:
                        sources[id(s), i] = copy
                elif not (s.op == 'copy' and i == 1):
                    kept.add(a.buffer)
            elif space == 'L1' and s.op == 'copy' and i == 1:
                arena = layout.places[a.buffer].arena
                live = {k: c for k, c in live.items() if layout.places[c.args[0].buffer].arena != arena}
        if s.op == 'copy':
            src, dst = s.args
            space = program.buffers[dst.buffer].space
            if space in ('L0A', 'L0B'):
                live = {k: c for k, c in live.items() if k[0] != dst.buffer or k[1] != dst.starts and _apart(k[1], dst.starts)}
                live[dst.buffer, dst.starts] = s
                filled.add(dst.buffer)
                if any(E.loads(e) for e in src.starts + dst.starts) or program.buffers[src.buffer].dtype != program.buffers[dst.buffer].dtype:
                    kept.add(dst.buffer)


def _apart(a: tuple, b: tuple) -> bool:
    """Different constant slots of one buffer."""
    x, y = E.int_value(a[0]), E.int_value(b[0])
    return len(a) > 2 and x is not None and y is not None and x != y
