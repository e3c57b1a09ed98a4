"""The four checkers as one observer of the event simulation."""

from __future__ import annotations

from ..ir.nodes import Instr, walk
from ..ir.ops import VIRTUAL_ROUTES
from ..sim.codegen import instr_route
from ..sim.issue import Group
from ..sim.pipes import CoreState
from ..sim.schedule import Wait
from ..sim.steps import Expanded, Step
from .blocks import BlockCheck, Touch
from .findings import Finding
from .initcheck import InitCheck
from .memcheck import MemCheck
from .racecheck import RaceCheck
from .source import Sites
from .synccheck import SyncCheck


class Checker:
    """Watches every distinct stream of a launch; `findings` folds what all of them showed."""

    def __init__(self, program, statics, chip, written: set[str], poisoned: frozenset[str], sizes: dict[str, int]):
        self.sites = Sites(statics, program)
        self.program, self.chip, self.written, self.poisoned = program, chip, written, poisoned
        self.bridged = frozenset(s.args[1].buffer for s in walk(program.body)
                                 if isinstance(s, Instr) and s.op == 'copy' and instr_route(program, s)[0] in VIRTUAL_ROUTES)
        self.mem = MemCheck(self.sites)
        self.blocks = BlockCheck(self.sites, sizes)
        self.sync = SyncCheck(self.sites, chip)
        self.races: list[RaceCheck] = []
        self.out: dict[str, Finding] = {}
        self.begin()

    def begin(self) -> None:
        """A new group of cores: nothing is ordered with, or written by, the one before."""
        self.race = RaceCheck(self.sites, self.chip, self.written)
        self.init = InitCheck(self.sites, self.poisoned, self.bridged)
        self.touched: dict[tuple, Touch] = {}

    # -- observer -----------------------------------------------------------------------------------------------------
    def issued(self, core: CoreState, step: Step, event: tuple) -> None:
        self.init.issued(core, step, event)

    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: tuple, order: int) -> None:
        self.race.executed(core, pipe, know, seq, step, event, order)
        if self.init.poisoned or self.bridged:
            self.init.executed(core, pipe, know, seq, step, event, order)
        for a in step.accesses:
            if a.span.memory in self.race.written:
                key = (core.block, core.name, a, event[0][0])
                if key not in self.touched:
                    self.touched[key] = Touch(a, core.name, pipe, step.op, event)

    def set_twice(self, core: CoreState, step: Step, event: tuple, earlier: tuple | None) -> None:
        self.sync.set_twice(core, step, event, earlier)

    def left_set(self, core: CoreState, key: tuple, event: tuple) -> None:
        self.sync.left_set(core, key, event)

    def overflow(self, core: CoreState, step: Step, event: tuple) -> None:
        self.sync.overflow(core, step, event)

    def stuck(self, waits: list[Wait]) -> None:
        self.sync.stuck(waits)

    def too_many_blocks(self, blocks: int, program) -> None:
        self.sync.too_many_blocks(blocks, program)

    # -- after a group ------------------------------------------------------------------------------------------------
    def faults(self, events: list, expanded: dict[tuple, Expanded], core: str, block: int) -> None:
        for event in events:
            for fault in expanded[event[0]].faults if event[0] in expanded else ():
                self.mem.fault(event, core, block, fault)

    def end(self, group: Group | None) -> None:
        """Folds the group's findings; `group` is None when all blocks ran together and ordered each other."""
        self.races.append(self.race)
        # Writes over writes do not decide whether a read sees a value.
        self.keep(self.init.findings({f'GM:{tensor}' for tensor, kind in self.race.gm_kinds() if kind != 'WAW'}))
        if group is None:
            return
        for (_, _, access, _), touch in self.touched.items():
            tensor = access.span.memory[3:]
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
