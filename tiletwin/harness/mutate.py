"""Mutants of a kernel's synchronisation: each must be caught, or be redundant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import Instr, Program, Stmt, map_bodies, walk
from ..ir.ops import OPS


@dataclass(frozen=True)
class Mutant:
    name: str  # 'delete wait_flag MTE2 V 0 (line 12)'
    kind: str  # the op that was changed
    span: Span | None
    program: Program


def _without(body: tuple[Stmt, ...], victims: list[Stmt]) -> tuple[Stmt, ...]:
    return tuple(map_bodies(s, lambda b: _without(b, victims)) for s in body if not any(s is v for v in victims))


def describe(s: Instr) -> str:
    args = ' '.join(a if isinstance(a, str) else E.text(a) for a in s.args if a != '')
    return f'{s.op} {args}'.strip()


def deletions(program: Program) -> Iterator[Mutant]:
    """The program without one of its flags, waits, barriers and cross flags, one mutant each.

    Copies that loop unrolling made of one source line go together: the author deletes a line.
    """
    groups: dict[object, list[Instr]] = {}
    for s in walk(program.body):
        if isinstance(s, Instr) and OPS[s.op].pipe == 'sync':
            groups.setdefault((s.op, s.span) if s.span else id(s), []).append(s)
    for victims in groups.values():
        s = victims[0]
        name = f'delete {describe(s)}' + (f' (line {s.span.line})' if s.span else '')
        yield Mutant(name, s.op, s.span, program.with_body(_without(program.body, victims)))
