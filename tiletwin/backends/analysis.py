"""Hazards and clock of one launch: issue streams, event simulation, checkers, whole-launch time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..ir.nodes import Instr, Program, walk
from ..ir.ops import PIPES
from ..machine.chip import Chip
from ..machine.cost import CostModel, l2_hit
from ..sanitize.checker import Checker
from ..sanitize.findings import Finding
from ..sim.access import Geometry, evaluate
from ..sim.issue import Group, Issuer
from ..sim.pipes import CoreState
from ..sim.result import CORES, Arrow, Slice, Stream, Timeline
from ..sim.schedule import Outcome, Schedule, flag_name
from ..sim.steps import Expanded, Expander


@dataclass
class Analysis:
    """What one launch shape does, independent of the data it moves."""

    blocks: int
    streams: list[Stream]
    cycles: float
    checker: Checker | None
    gm_read: int
    gm_written: int
    launch_kind: str
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def fatal(self) -> bool:
        """Running the data would leave memory or never end."""
        return any(f.word in ('oob', 'deadlock') and f.severity == 'error' for f in self.findings)


def blocks_meet(program: Program) -> bool:
    """Do blocks synchronise with one another?"""
    return any(isinstance(s, Instr) and (s.op == 'sync_all' or s.op == 'set_cross_flag' and s.attrs.get('mode', 2) == 0) for s in walk(program.body))


def launch_kind(program: Program) -> str:
    spaces = {b.space for b in program.on_chip()}
    cube, vector = bool(spaces & {'L1', 'L0A', 'L0B', 'L0C'}), 'UB' in spaces
    return 'mix' if cube and vector else 'cube' if cube else 'vector'


class Analyser:
    def __init__(self, program: Program, chip: Chip, target: str, scalars: dict[str, int | float], sanitize: bool):
        self.program, self.chip, self.target, self.scalars, self.sanitize = program, chip, target, scalars, sanitize
        self.issuer = Issuer(program, scalars)
        self.ints = {k: v for k, v in scalars.items() if isinstance(v, int)}
        self.geometry = Geometry(program, self.ints)
        self.blocks = evaluate(program.launch.blocks, self.ints)
        self.kind = launch_kind(program)

    def cost(self, hit: float) -> CostModel:
        busy = min(self.blocks, self.chip.cube_cores)
        return CostModel(self.chip, busy if self.kind != 'vector' else 0, busy * self.program.launch.vectors if self.kind != 'cube' else 0, hit)

    def expander(self, cost: CostModel):
        expander = Expander(self.program, self.geometry, self.chip, cost, self.target)
        statics = self.issuer.statics
        cache: dict[tuple, Expanded] = {}

        def expand(key: tuple) -> Expanded:
            found = cache.get(key)
            if found is None:
                static = statics[key[0]]
                values = dict(zip(static.holes, key[1:]))
                found = expander.expand(static.instr, values, static.role) if static.kind == 'instr' else expander.scalar(static.kind, static.instr, values)
                cache[key] = found
            return found

        return expand, cache

    def traffic(self, groups: list[Group]) -> tuple[int, int]:
        """GM bytes the whole launch reads and writes."""
        expand, _ = self.expander(self.cost(0.0))
        read = written = 0
        for g in groups:
            steps = [s for stream in g.streams for event in stream for s in expand(event[0]).steps]
            read += sum(s.gm_read for s in steps) * len(g.blocks)
            written += sum(s.gm_written for s in steps) * len(g.blocks)
        return read, written

    def run(self, poisoned: frozenset[str], logs: dict | None = None) -> Analysis:
        groups = self.issuer.groups(self.blocks, logs)
        read, written = self.traffic(groups)
        # What the launch writes itself is read back from L2.
        footprint = sum(self.geometry.elements(b.name) * b.es for b in self.program.tensors if b.name not in poisoned)
        cost = self.cost(l2_hit(self.chip, read, footprint))
        expand, cache = self.expander(cost)
        checker = Checker(self.program, self.issuer.statics, self.chip, self.issuer.shifts.written, poisoned, self.geometry.limit) if self.sanitize else None
        streams: list[Stream] = []
        per_block: dict[int, float] = {}
        meeting = blocks_meet(self.program)
        batches = [groups] if meeting else [[g] for g in groups]
        for batch in batches:
            cores = {}
            for g in batch:
                for block in g.blocks if meeting else g.blocks[:1]:
                    for c, events in enumerate(g.streams if block == g.blocks[0] else [self.issuer.events(block, c) for c in range(self.issuer.cores)]):
                        cores[block, c] = events
            out = Schedule(cores, self.issuer.cores - 1, expand, cost, self.chip, (checker,) if checker else ()).run()
            if checker:
                for (block, c), events in cores.items():
                    if any(e.faults for e in cache.values()):
                        checker.faults(events, cache, CORES[c], block)
                checker.end(None if meeting else batch[0])
                checker.begin()
            for g in batch:
                streams.append(Stream(tuple(g.blocks), self.timeline(out, g.blocks[0]), sum(map(len, g.streams))))
                per_block |= dict.fromkeys(g.blocks, out.cycles)
        if checker:
            if not meeting:
                checker.blocks.check()
            elif self.blocks > self.chip.cube_cores:
                checker.too_many_blocks(self.blocks, self.program)
        return Analysis(self.blocks, streams, self.whole(per_block, cost, meeting), checker, read, written, self.kind, checker.findings() if checker else ())

    def whole(self, per_block: dict[int, float], cost: CostModel, meeting: bool) -> float:
        """Launch time: blocks go round the cores in waves."""
        if meeting:
            return cost.launch(self.kind) + max(per_block.values(), default=0.0)
        busy = [0.0] * self.chip.cube_cores
        for block in range(self.blocks):
            core = block % self.chip.cube_cores
            busy[core] += per_block[block] + (cost.block_overhead() if busy[core] else 0.0)
        return cost.launch(self.kind) + max(busy)

    def timeline(self, out: Outcome, block: int) -> Timeline:
        mine = {c.index: c.name for c in out.cores if c.block == block}
        busy = {(c.name, PIPES[p]): c.busy[p] for c in out.cores if c.index in mine for p in range(len(PIPES)) if c.busy[p]}
        statics = self.issuer.statics

        def set_span(setter):
            # A cross flag also says which core set it.
            event = setter[1] if isinstance(setter[0], CoreState) else setter
            return statics[event[0][0]].span

        def build():
            slices, position = [], {}
            for i, (core, p, start, end, step, event, kind, issued, setter) in enumerate(out.slices):
                if core in mine:
                    position[i] = len(slices)
                    static = statics[event[0][0]]
                    loop = ', '.join(f'{n}={v}' for n, v in zip(static.loops, event[1]))
                    flag, set_at = (flag_name(step), set_span(setter)) if kind == 'wait' else ('', None)
                    slices.append(Slice(mine[core], PIPES[p], start, end, step.op, static.span, loop, kind, step.gm_read + step.gm_written,
                                        issued, flag, set_at))
            arrows = [Arrow(position[a], position[b], name) for a, b, name in out.arrows if a in position and b in position]
            return slices, arrows

        return Timeline(cycles=out.cycles, busy=busy, build=build)


def count_syncs(program: Program) -> dict[str, int]:
    """Synchronisation statements in the text of the program, by kind."""
    kinds = ('set_flag', 'wait_flag', 'pipe_barrier', 'sync_all', 'set_cross_flag', 'wait_cross_flag')
    found = Counter('barrier_all' if s.op == 'pipe_barrier' and s.args[0] == 'ALL' else s.op for s in walk(program.body)
                    if isinstance(s, Instr) and s.op in kinds)
    return dict(sorted(found.items()))
