"""The four checkers as one observer of the event simulation."""

from __future__ import annotations

from typing import Callable

from ..ir.nodes import Instr, walk
from ..ir.ops import VIRTUAL_ROUTES
from ..sim.access import Access
from ..sim.codegen import instr_route
from ..sim.congruence import on_chip
from ..sim.issue import Group
from ..sim.pipes import CoreState
from ..sim.schedule import Wait
from ..sim.steps import Expanded, Step
from ..sim.stream import Stream
from .blocks import BlockCheck, Touch
from .findings import Finding
from .initcheck import InitCheck
from .memcheck import MemCheck
from .racecheck import RaceCheck
from .source import At, Sites
from .synccheck import SyncCheck


class Checker:
    """Watches every distinct stream of a launch; `findings` folds what all of them showed."""

    def __init__(self, program, statics, chip, written: set[str], poisoned: frozenset[str], sizes: dict[str, int]):
        self.sites = Sites(statics, program)
        self.program, self.chip, self.written, self.poisoned = program, chip, written, poisoned
        self.gm = {f'GM:{name}' for name in written}
        self.bridged = frozenset(s.args[1].buffer for s in walk(program.body)
                                 if isinstance(s, Instr) and s.op == 'copy' and instr_route(program, s)[0] in VIRTUAL_ROUTES)
        self.mem = MemCheck(self.sites)
        self.blocks = BlockCheck(self.sites, sizes)
        self.sync = SyncCheck(self.sites, chip)
        self.races: list[RaceCheck] = []
        self.out: dict[str, Finding] = {}
        self.begin()

    def begin(self, lonely: frozenset[Access] = frozenset()) -> None:
        """A new group of cores: nothing is ordered with, or written by, the one before. `lonely` accesses meet no other (`congruence`)."""
        self.race = RaceCheck(self.sites, self.chip, self.written, lonely)
        self.init = InitCheck(self.sites, self.poisoned, self.bridged, lonely)

    def matters(self, lonely: frozenset[Access]) -> Callable[[Access], bool]:
        """Which accesses any of the checkers looks at."""
        gm = self.gm | self.init.poisoned
        return lambda a: a not in lonely and (on_chip(a) or a.span.memory in gm)

    def visit(self, v) -> None:
        """`state.visit`."""
        v.same(len(self.sync.out))
        self.race.visit(v)
        self.init.visit(v)

    # -- observer -----------------------------------------------------------------------------------------------------
    def issued(self, core: CoreState, step: Step, event: int) -> None:
        self.init.issued(core, step, event)

    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: int, order: int) -> None:
        self.race.executed(core, pipe, know, seq, step, event, order)
        if self.init.poisoned or self.bridged:
            self.init.executed(core, pipe, know, seq, step, event, order)

    def set_twice(self, core: CoreState, step: Step, event: int, earlier: int | None) -> None:
        self.sync.set_twice(core, step, event, earlier)

    def left_set(self, core: CoreState, key: tuple, event: int) -> None:
        self.sync.left_set(core, key, event)

    def overflow(self, core: CoreState, step: Step, sender: CoreState, event: int) -> None:
        self.sync.overflow(core, step, sender, event)

    def stuck(self, waits: list[Wait]) -> None:
        self.sync.stuck(waits)

    def too_many_blocks(self, blocks: int, program) -> None:
        self.sync.too_many_blocks(blocks, program)

    # -- after a group ------------------------------------------------------------------------------------------------
    def faults(self, events: Stream, expand: Callable[[tuple], Expanded], core: str, block: int) -> None:
        for key, times, first in events.counts():
            for fault in expand(key).faults:
                self.mem.fault(At(events, first), times, core, block, fault)

    def end(self, group: Group | None, cores: list[CoreState], expand: Callable[[tuple], Expanded]) -> None:
        """Folds the group's findings; `group` is None when all blocks ran together and ordered each other."""
        self.races.append(self.race)
        # Writes over writes do not decide whether a read sees a value.
        self.keep(self.init.findings({f'GM:{tensor}' for tensor, kind in self.race.gm_kinds() if kind != 'WAW'}))
        if group is None:
            return
        touched: dict[tuple, Touch] = {}
        for core in cores:
            for key, _, first in core.events.counts(core.position):
                for step in expand(key).steps:
                    for a in step.accesses:
                        if a.span.memory in self.gm:
                            touched.setdefault((core.name, a, key[0]), Touch(a, core.name, step.pipe, step.op, At(core.events, first)))
        for touch in touched.values():
            tensor = touch.access.span.memory[3:]
            es = self.program.buffers[tensor].es
            for block in group.blocks:
                self.blocks.add(block, tensor, group.shift(block, tensor) * es, touch)

    def keep(self, findings: list[Finding]) -> None:
        for f in findings:
            self.out.setdefault(f.id, f)

    @property
    def rewritten(self) -> set[str]:
        """GM tensors whose only conflicts between cores are writes over writes: harmless when all writers store one value."""
        kinds: dict[str, set[str]] = self.blocks.kinds()
        for race in self.races:
            for tensor, kind in race.gm_kinds():
                kinds.setdefault(tensor, set()).add(kind)
        return {tensor for tensor, found in kinds.items() if found == {'WAW'}}

    def findings(self, same_value: set[str] = frozenset()) -> tuple[Finding, ...]:
        out = dict(self.out)
        races = [f for race in self.races for f in race.findings(same_value)]
        for f in [*races, *self.mem.findings(), *self.sync.findings(), *self.blocks.findings(same_value)]:
            out.setdefault(f.id, f)
        reads = [f for f in out.values() if f.word == 'race' and any(s.role == 'reads' for s in f.sides)]
        racing = {name for f in reads for s in f.sides if (name := _shared(s.region, self.bridged))}
        kept = [f for f in out.values() if not (f.word == 'uninit' and _shared(f.sides[0].region, self.bridged) in racing)]
        return tuple(sorted(kept, key=_order))


def _shared(region: str, bridged: frozenset[str]) -> str | None:
    """The buffer of a region several cores can reach; whether a read of it sees a value is what its races decide."""
    memory, _, rest = region.partition(' ')
    name = rest.partition('[')[0]
    return name if memory == 'GM' or name in bridged else None


def _order(f: Finding) -> tuple:
    span = f.sides[0].span if f.sides else None
    return (('error', 'incomplete', 'review').index(f.severity), span.file if span else '', span.line if span else 0, f.word, f.id)
