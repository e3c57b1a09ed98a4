"""Whether shifting the statements of a loop against each other keeps what the loop computes."""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import Break, For, Instr, Program, Stmt, Store, walk
from ..ir.ops import OPS
from .pipeline_plan import Step
from .private import consumes, overwritten
from .uses import scalar_loads, touched, writes


def footprint(program: Program, step: Step) -> tuple[set[str], set[str]]:
    """Storage a step reads and writes, views and scratch included."""
    got: set[str] = set()
    made: set[str] = set()
    for s in walk(step.unit):
        if isinstance(s, Instr):
            got |= consumes(s)
            made |= {r.buffer for r in writes(s)}
            named = {a.buffer for a in s.args if hasattr(a, 'buffer')}
            made |= touched(s) - named - got  # scratch
        else:
            got |= {x.buffer for x in scalar_loads(s)}
            if isinstance(s, Store):
                made.add(s.buffer)
    return {program.root(n)[0].name for n in got}, {program.root(n)[0].name for n in made}


def legal(program: Program, loop: For, guard: E.Expr | None, steps: list[Step], slots: dict[str, int]) -> bool:
    """`slots` are the buffers with one copy for each iteration in flight."""
    if any(isinstance(s, Break) or isinstance(s, Instr) and OPS[s.op].pipe == 'sync' for s in walk(loop.body)):
        return False
    last, trips = max(s.stage for s in steps), E.int_value(loop.extent)
    if any(0 < s.stage < last for s in steps) and (trips is None or trips < last):
        return False
    source: tuple[Stmt, ...] = tuple(x for s in sorted(steps, key=lambda s: s.index) for x in s.unit)
    viewed = {b.alias_of for b in program.buffers.values()}
    for name in slots:
        if name in viewed or program.buffers[name].alias_of is not None or guard is not None or not overwritten(program, source, name):
            return False
    prints = {s.index: footprint(program, s) for s in steps}
    asked = {x.buffer for x in E.loads(guard)} if guard is not None else set()
    for x in steps:
        if prints[x.index][1] & asked:
            return False
        for y in steps:
            for name in _conflict(prints[x.index], prints[y.index]):
                if x.index < y.index and not (x.stage, x.order) < (y.stage, y.order):
                    return False
                # The iteration that comes to the same storage next.
                if not (x.stage, x.order) < (y.stage + slots.get(name, 1), y.order):
                    return False
    return True


def _conflict(a: tuple[set[str], set[str]], b: tuple[set[str], set[str]]) -> set[str]:
    return a[1] & (b[0] | b[1]) | a[0] & b[1]
