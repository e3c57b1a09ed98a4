"""Mutants of a kernel's synchronisation: one flag, wait, barrier or cross flag changed the way an author gets it wrong.

Copies that loop unrolling made of one source line change together: the author changes a line. What a pass inserted changes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Iterator

from ..errors import Span
from ..ir import expr as E
from ..ir.analysis import bounds
from ..ir.nodes import For, If, Instr, Let, Program, Scope, Stmt, While, map_bodies, walk
from ..ir.ops import OPS
from ..machine.chip import Chip

# Where an instruction holds the id of its flag.
ID = {'set_flag': 2, 'wait_flag': 2, 'set_cross_flag': 1, 'wait_cross_flag': 0}
CROSS = ('set_cross_flag', 'wait_cross_flag')


@dataclass(frozen=True)
class Mutant:
    """A change to a Program. Equal keys of Programs made for other shapes are the same change to the source."""

    name: str  # 'delete wait_flag MTE2 V 0 (line 12)'
    change: str  # 'delete', 'duplicate', 'move up', 'move down', 'renumber', 'reverse', 'ring', 'init'
    kind: str  # the op that was changed, or the ring
    span: Span | None
    key: tuple
    make: Callable[[], Program]

    @property
    def program(self) -> Program:
        return self.make()


@dataclass(frozen=True)
class Site:
    """The copies of one synchronisation statement."""

    key: tuple
    copies: tuple[Instr, ...]

    @property
    def first(self) -> Instr:
        return self.copies[0]

    def holds(self, s: Stmt) -> bool:
        return any(s is c for c in self.copies)

    def mutant(self, change: str, make: Callable[[], Program], into: str = '', value: int | None = None) -> Mutant:
        """`into` tells two changes of one kind apart; the `value` an id gets is not part of the key, because it may depend on the shape."""
        s = self.first
        where = f' (line {s.span.line})' if s.span else ''
        detail = (f' to {into}' if into else '') + (f' {value}' if value is not None else '')
        return Mutant(f'{change} {describe(s)}{detail}{where}', change, s.op, s.span, (change, into, *self.key), make)


def describe(s: Instr) -> str:
    args = ' '.join(a if isinstance(a, str) else E.text(a) for a in s.args if a != '')
    return f'{s.op} {args}'.strip()


def sites(program: Program) -> list[Site]:
    groups: dict[tuple, list[Instr]] = {}
    seen: dict[tuple, int] = {}
    for s in walk(program.body):
        if isinstance(s, Instr) and OPS[s.op].pipe == 'sync':
            key: tuple = (s.op, s.span)
            if s.origin != 'user' or s.span is None:
                same = (s.op, s.span, s.origin, describe(s))
                seen[same] = seen.get(same, 0) + 1
                key = (*same, seen[same])
            groups.setdefault(key, []).append(s)
    return [Site(key, tuple(copies)) for key, copies in groups.items()]


def rewritten(body: tuple[Stmt, ...], change: Callable[[Stmt], tuple[Stmt, ...] | None]) -> tuple[Stmt, ...]:
    """Every statement for which `change` has an answer replaced by that answer."""
    out: list[Stmt] = []
    for s in body:
        new = change(s)
        out += (map_bodies(s, lambda b: rewritten(b, change)),) if new is None else new
    return tuple(out)


def _replaced(program: Program, site: Site, by: Callable[[Instr], tuple[Stmt, ...]]) -> Program:
    return program.with_body(rewritten(program.body, lambda s: by(s) if site.holds(s) else None))


def deletions(program: Program) -> Iterator[Mutant]:
    """The program without one of its flags, waits, barriers and cross flags, one mutant each."""
    for site in sites(program):
        yield site.mutant('delete', lambda site=site: _replaced(program, site, lambda s: ()))


def mutants(program: Program, chip: Chip) -> Iterator[Mutant]:
    """Every change to every synchronisation statement."""
    ids = used_ids(program)
    for site in sites(program):
        s = site.first
        yield site.mutant('delete', lambda site=site: _replaced(program, site, lambda s: ()))
        yield site.mutant('duplicate', lambda site=site: _replaced(program, site, lambda s: (s, s)))
        for up in (True, False):
            if (moved := move(program, site, up)) is not None:
                yield site.mutant('move up' if up else 'move down', lambda moved=moved: moved)
        for into, value in _other_ids(s, ids, chip):
            yield site.mutant('renumber', lambda site=site, value=value: _replaced(program, site, lambda s: (_renumbered(s, value),)), into, value)
        if s.op in ID:
            yield site.mutant('reverse', lambda site=site: _replaced(program, site, lambda s: (_reversed(s),)))


# -- move -----------------------------------------------------------------------------------------------------------------
def move(program: Program, site: Site, up: bool) -> Program | None:
    """The statement one place up or down: over its neighbour, into the loop or branch that is its neighbour, or out of the one it stands at the edge of.

    None where a scope ends it: the scope names the core, and leaving it would be another kernel.
    """
    body, left = _moved(program.body, site, up)
    body = _at_edge(body, left, up)
    return None if body == program.body else program.with_body(body)


def _moved(body: tuple[Stmt, ...], site: Site, up: bool) -> tuple[tuple[Stmt, ...], list[Stmt]]:
    """The block after the move, and the copies that left it; walked in the direction of the move."""
    out: list[Stmt] = []
    going: list[Stmt] = []
    for s in body[::-1] if up else body:
        if site.holds(s):
            going.append(s)
            continue
        if isinstance(s, Let):
            out.append(s)  # a name is no instruction to move over
            continue
        left: list[Stmt] = []
        if isinstance(s, Scope):
            inner, stays = _moved(s.body, site, up)
            s = replace(s, body=_at_edge(inner, stays, up))
        elif isinstance(s, (For, While)):
            inner, left = _moved(s.body, site, up)
            s = replace(s, body=_at_edge(inner, going, not up))
            going = []
        elif isinstance(s, If):
            inner, left = _moved(s.then, site, up)
            other, more = _moved(s.els, site, up)
            s, left = replace(s, then=_at_edge(inner, going, not up), els=other), left + more
            going = []
        out += [s, *going, *left]
        going = []
    return tuple(out[::-1] if up else out), going


def _at_edge(body: tuple[Stmt, ...], these: list[Stmt], top: bool) -> tuple[Stmt, ...]:
    return (*these, *body) if top else (*body, *these)


# -- renumber and reverse ---------------------------------------------------------------------------------------------------
def pool(s: Instr) -> tuple:
    """Flags share their ids by pair of pipes, cross flags share one set."""
    return s.args[:2] if s.op not in CROSS else ()


def used_ids(program: Program) -> dict[tuple, dict[int, tuple[int, int]] | None]:
    """By pool the range of values of each instruction's id, by identity of the instruction; None where one is unknown."""
    pools: dict[tuple, dict | None] = {}

    def visit(body: tuple[Stmt, ...], env: dict) -> None:
        env = dict(env)
        for s in body:
            match s:
                case Let(var=v, value=e):
                    if (r := bounds(e, env)) is not None:
                        env[v.name] = r
                case For(var=v, start=a, extent=n, body=inner):
                    lo, hi = bounds(a, env), bounds(n, env)
                    visit(inner, env | ({v.name: (lo[0], max(lo[1] + hi[1] - 1, lo[0]))} if lo and hi else {}))
                case While(body=inner) | Scope(body=inner):
                    visit(inner, env)
                case If(then=a, els=b):
                    visit(a, env)
                    visit(b, env)
                case Instr(op=op) if op in ID:
                    found = pools.setdefault(pool(s), {})
                    r = bounds(s.args[ID[op]], env)
                    if r is None:
                        pools[pool(s)] = None
                    elif found is not None:
                        found[id(s)] = r

    launch = program.launch
    blocks = E.int_value(launch.blocks)
    visit(program.body, {launch.vid.name: (0, launch.vectors - 1)} | ({launch.cid.name: (0, blocks - 1)} if blocks else {}))
    return pools


def _other_ids(s: Instr, ids: dict, chip: Chip) -> Iterator[tuple[str, int | None]]:
    """What the id may become; None is the one that follows it."""
    if s.op not in ID:
        return
    yield 'the next id', None
    used = ids.get(pool(s))
    if used is None or id(s) not in used:
        return
    values = {v for lo, hi in used.values() for v in range(lo, hi + 1)}
    lo, hi = used[id(s)]
    free = next((v for v in range(chip.cross_flags if s.op in CROSS else chip.event_ids) if v not in values), None)
    if free is not None and not lo == hi == free - 1:
        yield 'the free id', free
    # A ring of ids gets stuck on its first one.
    other = next((v for v in sorted(values) if not lo <= v <= hi), lo if lo != hi else None)
    if other is not None and not lo == hi == other - 1:
        yield 'the used id', other


def _renumbered(s: Instr, value: int | None) -> Instr:
    at = ID[s.op]
    ident = E.add(s.args[at], 1) if value is None else E.Const(value)
    return replace(s, args=(*s.args[:at], ident, *s.args[at + 1:]))


def _reversed(s: Instr) -> Instr:
    """Source and destination swapped; between cores the one who sets waits instead."""
    if s.op == 'set_cross_flag':
        return replace(s, op='wait_cross_flag', args=(s.args[1], s.args[0]), attrs={})
    if s.op == 'wait_cross_flag':
        return replace(s, op='set_cross_flag', args=(s.args[1] or 'MTE2', s.args[0]), attrs={'mode': 2})
    return replace(s, args=(s.args[1], s.args[0], s.args[2]))
