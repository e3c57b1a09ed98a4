"""Does a mutant order every two accesses to the same bytes as the original does? Decided, not sampled.

Two accesses conflict when they share a byte and one of them writes. What a run computes depends on nothing but the order of its
conflicting accesses. For every operation of the original and every pipe this module notes the last conflicting operation that is
finished when it starts; whoever knows that one finished knows all earlier ones of that pipe finished. A mutant has the same order
relation when in its run

* every pipe executes the same operations,
* every operation knows all it knew in the original about operations it conflicts with, and
* every flag still carries each set to one wait: none is set twice or left behind, no cross flag is set or taken by several pipes.

The last point makes the run stand for all runs: which set a wait takes then does not depend on how long anything lasts.
Pairs the original leaves to the hardware (V on a5, large Mmad) stay in the order of their pipe, which the first point keeps.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from ..backends.analysis import Analyser, blocks_meet
from ..sanitize.cells import home
from ..sim.access import overlap
from ..sim.pipes import S, CoreState
from ..sim.schedule import Schedule
from ..sim.steps import ALL, Step


@dataclass
class Run:
    """Observer: what every pipe executed, and what it knew."""

    written: frozenset[str]
    ops: dict[int, list[tuple]] = field(default_factory=dict)  # pipe of a core -> (sequence number, knowledge, core, step)
    broken: str = ''  # a flag that does not carry one set to one wait
    left: int = 0  # cross flags nobody waited for: no finding, the next launch starts with fresh counters

    def issued(self, core: CoreState, step: Step, event: tuple) -> None:
        pass

    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: tuple, order: int) -> None:
        self.ops.setdefault(core.base + pipe, []).append((seq, know, core, step))

    def set_twice(self, core: CoreState, step: Step, event: tuple, earlier: tuple) -> None:
        self.broken = 'a flag is set twice'

    def overflow(self, core: CoreState, step: Step, event: tuple) -> None:
        self.broken = 'a cross flag overflows'

    def left_set(self, core: CoreState, key: tuple, event: tuple) -> None:
        self.broken = 'a flag is left set'

    def stuck(self, waits: list) -> None:
        self.broken = 'it deadlocks'


Need = dict[int, list[dict[int, int]]]  # pipe -> per operation: pipe -> number of operations of it that are finished


class Order:
    """The order relation of one launch."""

    def __init__(self, analyser: Analyser, reads: dict | None = None):
        """`reads`: the scalars each core reads from memory, where they steer it."""
        self.analyser, self.reads = analyser, reads
        self.meeting = blocks_meet(analyser.program)

    def batches(self) -> list[dict]:
        """Issue streams by (block, core): of all blocks when they meet, else of one block of each kind."""
        issuer = self.analyser.issuer
        groups = issuer.groups(self.analyser.blocks, self.reads)
        if not self.meeting:
            return [{(g.blocks[0], c): stream for c, stream in enumerate(g.streams)} for g in groups]
        blocks = sorted(b for g in groups for b in g.blocks)
        return [{(b, c): issuer.events(b, c, (self.reads or {}).get((b, c))) for b in blocks for c in range(issuer.cores)}]

    def queues(self) -> list[dict]:
        """What each pipe sees: its own instructions among those of the scalar unit that all pipes wait for."""
        expand, _ = self.analyser.plain
        out = []
        for batch in self.batches():
            found: dict = {}
            for where, stream in batch.items():
                steps = [s for event in stream for s in expand(event[0]).steps]
                shared = {S, ALL} | {s.pipe for s in steps if s.kind == 'sync_all'}
                for p in {s.pipe for s in steps}:
                    found[where, p] = [s for s in steps if s.pipe == p or s.pipe in shared]
            out.append(found)
        return out

    def runs(self) -> list[Run]:
        a = self.analyser
        expand, _ = a.plain
        out = []
        for batch in self.batches():
            run = Run(frozenset(f'GM:{name}' for name in a.issuer.shifts.written))
            outcome = Schedule(batch, a.issuer.cores - 1, expand, a.cost(), a.chip, (run,)).run()
            run.broken = run.broken or self.crossed(batch, expand)
            run.left = sum(len(queue) for c in outcome.cores for queue in c.cross.values())
            out.append(run)
        return out

    def crossed(self, batch: dict, expand) -> str:
        """A cross flag that several pipes of one side set, or several pipes of one core take, may carry them in any order."""
        ends: dict[tuple, set] = {}
        for (_, core), stream in batch.items():
            for event in stream:
                for s in expand(event[0]).steps:
                    if s.kind == 'cset':
                        # Mode 2 goes to the other kind of core, modes 0 and 1 stay with their own.
                        ends.setdefault(('set', (core > 0) == (s.other == 2), s.ident), set()).add((core > 0, s.pipe, s.other))
                    elif s.kind == 'cwait':
                        ends.setdefault(('wait', core, s.ident), set()).add(s.pipe)
        return next((f'cross flag {key[2]} has several pipes at one end' for key, pipes in ends.items() if len(pipes) > 1), '')


def needs(run: Run) -> Need:
    """For every operation the conflicting ones it knows to be finished."""
    by_memory: dict[tuple, dict] = {}
    for pipe, ops in run.ops.items():
        for at, (seq, know, core, step) in enumerate(ops):
            for a in step.accesses:
                if not a.span.memory.startswith('GM:') or a.span.memory in run.written:
                    memory = home(core, a.span.memory)
                    span = a.span._replace(memory=memory[1])
                    touched = by_memory.setdefault(memory, {}).setdefault(span, {})
                    seqs, ats = touched.setdefault((pipe, a.mode), ([], []))
                    seqs.append(seq)
                    ats.append(at)
    out: Need = {pipe: [{} for _ in ops] for pipe, ops in run.ops.items()}
    for spans in by_memory.values():
        cells = list(spans.items())
        for one, mine in cells:
            for two, theirs in cells:
                if one is two or overlap(one, two):
                    _note(run, out, mine, theirs)
    return out


def _note(run: Run, out: Need, mine: dict, theirs: dict) -> None:
    for (pipe, mode), (_, ats) in mine.items():
        for (other, how), (seqs, positions) in theirs.items():
            if mode == how and mode in 'ra':
                continue
            for at in ats:
                finished = bisect_right(seqs, run.ops[pipe][at][1][other])
                if finished:
                    need = out[pipe][at]
                    need[other] = max(need.get(other, 0), positions[finished - 1] + 1)


def lost(needed: Need, original: Run, mutant: Run) -> str:
    """What the mutant's run lacks of the original's order; empty when nothing."""
    if original.broken or mutant.broken:
        return mutant.broken or f'the kernel itself cannot be followed: {original.broken}'
    if {p: len(ops) for p, ops in original.ops.items()} != {p: len(ops) for p, ops in mutant.ops.items()}:
        return 'it executes other operations'
    for pipe, ops in mutant.ops.items():
        for at, (_, know, core, step) in enumerate(ops):
            if step != original.ops[pipe][at][3]:
                return 'it executes other operations'
            for other, count in needed[pipe][at].items():
                if know[other] < mutant.ops[other][count - 1][0]:
                    return f'{step.op} on {core.name} no longer waits for {mutant.ops[other][count - 1][3].op}'
    return ''
