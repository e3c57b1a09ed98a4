"""racecheck: two accesses to one byte, one of them a write, with nothing that orders them.

Rules of hardware.md 2: between pipes and cores only flags, barriers and cross flags order anything. Inside a pipe the
next instruction may start before the previous one has finished, so the same rule holds there, except where the
hardware orders: the scalar pipe, V on a5, and Mmad on large enough tiles.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..ir.ops import PIPES
from ..sim.access import Access
from ..sim.pipes import S, CoreState
from ..sim.steps import Step
from .cells import CellMap
from .findings import Finding, Side
from .source import At, Sites, interval

M, V = PIPES.index('M'), PIPES.index('V')
SMALL_MMAD = 10  # fractals of L0C below which back-to-back Mmad need a PIPE_M barrier
CACHE_OP = 'datacachecleanandinvalid_experiment'
QUEUE = 16  # instructions of one pipe that can be in flight together
_KIND = {'wr': 'RAW', 'rw': 'WAR', 'ww': 'WAW'}


class Record(NamedTuple):
    """One access as it happened."""

    seq: int  # number of the instruction in its pipe
    core: CoreState
    pipe: int
    step: Step
    event: int
    order: int  # in the issue order of the core
    know: list  # what was finished when it started
    access: Access

    def finished(self, other: 'Record') -> bool:
        """Was `other` finished when this one started?"""
        return self.know[other.core.base + other.pipe] >= other.seq


class RaceCheck:
    """Observer of a Schedule."""

    def __init__(self, sites: Sites, chip, written: set[str], lonely: frozenset[Access] = frozenset()):
        self.sites, self.chip, self.lonely = sites, chip, lonely
        self.written = {f'GM:{name}' for name in written}  # tensors no instruction writes cannot race
        self.map = CellMap()
        self.bound: dict[tuple[int, int], list] = {}
        self.found: dict[tuple, list] = {}
        self.stale: dict[tuple, list] = {}
        self.turned: dict[tuple, list] = {}  # ordered, but against the order of the text
        self.cleaned: dict[int, int] = {}  # core -> issue order of its last data cache operation

    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: int, order: int) -> None:
        if step.op == CACHE_OP:
            self.cleaned[core.index] = order
            return
        key = (core.index, id(step))
        cells = self.bound.get(key)
        if cells is None:
            cells = self.bound[key] = [(self.map.get(core, a.span), a) for a in step.accesses
                                        if not a.span.memory.startswith('GM:') or a.span.memory in self.written and a not in self.lonely]
        me = core.base + pipe
        now = [Record(seq, core, pipe, step, event, order, know, access) for _, access in cells]
        hits: list[tuple[str, Record, Record]] = []
        for (cell, access), record in zip(cells, now):
            mode = access.mode
            writes = mode != 'r'
            for other in cell.near:
                if other.writes:
                    self.against(other.writes, 'ww' if mode in 'wa' else 'wr', me, record, hits)
                if writes and other.reads:
                    self.against(other.reads, 'rw', me, record, hits)
                if other.atomics and mode != 'a':
                    self.against(other.atomics, 'ww' if writes else 'wr', me, record, hits)
        if hits:
            self.keep(hits)
        for (cell, access), record in zip(cells, now):
            if access.mode == 'a':
                cell.atomics[me] = record
            else:
                if access.mode != 'r':
                    cell.writes[me] = record
                if access.mode != 'w':
                    cell.reads[me] = record

    def against(self, table: dict[int, Record], kind: str, me: int, now: Record, hits: list) -> None:
        for pipe, earlier in table.items():
            if now.know[pipe] >= earlier.seq:
                if earlier.order > now.order and earlier.core is now.core:
                    self.turned.setdefault((kind, earlier.core.events.sid(earlier.event), now.core.events.sid(now.event), now.access.buffer), [kind, earlier, now])
                if (earlier.pipe == S) != (now.pipe == S) and now.access.span.memory.startswith('GM:'):
                    self.cached(kind, earlier, now)
            elif pipe != me or self.same_pipe(earlier, now):
                hits.append((kind, earlier, now))

    def keep(self, hits: list[tuple[str, Record, Record]]) -> None:
        """Of several accesses unordered with `now` only the nearest need be ordered: those beyond follow from it."""
        for kind, a, b in hits:
            # The simulation may meet two accesses in the other order than the kernel issues them.
            late = [h.core is b.core and h.order > b.order for _, h, _ in hits]
            mine = a.core is b.core and a.order > b.order
            if any(h is not a and lh == mine and (a if mine else h).finished(h if mine else a) for (_, h, _), lh in zip(hits, late)):
                continue
            if mine:
                a, b, kind = b, a, kind[::-1]
            key = (kind, a.core.events.sid(a.event), b.core.events.sid(b.event), a.pipe, b.pipe, a.core.name, b.core.name, b.access.buffer, a.step.op, b.step.op)
            entry = self.found.get(key)
            if entry is None:
                self.found[key] = [1, a, b]
            else:
                entry[0] += 1

    def cached(self, kind: str, earlier: Record, now: Record) -> None:
        """Scalar GM accesses go through the data cache, DMA does not see it: in order is not enough without a cache operation."""
        if earlier.order > self.cleaned.get(earlier.core.index, 0) and kind != 'rw':
            self.stale.setdefault((kind, earlier.core.events.sid(earlier.event), now.core.events.sid(now.event), now.access.buffer), [kind, earlier, now])

    def same_pipe(self, earlier: Record, now: Record) -> bool:
        """Is an unordered pair of one pipe a hazard?"""
        if now.pipe == S:
            return False
        if now.pipe == V:
            return self.chip.needs_v_barrier
        if now.pipe == M:
            return min(earlier.step.fractals, now.step.fractals) < SMALL_MMAD
        return now.seq - earlier.seq <= QUEUE

    def visit(self, v) -> None:
        """`state.visit`: the last accesses of every cell, and how often each race was met."""
        v.same((len(self.map.cells), len(self.found), len(self.stale)))
        for entry in self.found.values():
            entry[0] = v.total(entry[0])
        for index, order in self.cleaned.items():
            self.cleaned[index] = v.order(order, index)
        for cell in self.map.cells.values():
            for table in (cell.writes, cell.reads, cell.atomics):
                v.same(len(table))
                for pipe, r in table.items():
                    v.same((pipe, v.token(r.step)))
                    table[pipe] = r._replace(seq=v.seq(r.seq, pipe, QUEUE), event=v.event(r.event, r.core.index), order=v.order(r.order, r.core.index), know=v.know(r.know))

    # -- report -------------------------------------------------------------------------------------------------------
    def findings(self, same_value: set[str] = frozenset()) -> list[Finding]:
        out = []
        for key, entry in self.found.items():
            if any(self.follows(entry, other) for other in self.found.values()):
                continue
            f = self.finding(key, *entry)
            if self.rewrites(entry) in same_value:
                f = replace(f, severity='review', message=f.message + '; both store the same value')
            out.append(f)
        return out + [self.stale_finding(*entry) for entry in self.stale.values()] + [self.turned_finding(*entry) for entry in self.turned.values()]

    @staticmethod
    def follows(entry: list, other: list) -> bool:
        """Would ordering `other` order this pair too? Its first side starts only when this one's is finished."""
        (_, a, b), (_, a2, b2) = entry, other
        same_end = b.event == b2.event and b.core is b2.core and b.access.buffer == b2.access.buffer
        return same_end and a2 is not a and a2.finished(a) and not a.finished(a2)

    def stale_finding(self, kind: str, earlier: Record, now: Record) -> Finding:
        verb = {'r': 'reads', 'w': 'writes'}
        sides = tuple(self.side(verb[k], e) for k, e in zip(kind, (earlier, now)))
        return Finding('racecheck', 'race', 'review', f'{now.access.buffer} is accessed by scalar code and by DMA without a cache operation between', sides,
                       'scalar loads and stores of GM go through the data cache of the core, which DMA neither reads nor invalidates',
                       f'T.tile.{CACHE_OP}({now.access.buffer}, ...) between the two', interval(earlier.access.span, now.access.span))

    def turned_finding(self, kind: str, first: Record, above: Record) -> Finding:
        """`first` runs first, `above` stands above it."""
        verb = {'r': 'reads', 'w': 'writes'}
        sides = self.side(verb[kind[1]], above), self.side(verb[kind[0]], first)
        p, q = PIPES[first.pipe], PIPES[above.pipe]
        return Finding('racecheck', 'race', 'error', f'{above.core.name} {p} {first.step.op} {verb[kind[0]]} {above.access.buffer} before {q} {above.step.op}, '
                       f'which stands above it, {verb[kind[1]]} it', sides, f'a flag makes {q} wait for an instruction of {p} that is issued later',
                       f"T.wait_flag('{p.lower()}', '{q.lower()}', id) behind the set it is meant for, or the two lines in the order they are to run",
                       interval(first.access.span, above.access.span))

    def side(self, role: str, r: Record) -> Side:
        return self.sites.side(role, At(r.core.events, r.event), r.step.op, r.pipe, r.core.name, r.core.block, r.access)

    def rewrites(self, entry: list) -> str | None:
        """The GM tensor two cores write, when that is all the entry is about."""
        _, a, b = entry
        tensor = b.access.span.memory
        return tensor[3:] if tensor.startswith('GM:') and a.core is not b.core else None

    def gm_kinds(self) -> list[tuple[str, str]]:
        """(tensor, kind) of every race on GM; one inside a core counts as kind 'own'."""
        return [(e[2].access.span.memory[3:], _KIND[key[0]] if self.rewrites(e) else 'own') for key, e in self.found.items()
                if e[2].access.span.memory.startswith('GM:')]

    def finding(self, key: tuple, count: int, earlier: Record, now: Record) -> Finding:
        first, second = key[0]
        kind = _KIND[key[0]]
        core_a, core_b, op_a, op_b, access = earlier.core, now.core, earlier.step.op, now.step.op, now.access
        verb = {'r': 'reads', 'w': 'writes'}
        sides = self.side(verb[first], earlier), self.side(verb[second], now)
        p, q = PIPES[earlier.pipe], PIPES[now.pipe]
        message = (f'{kind} on {access.buffer}: {core_b.name} {q} {op_b} {verb[second]} it while {core_a.name} {p} {op_a} '
                   f'may still be {"reading" if first == "r" else "writing"}')
        severity = 'error'
        if core_a is not core_b:
            why = f'no cross-core flag orders {core_a.name} {p} before {core_b.name} {q}'
            fix = (f"T.set_cross_flag('{p}', id) after {_line(sides[0])}, T.wait_cross_flag(id) before {_line(sides[1])}"
                   if core_a.block == core_b.block else 'let one block own these bytes, or order the blocks with T.sync_all()')
        elif p == q:
            why = f'{p} starts an instruction before the previous one has finished; a barrier of the pipe is what orders them'
            fix = f"T.pipe_barrier('{p.lower()}') before {_line(sides[1])}"
            if p == 'V':
                severity = 'review'
                why += '. AscendC inserts it, PTO does not'
        else:
            why = f'no flag or barrier makes {q} wait until {p} is done with these bytes'
            fix = f"T.set_flag('{p.lower()}', '{q.lower()}', id) after {_line(sides[0])}, T.wait_flag('{p.lower()}', '{q.lower()}', id) before {_line(sides[1])}"
            if 'S' in (p, q):
                fix += ', or T.barrier_all() between them'
        return Finding('racecheck', 'race', severity, message, sides, why, fix, interval(earlier.access.span, access.span), count)


def _line(side) -> str:
    return f'line {side.span.line}' if side.span else side.op


