"""One body for both cores becomes a cube copy and a vector copy (dialect 8.11).

Each copy keeps what its core executes. Statements that belong to nobody by themselves, such as flags and barriers, follow
the last statement that did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable

from ..ir import expr as E
from ..ir.nodes import CUBE_SPACES, Break, For, If, Instr, Let, Program, Scope, Stmt, Store, While, walk
from . import cross_core_sync
from .context import AUTO_CV_COMBINE, AUTO_CV_SYNC, PassContext
from .refuse import CompilerRejects
from .substitute import Names, own_exprs, renewed
from .uses import core_of, scalar_loads

PASS = 'combine_cv'


class Filter:
    """The statements of one core, by the compiler's tests."""

    def __init__(self, program: Program, core: str):
        self.program, self.core = program, core
        self.following = False  # whether an unclassified statement is kept

    def keeps(self, s: Instr) -> bool:
        if s.op == 'printf':
            return True
        if not s.args:
            raise CompilerRejects('IndexError: indexing 0 on an array of size 0', where=s.span,
                                  why=f'the split of the code by core looks at the first argument of every '
                                  f'operation, and {s.op} has none', instead='explicit scopes without automatic CV combine')
        core = core_of(self.program, s)
        if core is not None:
            self.following = core == self.core
        return self.following

    def keeps_store(self, s: Store) -> bool:
        on_ub = self.program.buffers[s.buffer].space == 'UB'
        return on_ub == (self.core == 'V')

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            match s:
                case Instr():
                    if self.keeps(s):
                        out.append(s)
                case Store():
                    if self.keeps_store(s):
                        out.append(s)
                case For() | While():
                    inner = self.block(s.body)
                    if inner:
                        out.append(replace(s, body=inner))
                case If():
                    then, els = self.block(s.then), self.block(s.els)
                    if then or els:
                        out.append(replace(s, then=then, els=els))
                case Scope():
                    inner = self.block(s.body)
                    if s.core == self.core:
                        out += inner
                case Let():
                    out.append(s)
                case Break():
                    raise CompilerRejects('IndexError: indexing 0 on an array of size 0', where=s.span,
                                          why='the split of the code by core looks at the first argument of '
                                          'every operation, and loop_break has none', instead='a condition around the rest of the loop body')
        return without_idle_lets(out)


def without_idle_lets(body: Iterable[Stmt]) -> tuple[Stmt, ...]:
    """Values no statement of this core asks for."""
    out: list[Stmt] = []
    needed: set[str] = set()
    for s in reversed(tuple(body)):
        if isinstance(s, Let) and s.var.name not in needed:
            continue
        for inner in walk((s,)):
            needed |= {n for e in own_exprs(inner) for n in E.free_vars(e)}
        out.insert(0, s)
    return tuple(out)


def check_reach(program: Program, body: tuple[Stmt, ...], core: str) -> None:
    """A scalar one core computes from the memory of the other has no address there."""
    foreign = ('UB',) if core == 'C' else CUBE_SPACES
    for s in walk(body):
        for e in own_exprs(s):
            for x in E.loads(e):
                if program.buffers[x.buffer].space in foreign:
                    raise CompilerRejects(f'CodeGenTileLangAscend: Cannot find pre-allocated address for buffer: {x.buffer}.', where=s.span,
                                          why=f'the {"cube" if core == "C" else "vector"} core needs this value too and cannot read {x.buffer}',
                                          instead='a scalar read from a GM tensor, or a value computed from block and loop numbers')


def warn_frozen(program: Program, vector: tuple[Stmt, ...], ctx: PassContext) -> None:
    """Scalar variables the vector cores read after an update that only the cube core makes."""
    order = list(walk(program.body))
    place = {(type(s), s.span): i for i, s in enumerate(order)}
    loops = [{id(x) for x in walk((s,))} for s in order if isinstance(s, (For, While))]
    for name in dict.fromkeys(x.buffer for s in walk(vector) for x in scalar_loads(s) if program.buffers[x.buffer].space == 'VAR'):
        asked = [place[type(s), s.span] for s in walk(vector) if any(x.buffer == name for x in scalar_loads(s))]
        for i, s in enumerate(order):
            if isinstance(s, Store) and s.buffer == name and any(
                    j > i or any(id(s) in inside and id(order[j]) in inside for inside in loops) for j in asked):
                ctx.warn(PASS, f'{name} is updated on the cube core only: vector code keeps its initial value {program.buffers[name].init}; '
                         'a value computed from loop and block numbers is the same on both', s.span, changes_meaning=True)
                break


def run(program: Program, ctx: PassContext) -> Program:
    if not ctx.on(AUTO_CV_COMBINE):
        if ctx.on(AUTO_CV_SYNC):
            ctx.warn('configs',
                     f'{AUTO_CV_SYNC} has no effect without {AUTO_CV_COMBINE}: cross-core flags are only placed when the code is split by core',
                     program.span)
        return program
    scopes = [s for s in walk(program.body) if isinstance(s, Scope)]
    if scopes:
        ctx.warn('configs',
                 f'T.Scope inside a kernel that {AUTO_CV_COMBINE} splits: statements go to the core their operands live on, whatever the scope says',
                 scopes[0].span)
    if ctx.sound:
        from . import combine_sound

        cube, vector = combine_sound.split(program, ctx)
    else:
        cube, vector = Filter(program, 'C').block(program.body), Filter(program, 'V').block(program.body)
        warn_frozen(program, vector, ctx)
        if ctx.on(AUTO_CV_SYNC):
            cube, vector = cross_core_sync.insert(program, cube, vector, ctx)
    check_reach(program, cube, 'C')
    check_reach(program, vector, 'V')
    names = Names(program.with_body(cube))
    return program.with_body((Scope('C', cube, program.span), Scope('V', renewed(vector, names), program.span)))
