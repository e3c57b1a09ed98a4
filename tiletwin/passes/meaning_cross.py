"""Copies between the cores and loops pipelined across them: where the real compiler changes what they compute."""

from __future__ import annotations

from typing import Iterator

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Program, Region, Stmt, Store, While, bodies, walk
from .context import PassContext
from .cross_core_pipeline import SHIFTED, Flattener, Pipeliner, candidates, cores_inside, stages, writes_gm
from .private import consumes
from .uses import reads, touched, writes
from .workspace_reduction import virtual

Note = tuple[str, Span | None]


def _path(body: tuple[Stmt, ...], wanted: Stmt) -> tuple[Stmt, ...] | None:
    """The statements around one, outermost first."""
    for s in body:
        if s is wanted:
            return ()
        for b in bodies(s):
            inner = _path(b, wanted)
            if inner is not None:
                return (s, *inner)
    return None


def _writes_to(s: Stmt, name: str) -> bool:
    return isinstance(s, Store) and s.buffer == name or isinstance(s, Instr) and name in {r.buffer for r in writes(s)}


# -- the load in front of the first reader ------------------------------------------------------------------------------
def reloads(program: Program, ctx: PassContext) -> Iterator[Note]:
    """Copies to the other core whose second half, put in front of the first reader, overwrites or misses values."""
    order = list(walk(program.body))
    last = {s.args[1].buffer: s for s in order if virtual(program, s) is not None}
    for name, copy in last.items():
        first = next((s for s in order if isinstance(s, Instr) and virtual(program, s) is None and name in {r.buffer for r in reads(s)}), None)
        if first is None:
            continue
        at, here = order.index(first), order.index(copy)
        source, around = _path(program.body, copy) or (), _path(program.body, first) or ()
        deeper = [s for s in around if not any(s is x for x in source)]
        if at < here:
            # Without another writer the source itself reads what nothing has written.
            if any(_writes_to(s, name) and virtual(program, s) is None for s in order):
                yield (f'{name} is loaded in front of {first.op} ({first.span}), which stands before the copy to it, and nowhere behind the copy; '
                       'a tile of its own for what is copied from the other core', copy.span)
            continue
        yield from _lost(program, name, copy, first, order[here + 1:at])
        loop = next((s for s in deeper if isinstance(s, (For, While)) and not (isinstance(s, For) and E.int_value(s.extent) in (0, 1))), None)
        if loop is not None and any(_writes_to(s, name) for s in walk(loop.body)):
            yield (f'{name} is loaded again in every iteration of the loop at {loop.span}, in front of {first.op} ({first.span}): what earlier iterations '
                   f'changed in it is lost; an operation on the whole of {name} right behind the copy, in front of the loop, takes the load there', first.span)
        branch = next((s for s in deeper if isinstance(s, If)), None)
        if branch is not None and any(isinstance(s, (For, While)) for s in source) and _read_elsewhere(order, branch, first, name):
            yield (f'{name} is loaded inside the branch at {branch.span} only: when its condition does not hold, later readers see what an earlier iteration left; '
                   f'an operation on the whole of {name} right behind the copy takes the load there', first.span)


def _lost(program: Program, name: str, copy: Stmt, first: Stmt, between: list[Stmt]) -> Iterator[Note]:
    """Values written to the tile after the copy and before the load."""
    for s in between:
        if _writes_to(s, name) and virtual(program, s) is None:
            yield (f'{name} is loaded in front of {first.op} ({first.span}), over what is written to it here; '
                   f'an operation that reads the whole of {name} right behind the copy takes the load there', s.span)
            return


def _read_elsewhere(order: list[Stmt], branch: If, first: Stmt, name: str) -> bool:
    arm = branch.then if any(s is first for s in walk(branch.then)) else branch.els
    inside = {id(s) for s in walk(arm)}
    return any(id(s) not in inside and isinstance(s, Instr) and name in {r.buffer for r in reads(s)} for s in order)


# -- loops over both cores ----------------------------------------------------------------------------------------------
def pipelined(program: Program, ctx: PassContext) -> Iterator[Note]:
    """What cutting the loop into stages loses."""
    loops = candidates(program)
    if len(loops) != 1 or not writes_gm(program, loops[0].body):
        return
    loop = loops[0]
    depth, trips = int(loop.annotations['num_stages']), E.int_value(loop.extent)
    if depth > 1:
        if trips is None:
            yield (f'the number of trips of the pipelined loop is not constant: the compiler multiplies it by num_stages={depth} where it should divide, and runs '
                   'iterations beyond the end; a constant number of trips, or num_stages=0', loop.span)
        elif trips % depth:
            yield (f'{trips} trips in groups of num_stages={depth}: the last {trips % depth} '
                   f'{"is" if trips % depth == 1 else "are"} dropped; a multiple of num_stages, or num_stages=0', loop.span)
        if E.int_value(loop.start) != 0:
            yield (f'the pipelined loop starts at {E.text(loop.start)}: the compiler multiplies the start by num_stages={depth} as well; '
                   'a loop from 0 with the offset added inside', loop.span)
    yield from _conditions(program, loop)
    if depth > 1 and trips != 0:
        yield from _carried(program, loop, ctx)


def _conditions(program: Program, loop: For) -> Iterator[Note]:
    for s in loop.body:
        if isinstance(s, If) and not _harmless(program, loop, s):
            both = len(cores_inside(program, s.then + s.els)) > 1
            what = 'its statements run in every iteration' if both else 'its statements run in every iteration, and once more when the condition holds'
            yield f'a condition at the top of the pipelined loop is lost: {what}; num_stages=0, or a loop without conditions', s.span


def _harmless(program: Program, loop: For, branch: If) -> bool:
    """Loads that bring the same values however often they run."""
    if branch.els or not all(isinstance(s, Instr) and s.op == 'copy' and program.buffers[s.args[0].buffer].space == 'GM' for s in branch.then):
        return False
    inside = {id(s) for s in branch.then}
    for s in branch.then:
        name = s.args[1].buffer
        if any(loop.var.name in E.free_vars(e) or E.loads(e) for r in s.args for e in r.starts):
            return False
        if any(_writes_to(x, n) and id(x) not in inside for x in walk(program.body) for n in (name, s.args[0].buffer)):
            return False
    return True


def _carried(program: Program, loop: For, ctx: PassContext) -> Iterator[Note]:
    """Tiles one stage leaves for another without a slot for each iteration, and slots the compiler forgets."""
    flat = Flattener(program)
    flat.block(loop.body)
    parts = stages(flat.units)
    slots = Pipeliner(program, ctx, loop).versioned(parts)
    bodies_ = [body for _, body in parts]
    for name, b in program.buffers.items():
        if b.space in ('GM', 'VAR') or name in slots:
            continue
        made = [i for i, body in enumerate(bodies_) if any(_writes_to(s, name) for s in walk(body))]
        for i, body in enumerate(bodies_):
            first = next((s for s in walk(body) if name in touched(s)), None)
            if isinstance(first, Instr) and name in consumes(first) and any(m != i for m in made):
                yield (f'{name} goes from one stage of the pipelined loop to another and has one copy: the compiler runs {loop.annotations["num_stages"]} iterations '
                       'of a stage in a row, and only the last value is left; a tile that nothing outside the loop uses gets a copy for each', first.span)
                break
    for s in walk(loop.body):
        if isinstance(s, Instr) and s.op not in SHIFTED:
            for a in s.args:
                if isinstance(a, Region) and a.form == 'element' and a.buffer in slots:
                    yield (f'{s.op} takes its scalar from the first copy of {a.buffer} in every iteration: the compiler finds the right one for '
                           f'{" and ".join(SHIFTED)} only', s.span)

