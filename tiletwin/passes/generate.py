"""What the source generator refuses after the last pass (dialect 10.1, 12.4)."""

from __future__ import annotations

from ..ir.nodes import Instr, Program, walk
from .context import PassContext
from .refuse import CompilerRejects

# Operations the PTO generator has no text for.
NOT_ON_PTO = frozenset('sin cos wholereducemax wholereducemin wholereducesum block_reduce_max block_reduce_min block_reduce_sum init_sort_buf '
                       'bilinear_interpolation'.split())


def _resolved(program: Program) -> None:
    for s in walk(program.body):
        if isinstance(s, Instr) and s.op in NOT_ON_PTO:
            raise CompilerRejects(f'Unresolved call Op(tl.ascend_{s.op})', where=s.span, why='the PTO generator has no instruction for it',
                                  instead='target="ascendc"')


def run(program: Program, ctx: PassContext) -> Program:
    if ctx.target == 'pto':
        _resolved(program)
    return program
