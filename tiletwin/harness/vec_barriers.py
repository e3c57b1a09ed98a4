"""Barriers between vector instructions, taken out by name.

On a2 and a3 a barrier of pipe V is what orders two vector instructions on the same tile. A kernel can do without one where the two
instructions share no tile, or where its author vouches for the order by other means: such a removal is a waiver, and what the
sanitizer then reports between exactly these two instructions is counted apart, never hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Iterable, Iterator

from ..errors import DialectError, Span
from ..ir.nodes import Instr, Program, Region, Stmt, bodies, map_bodies
from ..ir.ops import OPS, letters
from ..sanitize.findings import Finding


@dataclass(frozen=True, slots=True)
class Pattern:
    """A barrier by the instructions before and after it."""

    name: str
    before: str
    after: str
    vouched: bool = False  # taken out although both work on one tile


PATTERNS = {p.name: p for p in (
    Pattern('gu', 'row_expand_mul_experiment', 'add', vouched=True),  # rescaling of the sum, then the addition of the product
    Pattern('softmax-exp-sum', 'exp', 'reduce'),
    Pattern('softmax-sum-add', 'reduce', 'add'),
)}


Pair = tuple[Instr, Instr]


@dataclass(frozen=True, slots=True)
class Barrier:
    """One source line with the vector instructions since the barrier before it and up to the next one."""

    span: Span
    before: tuple[Instr, ...]
    after: tuple[Instr, ...]
    dependent: tuple[Pair, ...]  # pairs that touch one tile, one of them writing

    def pairs(self, pattern: Pattern) -> tuple[Pair, ...]:
        return tuple((a, b) for a in self.before for b in self.after if (a.op, b.op) == (pattern.before, pattern.after))

    def removable(self, pattern: Pattern | None) -> bool:
        """Nothing depends on it but what the pattern vouches for."""
        vouched = self.pairs(pattern) if pattern and pattern.vouched else ()
        return all(pair in vouched for pair in self.dependent)


@dataclass(frozen=True)
class Removal:
    program: Program
    removed: tuple[Barrier, ...]
    skipped: tuple[Barrier, ...]  # kept: instructions on both sides share a tile

    def waives(self, finding: Finding) -> bool:
        """A race between two instructions that a removed barrier ordered."""
        sides = {(side.op, side.span) for side in finding.sides}
        ordered = any(sides == {(s.op, s.span) for s in pair} for b in self.removed for pair in b.dependent)
        return finding.word == 'race' and all(side.pipe == 'V' for side in finding.sides) and ordered


def remove(program: Program, patterns: Iterable[str] = ('gu',), lines: Iterable[int] = ()) -> Removal:
    """The Program without the barriers the patterns name, or without those on the given source lines; never both."""
    names, numbers = tuple(patterns), tuple(lines)
    if names and numbers:
        raise DialectError('barriers by pattern and by line at once', why='a pattern moves with the source, a line does not',
                           instead='one of the two')
    for name in names:
        if name not in PATTERNS:
            raise DialectError(f'no barrier pattern {name!r}', instead='one of ' + ', '.join(PATTERNS))
    found = barriers(program)
    removed: dict[Span, Barrier] = {}
    skipped: dict[Span, Barrier] = {}
    for what in (*names, *numbers):
        pattern = PATTERNS.get(what) if isinstance(what, str) else None
        chosen = [b for b in found if (b.pairs(pattern) if pattern else b.span.line == what)]
        if not chosen:
            raise DialectError(f'no barrier of pipe V matches {what!r}', why='a list that no longer fits the kernel must not pass unseen',
                               instead='another pattern')
        for b in chosen:
            (removed if b.removable(pattern) else skipped)[b.span] = b
    return Removal(program.with_body(_without(program.body, set(removed))), tuple(removed.values()), tuple(skipped.values()))


def barriers(program: Program) -> list[Barrier]:
    """Barriers of pipe V with vector instructions on both sides, one per source line."""
    order = list(_straight(program, program.body))
    found: dict[Span, Barrier] = {}
    for i, s in enumerate(order):
        if s is not None and s.op == 'pipe_barrier' and s.span and s.span not in found:
            before, after = tuple(takewhile(_works, reversed(order[:i]))), tuple(takewhile(_works, order[i + 1:]))
            if before and after:
                dependent = tuple((a, b) for a in before for b in after if _share(program, a, b))
                found[s.span] = Barrier(s.span, before, after, dependent)
    return list(found.values())


def _straight(program: Program, body: tuple[Stmt, ...]) -> Iterator[Instr | None]:
    """Vector instructions and their barriers in program order; None where control may come from or go elsewhere."""
    for s in body:
        inner = bodies(s)
        for block in inner:
            if len(inner) > 1:
                yield None
            yield from _straight(program, block)
        if len(inner) > 1:
            yield None
        if isinstance(s, Instr) and (_vector(program, s) or s.op == 'pipe_barrier' and s.args[0] == 'V'):
            yield s


def _works(s: Instr | None) -> bool:
    return s is not None and s.op != 'pipe_barrier'


def _vector(program: Program, s: Instr) -> bool:
    if s.op == 'copy':
        return all(program.buffers[r.buffer].space == 'UB' for r in s.args[:2])
    return OPS[s.op].pipe == 'V'


def _share(program: Program, first: Instr, second: Instr) -> bool:
    def tiles(s: Instr) -> tuple[set[str], set[str]]:
        touched, written = set(), set()
        for a, letter in zip(s.args, letters(OPS[s.op], len(s.args))):
            if isinstance(a, Region):
                touched.add(program.root(a.buffer)[0].name)
                if letter in 'wm':
                    written.add(program.root(a.buffer)[0].name)
        return touched, written

    (a, aw), (b, bw) = tiles(first), tiles(second)
    return bool(aw & b or a & bw)


def _without(body: tuple[Stmt, ...], gone: set[Span]) -> tuple[Stmt, ...]:
    kept = (s for s in body if not (isinstance(s, Instr) and s.op == 'pipe_barrier' and s.span in gone))
    return tuple(map_bodies(s, lambda b: _without(b, gone)) if bodies(s) else s for s in kept)
