"""What the source generator refuses after the last pass (dialect 10.1, 12.4)."""

from __future__ import annotations

from ..ir.nodes import Instr, Program, Scope, walk
from .context import AUTO_CV_COMBINE, PassContext
from .refuse import CompilerRejects
from .uses import scalar_loads

# Operations the PTO generator has no text for.
NOT_ON_PTO = frozenset('sin cos wholereducemax wholereducemin wholereducesum block_reduce_max block_reduce_min block_reduce_sum init_sort_buf bilinear_interpolation'.split())


def _resolved(program: Program) -> None:
    for s in walk(program.body):
        if isinstance(s, Instr) and s.op in NOT_ON_PTO:
            raise CompilerRejects(f'Unresolved call Op(tl.ascend_{s.op})', where=s.span, why='the PTO generator has no instruction for it', instead='target="ascendc"')


def _reachable(program: Program) -> None:
    """A scalar the cube copy of the code reads from UB: that copy has no UB tile to read."""
    for scope in walk(program.body):
        if isinstance(scope, Scope) and scope.core == 'C':
            for s in walk(scope.body):
                for x in scalar_loads(s):
                    if program.buffers[x.buffer].space == 'UB':
                        raise CompilerRejects(f'Cannot find pre-allocated address for buffer: {x.buffer}. All buffers must be pre-allocated via address_map_.', where=getattr(s, 'span', None),
                                              why=f'code is split by core: the cube core would have to read {x.buffer} in UB', instead='the value from global memory: A[i] instead of a tile')


def run(program: Program, ctx: PassContext) -> Program:
    if ctx.target == 'pto':
        _resolved(program)
    if ctx.on(AUTO_CV_COMBINE):
        _reachable(program)
    return program
