"""What is known about scalars at a point of a program: ranges of names, and conditions of enclosing ifs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir import expr as E
from ..ir.analysis import Range, bounds, terms
from ..ir.nodes import For, Program


@dataclass(frozen=True, slots=True)
class Known:
    """`ranges` of names; `positive`: expressions that are at least 0 here."""

    ranges: dict[str, Range]
    positive: tuple[E.Expr, ...] = ()

    def within(self, s: For) -> 'Known':
        """Inside the body of a loop."""
        found = loop_range(s, self.ranges)
        return replace(self, ranges=self.ranges | {s.var.name: found}) if found else self

    def given(self, cond: E.Expr, holds: bool = True) -> 'Known':
        """Inside the branch of an if."""
        found = tuple(_conditions(cond, holds))
        return replace(self, positive=self.positive + found) if found else self

    def at_least(self, e: E.Expr, low: int, literally: bool = False) -> bool:
        """Whether e >= low for every value the names can have here; `literally`: conditions count only when they say just that."""
        e = linear(E.sub(e, low))
        found = bounds(e, self.ranges)
        if found is not None and found[0] >= 0:
            return True
        mine = dict((t, c) for c, t in terms(e))
        for g in self.positive:
            theirs = dict((t, c) for c, t in terms(g))
            for t, c in theirs.items():
                if isinstance(t, E.Const) or mine.get(t, 0) % c:
                    continue
                factor = mine.get(t, 0) // c
                if factor > 0:
                    left = bounds(linear(E.sub(e, E.mul(g, factor))), self.ranges)
                    if left is not None and left[0] >= 0 and (left[0] == left[1] or not literally):
                        return True
        return False


def launch_ranges(program: Program) -> dict[str, Range]:
    """Known ranges of the block and vector core numbers."""
    launch = program.launch
    found: dict[str, Range] = {launch.vid.name: (0, launch.vectors - 1)}
    blocks = E.int_value(launch.blocks)
    if blocks is not None:
        found[launch.cid.name] = (0, blocks - 1)
    return found


def loop_range(s: For, env: dict[str, Range]) -> Range | None:
    a, n = bounds(s.start, env), bounds(s.extent, env)
    return (a[0], a[1] + n[1] - 1) if a and n and n[1] > 0 else None


def linear(e: E.Expr) -> E.Expr:
    """`e` with equal terms added up, the constant last."""
    sums: dict[E.Expr, int] = {}
    for c, t in terms(e):
        sums[t] = sums.get(t, 0) + c
    out: E.Expr = E.Const(0)
    constant = sums.pop(E.Const(1), 0)
    for t, c in sums.items():
        if c:
            out = E.add(out, E.mul(t, c))
    return E.add(out, constant)


def _conditions(cond: E.Expr, holds: bool):
    match cond:
        case E.Un(op='not', a=a):
            yield from _conditions(a, not holds)
        case E.Bin(op='and', a=a, b=b) if holds:
            yield from _conditions(a, True)
            yield from _conditions(b, True)
        case E.Bin(op='or', a=a, b=b) if not holds:
            yield from _conditions(a, False)
            yield from _conditions(b, False)
        case E.Bin(op='<' | '<=' | '>' | '>=' as op, a=a, b=b) if 'float' not in a.dtype:
            if not holds:
                op = {'<': '>=', '<=': '>', '>': '<=', '>=': '<'}[op]
            if op in ('<', '<='):
                a, b = b, a
            yield linear(E.sub(E.sub(a, b), 1 if op in ('<', '>') else 0))
        case E.Bin(op='==', a=a, b=b) if holds and 'float' not in a.dtype:
            yield linear(E.sub(a, b))
            yield linear(E.sub(b, a))
