"""The default backend: a launch on the embedded simulator."""

from __future__ import annotations

import time
from collections import OrderedDict

import torch

from ..errors import UnsupportedError
from ..ir.nodes import Program
from ..machine.chip import chip as chip_of
from ..passes.addresses import peak
from ..passes.hoist_loads import hoist_loads
from ..sanitize.findings import Verdict
from ..sim.execute import DataEngine
from ..sim.options import Options
from ..sim.result import Launch
from .analysis import Analyser, Analysis, count_syncs

_KEEP = 64  # programs whose generated code is kept
_simulators: OrderedDict[tuple, 'Simulator'] = OrderedDict()


class Simulator:
    """One Program with its sizes bound, on one chip: code is generated and hazards are analysed once."""

    def __init__(self, program: Program, scalars: dict[str, int | float], chip: str, target: str, sanitize: bool):
        self.source = program
        self.program = hoist_loads(program)
        self.chip, self.target, self.scalars = chip_of(chip), target, scalars
        self.analyser = Analyser(self.program, self.chip, target, scalars, sanitize)
        self.data_first = self.analyser.issuer.depends_on_data is not None
        self.analyses: dict[frozenset, Analysis] = {}
        self._engine: DataEngine | None = None

    @property
    def engine(self) -> DataEngine:
        if self._engine is None:
            self._engine = DataEngine(self.program, self.target, self.scalars)
        return self._engine

    def analysis(self, poisoned: frozenset[str], logs: dict | None) -> Analysis:
        if logs is not None:
            return self.analyser.run(poisoned, logs)
        if poisoned not in self.analyses:
            self.analyses[poisoned] = self.analyser.run(poisoned)
        return self.analyses[poisoned]

    def launch(self, tensors: dict, poisoned: frozenset[str], options: Options) -> Launch:
        wall: dict[str, float] = {}
        prints: list[str] = []
        logs = None
        if self.data_first:
            start, before = time.perf_counter(), self.written(tensors)
            result = self.engine.run(tensors, poisoned, log=True, threads=options.threads, repoison=True)
            prints, logs = result.prints, result.logs
            wall['data'] = time.perf_counter() - start
        start = time.perf_counter()
        found = self.analysis(poisoned, logs)
        rewritten = found.checker.rewritten if found.checker and options.data and not found.fatal else set()
        wall['analysis'] = time.perf_counter() - start
        start = time.perf_counter()
        if not self.data_first and options.data and not found.fatal:
            dirty = any(f.word == 'uninit' for f in found.findings)
            before = self.written(tensors) if rewritten else {}
            left = poisoned if dirty or found.checker is None else poisoned - found.checker.blocks.covered
            prints = self.engine.run(tensors, left, threads=options.threads, repoison=dirty).prints
        elif found.fatal and not self.data_first:
            unwritten(tensors, poisoned)
        if rewritten:
            found.findings = found.checker.findings(self.same_value(rewritten, tensors, before, poisoned))
        wall['data'] = wall.get('data', 0.0) + time.perf_counter() - start
        return self.record(found, prints, wall)

    def clock(self, poisoned: frozenset[str]) -> Launch:
        if self.data_first:
            steering = self.analyser.issuer.depends_on_data
            raise UnsupportedError(f'{self.source.name} cannot be timed without data', where=steering.span,
                                   why='a value this line reads from a tensor steers control flow, addresses or flags',
                                   instead='a run with data (tiletwin check, tiletwin run, or a call with tensors), or a kernel whose loops follow from the shapes')
        start = time.perf_counter()
        found = self.analysis(poisoned, None)
        return self.record(found, [], {'analysis': time.perf_counter() - start})

    def record(self, found: Analysis, prints: list[str], wall: dict[str, float]) -> Launch:
        return Launch(self.source, self.chip.name, self.target, found.blocks, found.streams, found.cycles, self.chip.microseconds(found.cycles),
                      Verdict(found.findings), peak(self.program), found.gm_read, found.gm_written, found.traffic, found.flops, count_syncs(self.source), prints, wall,
                      found.simulated)

    def written(self, tensors: dict) -> dict:
        """Copies of the tensors the program writes, as they are now."""
        return {n: tensors[n].clone() for n in self.analyser.issuer.shifts.written}

    def same_value(self, rewritten: set[str], tensors: dict, before: dict, poisoned: frozenset[str]) -> set[str]:
        """Tensors that end up the same when blocks and cores run in the opposite order: every writer stored one value."""
        self.engine.run(tensors | before, poisoned, reverse=True)
        return {n for n in rewritten if torch.equal(before[n].view(torch.uint8), tensors[n].view(torch.uint8))}


def unwritten(tensors: dict, names: frozenset[str]) -> None:
    """A launch that moves no data leaves its outputs unmistakably unwritten."""
    for name in names:
        t = tensors[name]
        if t.is_meta:
            continue
        if t.is_floating_point():
            t.fill_(float('nan'))
        else:
            t.view(torch.uint8).fill_(0xA5)


def _simulator(program: Program, scalars: dict[str, int | float], chip: str, target: str, sanitize: bool) -> Simulator:
    key = (id(program), tuple(sorted(scalars.items())), chip, target, sanitize)
    simulator = _simulators.get(key)
    if simulator is None or simulator.source is not program:
        simulator = _simulators[key] = Simulator(program, scalars, chip, target, sanitize)
    _simulators.move_to_end(key)
    while len(_simulators) > _KEEP:
        _simulators.popitem(last=False)
    return simulator


def simulate(program: Program, tensors: dict, scalars: dict[str, int | float], options: Options, poisoned: frozenset[str] = frozenset()) -> Launch:
    """Runs a lowered Program; outputs are written into `tensors`."""
    return _simulator(program, scalars, options.chip, options.target, options.sanitize).launch(tensors, poisoned, options)


def clock(program: Program, scalars: dict[str, int | float], chip: str, target: str = 'ascendc', sanitize: bool = True,
          poisoned: frozenset[str] = frozenset()) -> Launch:
    """Time and hazards of a lowered Program on one chip; no tensor exists and none is written.

    `scalars` holds the values of symbolic dimensions and scalar parameters by name, `poisoned` the tensors the launch allocates empty
    (outputs and workspaces). A race in which all writers may store one value stays an error: only data could tell. Programs
    whose control flow reads tensors are refused with the line. From a compiled kernel: `kernel.time(*shapes)`; from an operator:
    `operator(name).time(sizes)`.
    """
    automatic = frozenset(program.attrs.get('auto_gm', ()))
    return _simulator(program, scalars, chip_of(chip).name, target, sanitize).clock(poisoned | automatic)


def judge(program: Program, scalars: dict[str, int | float], chip: str, target: str, poisoned: frozenset[str]) -> Verdict | None:
    """The verdict alone, without data; None where data steers the control flow."""
    analyser = Analyser(hoist_loads(program), chip_of(chip), target, scalars, True)
    if analyser.issuer.depends_on_data is not None:
        return None
    automatic = frozenset(program.attrs.get('auto_gm', ()))
    return Verdict(analyser.run(poisoned | automatic).findings)


def forget() -> None:
    """Drops every kept analysis and all generated code."""
    _simulators.clear()
