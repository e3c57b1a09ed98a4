"""What a kernel would gain without one synchronisation, with one a place further, or with one more slot in a buffer. All cycles are modelled.

* A synchronisation is a flag with all its sets and waits, a cross flag with all of its, or one barrier. It is removed whole: half of it would hang.
* A slot more means that the producer may be one turn further ahead. What holds it back is the flag without which it overwrites what is still
  being read; one more set of that flag before the kernel starts is exactly one turn of credit. Where a ring has one flag a slot,
  every slot gets the credit, and the gain is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Iterable, Sequence

from ..errors import EnvironmentError_, Span, TileTwinError
from ..ir import expr as E
from ..ir.nodes import Instr, Program, Scope, Stmt, walk
from ..ir.verify import verify
from ..machine.chip import chip as chip_of
from ..passes.addresses import footprint, peak
from ..sanitize.findings import Finding, Side
from .gather import operators_named
from .mutants import CROSS, ID, Site, describe, move, pool, rewritten, sites, used_ids
from .mutants_data import rings
from .mutate import chips_of
from .mutation_cases import Setting, setting_of
from .progress import Done, work_through

if TYPE_CHECKING:
    from .registry import Operator

CLEAN, RACES, HANGS = 'clean', 'races', 'hangs'
SETS = ('set_flag', 'set_cross_flag')


@dataclass(frozen=True)
class Gain:
    """One change and what it saves."""

    change: str  # 'remove', 'move' or 'slot'
    what: str  # 'flag V->MTE2 0-1', 'pipe_barrier V', 'UB x: 2 slots and one more'
    lines: tuple[Span, ...]
    cycles: float  # saved in the whole launch, modelled; negative: it costs
    percent: float
    verdict: str  # what is said of the kernel after the change: clean, or the words of the new findings; of a slot whether it fits
    bound: bool = False  # no more than this can be gained: the change as such is not a kernel
    keys: tuple = ()  # of the statements it changes

    @property
    def safe(self) -> bool:
        return self.verdict in (CLEAN, 'fits')


@dataclass(frozen=True)
class WhatIf:
    operator: str
    mode: str
    chip: str
    case: str
    cycles: float
    gains: tuple[Gain, ...]  # most first

    def worth(self, percent: float) -> tuple[Gain, ...]:
        """Changes the kernel stays clean with that save more than `percent`."""
        return tuple(g for g in self.gains if g.safe and g.percent > percent)


@dataclass(frozen=True)
class Edge:
    """A synchronisation: everything that has to go or stay together."""

    name: str
    sites: tuple[Site, ...]
    ids: tuple[int, ...] = ()
    cross: bool = False

    @property
    def lines(self) -> tuple[Span, ...]:
        return tuple(sorted({s.first.span for s in self.sites if s.first.span}, key=lambda p: (p.file, p.line)))


def edges(program: Program) -> list[Edge]:
    """Sets and waits whose ids can meet, and every barrier by itself."""
    pools = used_ids(program)
    groups: list[tuple[tuple, set[int], list[Site]]] = []
    out: list[Edge] = []
    for site in sites(program):
        s = site.first
        if s.op not in ID:
            out.append(Edge(describe(s), (site,)))
            continue
        ranges = pools.get(pool(s))
        ids = {v for c in site.copies for lo, hi in [ranges[id(c)]] for v in range(lo, hi + 1)} if ranges else {-1}
        key = (s.op in CROSS, pool(s))
        # All that shares an id with this site becomes one.
        meeting = [g for g in groups if g[0] == key and (g[1] & ids or ids == {-1})]
        for g in meeting:
            groups.remove(g)
        groups.append((key, ids.union(*(g[1] for g in meeting)), [x for g in meeting for x in g[2]] + [site]))
    for (cross, pair), ids, members in groups:
        shown = ','.join(map(str, sorted(ids))) if ids != {-1} else 'any'
        out.append(Edge(f'cross flag {shown}' if cross else f'flag {"->".join(pair)} {shown}', tuple(members), tuple(sorted(ids)), cross))
    return out


# -- judging --------------------------------------------------------------------------------------------------------------
class Judge:
    """Cycles and new findings of changed programs in one launch."""

    def __init__(self, setting: Setting):
        self.s = setting
        self.cycles, self.findings = self.look(setting.source)
        self.known = {f.id for f in self.findings}

    def look(self, program: Program, sanitize: bool = True) -> tuple[float, tuple[Finding, ...]]:
        s = self.s
        found = s.analyser(program, sanitize).run(s.empty, s.reads)
        return found.cycles, found.findings

    def new(self, program: Program) -> tuple[float, list[Finding]]:
        cycles, findings = self.look(program)
        return cycles, [f for f in findings if f.id not in self.known]

    def gain(self, change: str, what: str, lines: Iterable[Span], cycles: float, verdict: str, bound: bool = False, keys: tuple = ()) -> Gain:
        saved = self.cycles - cycles
        return Gain(change, what, tuple(lines), saved, 100 * saved / self.cycles, verdict, bound, keys)


def _verdict(new: Sequence[Finding]) -> str:
    words = {f.word for f in new}
    if not words:
        return CLEAN
    return HANGS if 'deadlock' in words else RACES if words == {'race'} else ', '.join(sorted(words))


@dataclass(frozen=True)
class Request:
    """Which kernels. `chip` as of `mutate.Request`; `case` None: the longest quick one with a source shape; 'all': each of those."""

    names: tuple[str, ...]
    mode: str = 'expert'
    chip: str | None = None
    case: str | None = None


def whatifs(request: Request) -> Done[tuple, list[WhatIf]]:
    """Everything named; kernels that are done survive an interrupt."""
    jobs = [(operator, chip) for name in request.names for operator in operators_named(name) for chip in chips_of(operator, request.chip)]
    for operator, _ in jobs:
        if request.mode not in operator.modes:
            raise EnvironmentError_(f'{operator.name} has no {request.mode} form', instead='one of ' + ', '.join(operator.modes))
    return work_through(jobs, lambda job: whatif(job[0], request.mode, job[1], request.case), lambda job: f'{job[0].name} on {job[1]}')


def whatif(operator: 'Operator', mode: str = 'expert', chip: str = 'a3', case: str | None = None) -> list[WhatIf]:
    """Every change to the cases of an operator that were asked for."""
    cases = [c for c in operator.cases_in(mode) if not c.chips or chip in c.chips]
    chosen = [c for c in cases if c.name == case]
    if not chosen:
        if case not in (None, 'all'):
            raise EnvironmentError_(f'{operator.name} has no case {case!r} in {mode} mode on {chip}', instead='one of ' + ', '.join(c.name for c in cases))
        quick = [c for c in cases if not c.slow]
        chosen = [c for c in quick if c.purpose == 'source'] or quick
    quick = [setting_of(operator, c, mode, chip) for c in cases if not c.slow]
    found = [s for s in quick if s.name in {c.name for c in chosen}] or [setting_of(operator, c, mode, chip) for c in chosen]
    if case is None:
        found = [max(found, key=lambda s: s.analyser(s.program, False).run(s.empty, s.reads).cycles)]
    return [of_setting(s, operator.name, mode, quick) for s in found]


def of_setting(setting: Setting, name: str = '', mode: str = '', others: Sequence[Setting] = ()) -> WhatIf:
    """`others` are the cases in which a change has to stay clean as well."""
    judge = Judge(setting)
    gains = [_everywhere(g, [s for s in others if s is not setting]) for g in (*_edges_and_slots(judge), *_moves(judge))]
    return WhatIf(name, mode, setting.chip, setting.name, judge.cycles, tuple(sorted(gains, key=lambda g: (-round(g.cycles, 6), g.change, g.what))))


def _everywhere(g: Gain, others: Sequence[Setting]) -> Gain:
    """A gain that is clean here, with what another case says of it."""
    if not (g.keys and g.verdict == CLEAN and g.cycles > 0):
        return g
    for s in others:
        same = [site for site in sites(s.source) if site.key in g.keys]
        if not same:
            continue
        if g.change == 'remove':
            program: Program | None = _without(s.source, same)
        else:
            program = move(s.source, same[0], same[0].first.op in SETS)
        new = [f for f in s.findings(program) if f.id not in s.known] if program is not None else []
        if new:
            return replace(g, verdict=f'{_verdict(new)} in case {s.name}', bound=True)
    return g


def _without(program: Program, gone: Sequence[Site]) -> Program:
    return program.with_body(rewritten(program.body, lambda s: () if any(site.holds(s) for site in gone) else None))


# -- removing, and one slot more --------------------------------------------------------------------------------------------
def _edges_and_slots(judge: Judge) -> list[Gain]:
    program = judge.s.source
    gains: list[Gain] = []
    held: set[str] = set()
    for edge in edges(program):
        cycles, new = judge.new(_without(program, edge.sites))
        verdict = _verdict(new)
        gains.append(judge.gain('remove', edge.name, edge.lines, cycles, verdict, verdict != CLEAN, tuple(x.key for x in edge.sites)))
        guarded = _given_back(program, edge, new)
        if guarded and edge.ids and -1 not in edge.ids:
            held |= set(guarded)
            gains.append(_credit(judge, edge, guarded))
    for b in program.on_chip('UB', 'L1', 'L0A', 'L0B', 'L0C'):
        if b.alias_of is None and b.name not in held:
            gains.append(judge.gain('slot', f'{b.space} {b.name}: no flag holds back who fills it', (b.span,) if b.span else (), judge.cycles, 'no gain'))
    return gains


def _given_back(program: Program, edge: Edge, new: Sequence[Finding]) -> list[str]:
    """Buffers that are overwritten while they are read when the edge is gone, by the side that waits: it was there to give them back."""
    sets = [s.first for s in edge.sites if s.first.op in SETS]
    source = {'C' if _in_cube(program, s) else 'V' for s in sets} if edge.cross else {s.args[0] for s in sets}

    def place(side: Side) -> str:
        return ('C' if side.core == 'AIC' else 'V') if edge.cross else side.pipe

    names: set[str] = set()
    for f in new:
        by_role = {s.role: s for s in f.sides}
        if f.word != 'race' or set(by_role) != {'reads', 'writes'}:
            continue
        if place(by_role['writes']) in source:
            return []
        names |= {s.region.partition(' ')[2].partition('[')[0] for s in f.sides}
    return sorted({program.root(n)[0].name for n in names if n in program.buffers})


def _in_cube(program: Program, s: Instr) -> bool:
    return any(isinstance(scope, Scope) and scope.core == 'C' and any(x is s for x in walk(scope.body)) for scope in walk(program.body))


def _credit(judge: Judge, edge: Edge, buffers: list[str]) -> Gain:
    """The producer of the buffers one turn further ahead."""
    program, chip = judge.s.source, chip_of(judge.s.chip)
    sets = [s.first for s in edge.sites if s.first.op in SETS]
    first = sets[0]
    extra = tuple(replace(first, args=(*first.args[:ID[first.op]], E.Const(i), *first.args[ID[first.op] + 1:])) for i in edge.ids)
    cycles, _ = judge.look(program.with_body(_prefixed(program.body, first, extra)), sanitize=False)
    slots = {n: (rings(program).get(n) or (1,))[-1] for n in buffers}
    used = peak(program)
    more: dict[str, int] = {}
    for n in buffers:
        b = program.buffers[n]
        if b.space != 'GM':
            more[b.space] = more.get(b.space, 0) + footprint(b) // slots[n]
    over = [f'{space} lacks {used.get(space, 0) + size - chip.memories[space].bytes} B' for space, size in more.items()
            if used.get(space, 0) + size > chip.memories[space].bytes]
    names = ', '.join(f'{program.buffers[n].space} {n} ({slots[n]} slot{"s" if slots[n] > 1 else ""})' for n in buffers)
    lines = [program.buffers[n].span for n in buffers if program.buffers[n].span]
    return judge.gain('slot', f'one more for {names}, given back by {edge.name}', lines, cycles, '; '.join(over) or 'fits', bound=len(edge.ids) > 1)


def _prefixed(body: tuple[Stmt, ...], near: Instr, extra: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """`extra` at the start of the scope that holds `near`, or of the kernel."""
    def inside(block: tuple[Stmt, ...]) -> bool:
        return any(s is near for s in walk(block))

    for i, s in enumerate(body):
        if isinstance(s, Scope) and inside(s.body):
            return (*body[:i], replace(s, body=_prefixed(s.body, near, extra)), *body[i + 1:])
    return (*extra, *body)


# -- moving ---------------------------------------------------------------------------------------------------------------
def _moves(judge: Judge) -> list[Gain]:
    """A flag set earlier or waited for later, as far as it goes one place at a time, where the kernel stays clean and gains."""
    program = judge.s.source
    gains = []
    for site in sites(program):
        s = site.first
        if s.op not in ID:
            continue
        up = s.op in SETS
        moved = move(program, site, up)
        if moved is None:
            continue
        try:
            verify(moved, 'the move', judge.s.target)
        except TileTwinError:
            continue
        cycles, _ = judge.look(moved, sanitize=False)
        if judge.cycles - cycles > 0 and not judge.new(moved)[1]:
            gains.append(judge.gain('move', f'{describe(s)} one place {"up" if up else "down"}', (s.span,) if s.span else (), cycles, CLEAN, keys=(site.key,)))
    return gains
