"""Hazards and clock of one launch: issue streams, event simulation, checkers, whole-launch time."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from ..ir.nodes import Instr, Program, walk
from ..ir.ops import OPS, PIPES
from ..machine.chip import Chip
from ..machine.cost import CostModel, Residency
from ..machine.l2 import Tensor, crowds, fits, hbm_cycles, hit_shares, residency
from ..sanitize.checker import Checker
from ..sanitize.findings import Finding
from ..sim.access import Geometry, evaluate
from ..sim.congruence import Congruence, lonely, on_chip
from ..sim.issue import Group, Issuer
from ..sim.result import CORES, Stream, Traffic
from ..sim.schedule import Schedule
from ..sim.steps import Expanded, Expander
from ..sim.touches import touches
from .timeline import timeline


# Rounds of slowing transfers down to what HBM moves, and the share of its time that is close enough.
SQUEEZES, CLOSE = 4, 0.97


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
    traffic: Traffic = Traffic()
    flops: dict[str, int] = field(default_factory=dict)
    simulated: int = 0  # events; those of skipped repetitions left out

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
    def __init__(self, program: Program, chip: Chip, target: str, scalars: dict[str, int | float], sanitize: bool,
                 warm: bool = False, skip: bool = True, bypass: frozenset[str] = frozenset()):
        """`warm`: a launch like this one has just run, so that L2 holds what of the tensors fits. `bypass`: tensors whose reads do not enter L2.
        `skip` off simulates every repetition of a loop; nothing but the seconds it takes depends on it."""
        self.program, self.chip, self.target, self.scalars, self.sanitize, self.warm, self.skip = program, chip, target, scalars, sanitize, warm, skip
        self.bypass = bypass
        self.issuer = Issuer(program, scalars)
        self.ints = {k: v for k, v in scalars.items() if isinstance(v, int)}
        self.geometry = Geometry(program, self.ints)
        self.blocks = evaluate(program.launch.blocks, self.ints)
        self.kind = launch_kind(program)

    def cost(self, residency: Residency = Residency()) -> CostModel:
        busy = min(self.blocks, self.chip.cube_cores)
        l1_read = any(b.space in ('L0A', 'L0B', 'L0C') for b in self.program.on_chip())
        return CostModel(self.chip, busy if self.kind != 'vector' else 0, busy * self.program.launch.vectors if self.kind != 'cube' else 0, residency, l1_read)

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

    def priced(self, cost: CostModel):
        """What `plain` expanded, its transfers at the cost of what L2 holds."""
        plain, _ = self.plain
        expander = Expander(self.program, self.geometry, self.chip, cost, self.target)
        return functools.cache(lambda key: expander.again(plain(key)))

    @functools.cached_property
    def plain(self):
        """An expander for what does not depend on the contents of L2."""
        return self.expander(self.cost())

    def traffic(self, groups: list[Group], fresh: frozenset[str]) -> list[Tensor]:
        """What the whole launch moves of every GM tensor; `fresh` ones hold nothing before it."""
        expand, _ = self.plain
        moved = {b.name: [0, 0] for b in self.program.tensors}
        for g in groups:
            for key, times, _ in (count for stream in g.streams for count in stream.counts()):
                for step in expand(key).steps:
                    if step.gm_read or step.gm_written:
                        (name,) = {a.span.memory for a in step.accesses if a.span.memory.startswith('GM:')}
                        of = moved[name.removeprefix('GM:')]
                        of[0] += step.gm_read * times * len(g.blocks)
                        of[1] += step.gm_written * times * len(g.blocks)
        return [Tensor(b.name, self.geometry.elements(b.name) * b.es, *moved[b.name], b.name in fresh) for b in self.program.tensors]

    def flops(self, groups: list[Group]) -> dict[str, int]:
        """Work of the cube and vector units in the whole launch, by data type."""
        expand, _ = self.plain
        found: Counter = Counter()
        for g in groups:
            for key, times, _ in (count for stream in g.streams for count in stream.counts()):
                for step in expand(key).steps:
                    if step.flops:
                        found[f'{"cube" if PIPES[step.pipe] == "M" else "vector"} {step.dtype}'] += step.flops * times * len(g.blocks)
        return dict(sorted(found.items()))

    def residency(self, tensors: list[Tensor]) -> Residency:
        """What L2 does for this launch."""
        small = fits(self.chip, tensors)
        if self.issuer.depends_on_data is not None or small and not self.only_copies:
            return residency(self.chip, tensors, warm=self.warm, bypass=self.bypass)
        sites, which, at, part = touches(self.program, self.geometry, self.scalars, self.blocks, self.chip.cube_cores)
        index = {t.name: i for i, t in enumerate(tensors)}
        tensor, size, read = (np.array(column)[which] for column in ([index[n] for n, _, _ in sites], [b for _, b, _ in sites], [r for _, _, r in sites]))
        found = residency(self.chip, tensors, None if small else hit_shares(self.chip, tensors, tensor, at, size, read, part), self.warm, self.bypass)
        if not self.only_copies:
            return found
        cores = min(self.blocks, self.chip.cube_cores) * (self.program.launch.vectors if self.kind == 'vector' else 1)
        return replace(found, crowds=crowds(tensors, tensor, at, cores))

    @functools.cached_property
    def only_copies(self) -> bool:
        """Cores that only copy stay in step; what they compute between copies would let them drift apart."""
        return len(self.program.tensors) > 0 and not any(isinstance(s, Instr) and OPS[s.op].pipe in ('M', 'V') for s in walk(self.program.body))

    def run(self, poisoned: frozenset[str], logs: dict | None = None) -> Analysis:
        groups = self.issuer.groups(self.blocks, logs)
        tensors = self.traffic(groups, poisoned)
        read, written = sum(t.read for t in tensors), sum(t.written for t in tensors)
        resident = self.residency(tensors)
        if resident.spilled:
            resident = self.squeezed(groups, resident, hbm_cycles(self.chip, tensors, resident), poisoned)
        cost = self.cost(resident)
        checker = Checker(self.program, self.issuer.statics, self.chip, self.issuer.shifts.written, poisoned, self.geometry.limit) if self.sanitize else None
        streams, per_block, simulated = self.play(groups, cost, checker, poisoned)
        if checker:
            if not blocks_meet(self.program):
                checker.blocks.check()
            elif self.blocks > self.chip.cube_cores:
                checker.too_many_blocks(self.blocks, self.program)
        return Analysis(self.blocks, streams, self.whole(per_block, cost), checker, read, written, self.kind, checker.findings() if checker else (),
                        split(tensors, resident), self.flops(groups), simulated)

    def squeezed(self, groups: list[Group], resident: Residency, least: float, poisoned: frozenset[str]) -> Residency:
        """A launch is not over before HBM has moved its bytes, whichever pipes they belong to: misses and spilled writes are slowed until it is so."""
        for _ in range(SQUEEZES):
            cost = self.cost(resident)
            taken = self.whole(self.play(groups, cost, None, poisoned)[1], cost) - cost.launch(self.kind)
            if taken >= CLOSE * least:
                break
            resident = replace(resident, slowed=resident.slowed * least / taken)
        return resident

    def play(self, groups: list[Group], cost: CostModel, checker: Checker | None, poisoned: frozenset[str]) -> tuple[list[Stream], dict[int, float], int]:
        """Timelines, cycles of every block, and instructions simulated."""
        expand = self.priced(cost)
        streams: list[Stream] = []
        per_block: dict[int, float] = {}
        simulated = 0
        meeting = blocks_meet(self.program)
        batches = [groups] if meeting else [[g] for g in groups]
        for batch in batches:
            cores = {}
            for g in batch:
                for block in g.blocks if meeting else g.blocks[:1]:
                    for c, events in enumerate(g.streams if block == g.blocks[0] else [self.issuer.events(block, c) for c in range(self.issuer.cores)]):
                        cores[block, c] = events
            matters = on_chip
            if checker:
                alone = lonely(cores.values(), expand, checker.gm, poisoned)
                checker.begin(alone)
                matters = checker.matters(alone)
            classes = Congruence(self.issuer.keys, expand, matters) if self.skip else None
            out = Schedule(cores, self.issuer.cores - 1, expand, cost, self.chip, (checker,) if checker else (), classes).run()
            if checker:
                for (block, c), events in cores.items():
                    checker.faults(events, expand, CORES[c], block)
                checker.end(None if meeting else batch[0], out.cores, expand)
            simulated += out.simulated
            for g in batch:
                streams.append(Stream(tuple(g.blocks), timeline(out, g.blocks[0], self.issuer.statics), sum(map(len, g.streams))))
                per_block |= dict.fromkeys(g.blocks, out.cycles)
        return streams, per_block, simulated

    def whole(self, per_block: dict[int, float], cost: CostModel) -> float:
        """Launch time: blocks go round the cores in waves."""
        if blocks_meet(self.program):
            return cost.launch(self.kind) + max(per_block.values(), default=0.0)
        busy = [0.0] * self.chip.cube_cores
        for block in range(self.blocks):
            core = block % self.chip.cube_cores
            busy[core] += per_block[block] + (cost.block_overhead() if busy[core] else 0.0)
        return cost.launch(self.kind) + max(busy)


def split(tensors: list[Tensor], resident: Residency) -> Traffic:
    """The bytes of a launch by the memory that serves them."""
    found = sum(t.read * resident.hits.get(t.name, 0.0) for t in tensors)
    written = sum(t.written for t in tensors)
    return Traffic(sum(t.read for t in tensors) - found, found, resident.spilled * written, written)


def count_syncs(program: Program) -> dict[str, int]:
    """Synchronisation statements in the text of the program, by kind."""
    kinds = ('set_flag', 'wait_flag', 'pipe_barrier', 'sync_all', 'set_cross_flag', 'wait_cross_flag')
    found = Counter('barrier_all' if s.op == 'pipe_barrier' and s.args[0] == 'ALL' else s.op for s in walk(program.body)
                    if isinstance(s, Instr) and s.op in kinds)
    return dict(sorted(found.items()))
