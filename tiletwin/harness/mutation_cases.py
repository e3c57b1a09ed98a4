"""What mutants are judged on: one launch of a kernel with everything it was bound to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from ..backends.analysis import Analyser
from ..ir.nodes import Program
from ..machine.chip import chip as chip_of
from ..passes.hoist_loads import hoist_loads
from ..sanitize.findings import Finding
from ..sim.execute import DataEngine
from ..sim.options import Options
from .mutants import Mutant, mutants
from .mutants_data import data_mutants
from .same_order import Bound, Need, Order, Run, needs

if TYPE_CHECKING:
    import torch

    from .contract import Case
    from .registry import Operator


@dataclass
class Setting:
    """One launch. What it needs of the original is worked out when first asked for."""

    name: str  # of the case
    program: Program
    chip: str
    target: str
    scalars: dict[str, Any]
    poisoned: frozenset[str]
    tensors: Callable[[], dict[str, 'torch.Tensor']]  # fresh ones, by parameter
    wrong: Callable[[dict[str, 'torch.Tensor']], str]  # what is wrong with the tensors after the launch; '' when nothing
    scratch: frozenset[str] = frozenset()  # tensors nobody reads after the launch
    first: bool = False  # its rings run full: the case to begin with

    @functools.cached_property
    def analyser(self) -> Analyser:
        return Analyser(hoist_loads(self.program), chip_of(self.chip), self.target, self.scalars, True)

    @functools.cached_property
    def reads(self) -> dict | None:
        """Scalars the cores read from memory, where they steer them. A mutant of the synchronisation reads the same ones."""
        if self.analyser.issuer.depends_on_data is None:
            return None
        return DataEngine(hoist_loads(self.program), self.target, self.scalars).run(self.tensors(), self.empty, log=True, threads=1).logs

    @property
    def empty(self) -> frozenset[str]:
        return self.poisoned | frozenset(self.program.attrs.get('auto_gm', ()))

    def findings(self, program: Program) -> tuple[Finding, ...]:
        return Analyser(hoist_loads(program), chip_of(self.chip), self.target, self.scalars, True).run(self.empty, self.reads).findings

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """What the original is told already."""
        return frozenset(f.id for f in self.findings(self.program))

    def run(self, program: Program) -> tuple[tuple[Finding, ...], dict[str, 'torch.Tensor']]:
        """Findings and tensors of a run with data."""
        from ..backends.simulator import simulate

        tensors = self.tensors()
        launch = simulate(program, tensors, self.scalars, Options(chip=self.chip, target=self.target, threads=1), self.empty)
        return launch.verdict.findings, tensors

    @functools.cached_property
    def outputs(self) -> dict[str, 'torch.Tensor']:
        return self.run(self.program)[1]

    @functools.cached_property
    def mutants(self) -> dict[tuple, Mutant]:
        return {m.key: m for m in (*mutants(self.program, chip_of(self.chip)), *data_mutants(self.program))}

    # -- order --------------------------------------------------------------------------------------------------------
    def order(self, program: Program) -> Order:
        return Order(Bound(program, self.chip, self.target, self.scalars, self.reads))

    @functools.cached_property
    def queues(self) -> list[dict]:
        return self.order(self.program).queues()

    @functools.cached_property
    def runs(self) -> list[tuple[Run, Need]]:
        return [(run, needs(run)) for run in self.order(self.program).runs()]

    @functools.cached_property
    def size(self) -> int:
        """Instructions to follow: small cases first."""
        return sum(len(stream) for q in self.queues for stream in q.values())


def settings(operator: 'Operator', mode: str, chip: str) -> list[Setting]:
    """The quick cases of an operator on one chip: first one that fills the rings, then by size."""
    cases = [c for c in operator.cases_in(mode) if not c.slow and (not c.chips or chip in c.chips)]
    return ordered([_setting(operator, case, mode, chip) for case in cases])


def ordered(found: list[Setting]) -> list[Setting]:
    return sorted(found, key=lambda s: (not s.first, s.size, s.name))


def _setting(operator: 'Operator', case: 'Case', mode: str, chip: str) -> Setting:
    import torch

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
