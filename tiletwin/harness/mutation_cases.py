"""What mutants are judged on: one launch of a kernel with everything it was bound to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import torch

from ..backends.analysis import Analyser
from ..errors import CallError
from ..ir.nodes import Program
from ..machine.chip import chip as chip_of
from ..machine.cost import CostModel, Residency
from ..passes.hoist_loads import hoist_loads
from ..sanitize.findings import Finding
from ..sim.execute import DataEngine
from ..sim.options import Options
from ..sim.steps import Expanded
from .mutants import Mutant, mutants
from .mutants_data import data_mutants
from .same_order import Need, Order, Run, needs

if TYPE_CHECKING:
    from .contract import Case
    from .registry import Operator


class Same(Analyser):
    """Analyses a Program that moves the bytes of another one: instructions both hold are expanded once.

    Cycles are those of an L2 that holds nothing, which no order depends on.
    """

    def __init__(self, program: Program, chip: str, target: str, scalars: dict[str, Any], pool: dict[tuple, tuple]):
        super().__init__(program, chip_of(chip), target, scalars, True)
        self.pool = pool

    def expander(self, cost: CostModel):
        expand, cache = super().expander(cost)
        statics, pool = self.issuer.statics, self.pool

        def shared(key: tuple) -> Expanded:
            found = cache.get(key)
            if found is None:
                static = statics[key[0]]
                where = (id(static.instr), static.role, *key[1:])
                if where not in pool:
                    # The instruction is kept with what it becomes, so that its identity stays its own.
                    pool[where] = static.instr, expand(key)
                found = cache[key] = pool[where][1]
            return found

        return shared, cache

    def traffic(self, groups: list, fresh: frozenset[str]) -> list:
        return []

    def flops(self, groups: list) -> dict[str, int]:
        return {}

    def residency(self, tensors: list) -> Residency:
        return Residency()


LARGE = 5000  # instructions as the pipes see them, those of the scalar unit once a pipe


@dataclass
class Setting:
    """One launch. What it needs of the original is worked out when first asked for."""

    name: str  # of the case
    program: Program
    chip: str
    target: str
    scalars: dict[str, Any]
    poisoned: frozenset[str]
    tensors: Callable[[], dict[str, torch.Tensor]]  # fresh ones, by parameter
    wrong: Callable[[dict[str, torch.Tensor]], str]  # what is wrong with the tensors after the launch; '' when nothing
    scratch: frozenset[str] = frozenset()  # tensors nobody reads after the launch
    first: bool = False  # its rings run full: the case to begin with

    @functools.cached_property
    def source(self) -> Program:
        """The program mutants are made of: their unchanged instructions are its own."""
        return hoist_loads(self.program)

    @functools.cached_property
    def pool(self) -> dict[tuple, tuple]:
        return {}

    def same(self, program: Program) -> Same:
        return Same(program, self.chip, self.target, self.scalars, self.pool)

    def analyser(self, program: Program, sanitize: bool) -> Analyser:
        """With the traffic of its own: where cycles count."""
        return Analyser(hoist_loads(program), chip_of(self.chip), self.target, self.scalars, sanitize)

    @functools.cached_property
    def reads(self) -> dict | None:
        """Scalars the cores read from memory, where they steer them. A mutant of the synchronisation reads the same ones."""
        if self.same(self.source).issuer.depends_on_data is None:
            return None
        return DataEngine(self.source, self.target, self.scalars).run(self.tensors(), self.empty, log=True, threads=1).logs

    @property
    def empty(self) -> frozenset[str]:
        return self.poisoned | frozenset(self.program.attrs.get('auto_gm', ()))

    def findings(self, program: Program) -> tuple[Finding, ...]:
        return self.same(program).run(self.empty, self.reads).findings

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """What the original is told already."""
        return frozenset(f.id for f in self.findings(self.source))

    def run(self, program: Program) -> tuple[tuple[Finding, ...], dict[str, torch.Tensor]]:
        """Findings and tensors of a run with data."""
        from ..backends.simulator import simulate

        tensors = self.tensors()
        launch = simulate(program, tensors, self.scalars, Options(chip=self.chip, target=self.target, threads=1), self.empty)
        return launch.verdict.findings, tensors

    @functools.cached_property
    def _ran(self) -> tuple[tuple[Finding, ...], dict[str, torch.Tensor]]:
        return self.run(self.program)

    @property
    def outputs(self) -> dict[str, torch.Tensor]:
        return self._ran[1]

    @property
    def known_with_data(self) -> frozenset[str]:
        """Data tells more: writes that collide may store one value."""
        return frozenset(f.id for f in self._ran[0])

    @functools.cached_property
    def mutants(self) -> dict[tuple, Mutant]:
        return {m.key: m for m in (*mutants(self.source, chip_of(self.chip)), *data_mutants(self.source))}

    # -- order --------------------------------------------------------------------------------------------------------
    def order(self, program: Program) -> Order:
        return Order(self.same(program), self.reads)

    @functools.cached_property
    def queues(self) -> list[dict]:
        return self.order(self.source).queues()

    @functools.cached_property
    def runs(self) -> list[tuple[Run, Need]]:
        return [(run, needs(run)) for run in self.order(self.source).runs()]

    @functools.cached_property
    def size(self) -> int:
        """Instructions to follow: small cases first."""
        return sum(len(stream) for q in self.queues for stream in q.values())


def settings(operator: 'Operator', mode: str, chip: str) -> list[Setting]:
    """The quick cases of an operator on one chip: those that fill the rings first, then by size; without large ones, which only repeat the small."""
    cases = [c for c in operator.cases_in(mode) if not c.slow and (not c.chips or chip in c.chips)]
    found = ordered([setting_of(operator, case, mode, chip) for case in cases])
    return [s for s in found if s.first or s.size <= LARGE] or found[:1]


def ordered(found: list[Setting]) -> list[Setting]:
    return sorted(found, key=lambda s: (not s.first, s.size, s.name))


def setting_of(operator: 'Operator', case: 'Case', mode: str, chip: str) -> Setting:
    from .precision import policy

    variant = operator.variant
    given = variant.settings(operator.attributes_in(case, mode))
    inputs = variant.make_inputs(case)
    sizes = variant.bind(inputs, given)
    kernel = operator.kernel(sizes, given, tuple(str(x.dtype).removeprefix('torch.') for x in inputs), mode, chip)
    bound = kernel.convention.bind(inputs, True, False)
    outputs = [next(name for name, t in bound.tensors.items() if t is result) for result in bound.results]

    def fresh() -> dict[str, torch.Tensor]:
        return kernel.convention.bind(variant.make_inputs(case), True, False).tensors

    @functools.cache
    def expected() -> list:
        settings = variant.settings(case.attributes)
        right = variant.reference(*variant.make_inputs(case), **settings)
        peers = variant.same_precision(*variant.make_inputs(case), **settings) if variant.same_precision else (None,) * len(right)
        return list(zip(right, peers, strict=True))

    def wrong(tensors: dict[str, torch.Tensor]) -> str:
        for name, (right, peer) in zip(outputs, expected(), strict=True):
            found = policy(variant.policy(str(right.dtype).removeprefix('torch.'))).compare(tensors[name], right, peer)
            if not found.ok:
                return found.message
        return ''

    return Setting(case.name, kernel.program, kernel.platform.lower(), kernel.target, bound.scalars, bound.poisoned, fresh, wrong,
                   bound.poisoned - frozenset(outputs), case.purpose == 'reuse')


def launches(path: Path, chip: str | None) -> dict[str, list[Setting]]:
    """Every kernel a script launches, each with its launches of different programs and scalars."""
    from ..jit import observe_calls
    from .script import run_script

    found: dict[str, dict[tuple, Setting]] = {}

    def note(kernel: Any, bound: Any) -> None:
        mine = found.setdefault(f'{kernel.program.name}' + (f' (line {kernel.program.span.line})' if kernel.program.span else ''), {})
        key = (id(kernel), tuple(sorted(bound.scalars.items())))
        if key not in mine:
            mine[key] = of_launch(kernel, bound, f'launch {len(mine) + 1}')

    with observe_calls(note):
        ran = run_script(path, chip)
    if ran.refusal is not None:
        raise ran.refusal
    if ran.failure:
        raise CallError(f'{path} failed\n{ran.failure.rstrip()}')
    return {name: ordered(list(mine.values())) for name, mine in found.items()}


def of_launch(kernel: Any, bound: Any, name: str = 'launch') -> Setting:
    """A launch with the tensors it is about to get; right is what the kernel itself computes from them."""
    before = {n: t.clone() for n, t in bound.tensors.items() if n not in bound.poisoned}
    empty = {n: (t.shape, t.dtype) for n, t in bound.tensors.items() if n in bound.poisoned}
    results = [n for n, t in bound.tensors.items() if any(t is r for r in bound.results) or n not in bound.poisoned]

    def fresh() -> dict[str, torch.Tensor]:
        return {n: before[n].clone() if n in before else torch.empty(*empty[n][:1], dtype=empty[n][1]) for n in bound.tensors}

    def wrong(tensors: dict[str, torch.Tensor]) -> str:
        return next((f'{n} holds other values' for n in results if not same_bytes(tensors[n], setting.outputs[n])), '')

    setting = Setting(name, kernel.program, kernel.platform.lower(), kernel.target, bound.scalars, bound.poisoned, fresh, wrong,
                      frozenset(bound.tensors) - frozenset(results))
    return setting


def same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8))
