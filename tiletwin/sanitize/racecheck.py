"""racecheck: two accesses to one byte, one of them a write, with nothing that orders them.

Rules of hardware.md 2: between pipes and cores only flags, barriers and cross flags order anything. Inside a pipe the
next instruction may start before the previous one has finished, so the same rule holds there, except where the
hardware orders: the scalar pipe, V on a5, and Mmad on large enough tiles.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.ops import PIPES
from ..sim.pipes import S, CoreState
from ..sim.steps import Step
from .cells import CellMap
from .findings import Finding
from .source import Sites, interval

M, V = PIPES.index('M'), PIPES.index('V')
SMALL_MMAD = 10  # fractals of L0C below which back-to-back Mmad need a PIPE_M barrier
CACHE_OP = 'datacachecleanandinvalid_experiment'
QUEUE = 16  # instructions of one pipe that can be in flight together
_KIND = {'wr': 'RAW', 'rw': 'WAR', 'ww': 'WAW'}


class RaceCheck:
    """Observer of a Schedule."""

    def __init__(self, sites: Sites, chip, written: set[str]):
        self.sites, self.chip = sites, chip
        self.written = {f'GM:{name}' for name in written}  # tensors no instruction writes cannot race
        self.map = CellMap()
        self.bound: dict[tuple[int, int], list] = {}
        self.found: dict[tuple, list] = {}
        self.stale: dict[tuple, list] = {}
        self.cleaned: dict[int, int] = {}  # core -> issue order of its last data cache operation

    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: tuple, order: int) -> None:
        if step.op == CACHE_OP:
            self.cleaned[core.index] = order
            return
        key = (core.index, id(step))
        cells = self.bound.get(key)
        if cells is None:
            cells = self.bound[key] = [(self.map.get(core, a.span), a) for a in step.accesses
                                        if not a.span.memory.startswith('GM:') or a.span.memory in self.written]
        me = core.base + pipe
        record = (seq, core, pipe, step, event, order)
        for cell, access in cells:
            mode = access.mode
            writes = mode != 'r'
            for other in cell.near:
                if other.writes:
                    self.against(other.writes, 'w', 'w' if mode in 'wa' else 'r', know, me, record, access)
                if writes and other.reads:
                    self.against(other.reads, 'r', 'w', know, me, record, access)
                if other.atomics and mode != 'a':
                    self.against(other.atomics, 'w', 'w' if writes else 'r', know, me, record, access)
        for cell, access in cells:
            entry = (*record, access)
            if access.mode == 'a':
                cell.atomics[me] = entry
            else:
                if access.mode != 'r':
                    cell.writes[me] = entry
                if access.mode != 'w':
                    cell.reads[me] = entry

    def against(self, table: dict, was: str, now: str, know: list, me: int, record: tuple, access) -> None:
        for pipe, earlier in table.items():
            if know[pipe] >= earlier[0]:
                if (earlier[2] == S) != (record[2] == S) and access.span.memory.startswith('GM:'):
                    self.cached(was + now, earlier, (*record, access))
                continue
            if pipe == me and not self.same_pipe(earlier, record):
                continue
            a, b, kind = earlier, (*record, access), was + now
            if a[1] is b[1] and a[5] > b[5]:  # the simulation met them in the other order than the kernel issues them
                a, b, kind = b, a, now + was
            key = (kind, a[4][0][0], b[4][0][0], a[2], b[2], a[1].name, b[1].name, access.buffer, a[3].op, b[3].op)
            entry = self.found.get(key)
            if entry is None:
                self.found[key] = [1, a, b]
            else:
                entry[0] += 1

    def cached(self, kind: str, earlier: tuple, now: tuple) -> None:
        """Scalar GM accesses go through the data cache, DMA does not see it: in order is not enough without a cache operation."""
        if earlier[5] > self.cleaned.get(earlier[1].index, 0) and kind != 'rw':
            self.stale.setdefault((kind, earlier[4][0][0], now[4][0][0], now[6].buffer), [kind, earlier, now])

    def same_pipe(self, earlier: tuple, now: tuple) -> bool:
        """Is an unordered pair of one pipe a hazard?"""
        pipe = now[2]
        if pipe == S:
            return False
        if pipe == V:
            return self.chip.needs_v_barrier
        if pipe == M:
            return min(earlier[3].fractals, now[3].fractals) < SMALL_MMAD
        return now[0] - earlier[0] <= QUEUE

    # -- report -------------------------------------------------------------------------------------------------------
    def findings(self, same_value: set[str] = frozenset()) -> list[Finding]:
        out = []
        for key, entry in self.found.items():
            f = self.finding(key, *entry)
            if self.rewrites(entry) in same_value:
                f = replace(f, severity='review', message=f.message + '; both store the same value')
            out.append(f)
        return out + [self.stale_finding(*entry) for entry in self.stale.values()]

    def stale_finding(self, kind: str, earlier: tuple, now: tuple) -> Finding:
        verb = {'r': 'reads', 'w': 'writes'}
        sides = tuple(self.sites.side(verb[k], e[4], e[3].op, e[2], e[1].name, e[1].block, e[6]) for k, e in zip(kind, (earlier, now)))
        return Finding('racecheck', 'race', 'review', f'{now[6].buffer} is accessed by scalar code and by DMA without a cache operation between', sides,
                       'scalar loads and stores of GM go through the data cache of the core, which DMA neither reads nor invalidates',
                       f'T.tile.{CACHE_OP}({now[6].buffer}, ...) between the two', interval(earlier[6].span, now[6].span))

    def rewrites(self, entry: list) -> str | None:
        """The GM tensor two cores write, when that is all the entry is about."""
        _, a, b = entry
        tensor = b[6].span.memory
        return tensor[3:] if tensor.startswith('GM:') and a[1] is not b[1] else None

    def gm_kinds(self) -> list[tuple[str, str]]:
        """(tensor, kind) of every race on GM; one inside a core counts as kind 'own'."""
        return [(e[2][6].span.memory[3:], _KIND[key[0]] if self.rewrites(e) else 'own') for key, e in self.found.items()
                if e[2][6].span.memory.startswith('GM:')]

    def finding(self, key: tuple, count: int, earlier: tuple, now: tuple) -> Finding:
        first, second = key[0]
        kind = _KIND[key[0]]
        _, core_a, pipe_a, step_a, event_a, _, access_a = earlier
        _, core_b, pipe_b, step_b, event_b, _, access = now
        verb = {'r': 'reads', 'w': 'writes'}
        sides = (self.sites.side(verb[first], event_a, step_a.op, pipe_a, core_a.name, core_a.block, access_a),
                 self.sites.side(verb[second], event_b, step_b.op, pipe_b, core_b.name, core_b.block, access))
        p, q = PIPES[pipe_a], PIPES[pipe_b]
        message = (f'{kind} on {access.buffer}: {core_b.name} {q} {step_b.op} {verb[second]} it while {core_a.name} {p} {step_a.op} '
                   f'may still be {"reading" if first == "r" else "writing"}')
        severity = 'error'
        if core_a is not core_b:
            why = f'no cross-core flag orders {core_a.name} {p} before {core_b.name} {q}'
            fix = (f"T.set_cross_flag('{p}', id) after {_line(sides[0])}, T.wait_cross_flag(id) before {_line(sides[1])}"
                   if core_a.block == core_b.block else 'let one block own these bytes, or order the blocks with T.sync_all()')
        elif pipe_a == pipe_b:
            why = f'{p} starts an instruction before the previous one has finished; a barrier of the pipe is what orders them'
            fix = f"T.pipe_barrier('{p.lower()}') before {_line(sides[1])}"
            if pipe_a == V:
                severity = 'review'
                why += '. AscendC inserts it, PTO does not'
        else:
            why = f'no flag or barrier makes {q} wait until {p} is done with these bytes'
            fix = f"T.set_flag('{p.lower()}', '{q.lower()}', id) after {_line(sides[0])}, T.wait_flag('{p.lower()}', '{q.lower()}', id) before {_line(sides[1])}"
            if S in (pipe_a, pipe_b):
                fix += ', or T.barrier_all() between them'
        return Finding('racecheck', 'race', severity, message, sides, why, fix, interval(access_a.span, access.span), count)

    def gm_tensors(self) -> set[str]:
        """GM tensors that take part in a race."""
        return {access.span.memory for _, _, (*_, access) in self.found.values() if access.span.memory.startswith('GM:')}


def _line(side) -> str:
    return f'line {side.span.line}' if side.span else side.op


