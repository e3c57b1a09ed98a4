"""Which tile operations share a vector function with the one before them.

A5 computes in vector registers: a vector function is a loop that loads, computes and stores one register of 256 bytes at a time. Its compiler
merges the loops of neighbouring operations over the same elements, so that all but the first find their data in registers. A flag, a scalar
access, a branch or a loop between two operations keeps them apart; a V barrier does not, because A5 has none (dialect 10.2).
"""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import Instr, Let, Program, Region
from ..machine.vector import ELEMENTWISE


def fused(program: Program) -> frozenset[int]:
    """`id` of every such instruction of the program."""
    found: set[int] = set()
    _block(program, program.body, found)
    return frozenset(found)


def _block(program: Program, body: tuple, found: set[int]) -> None:
    chain: list[Instr] = []
    for s in body:
        if isinstance(s, Let) or isinstance(s, Instr) and s.op == 'pipe_barrier' and s.args[0] == 'V':
            continue
        if isinstance(s, Instr) and s.op in ELEMENTWISE and not _from_scalar_unit(s):
            if chain and _elements(program, s) == _elements(program, chain[0]) and not _shifted(s, chain):
                found.add(id(s))
                chain.append(s)
            else:
                chain = [s]
            continue
        chain = []
        for name in ('body', 'then', 'els'):
            _block(program, getattr(s, name, ()) or (), found)


def _from_scalar_unit(s: Instr) -> bool:
    """An operand read by the scalar unit stops every pipe first."""
    return any(isinstance(a, Region) and a.form == 'element' for a in s.args)


def _elements(program: Program, s: Instr) -> int:
    """Of the destination, or the count the instruction names."""
    if s.op == 'cast' and isinstance(s.args[-1], E.Const):
        return s.args[-1].value
    n = 1
    for d in s.args[0].extents:
        n *= d.value if isinstance(d, E.Const) else 0
    return n


def _shifted(s: Instr, chain: list[Instr]) -> bool:
    """Does `s` touch a buffer the chain writes at another place? The registers then hold other elements."""
    written = {c.args[0].buffer: c.args[0].starts for c in chain}
    return any(isinstance(a, Region) and a.buffer in written and written[a.buffer] != a.starts for a in s.args)
