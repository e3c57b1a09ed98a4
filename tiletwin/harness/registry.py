"""The operators of `ops/`: found by their contracts, run by mode, chip and case, judged by their policy."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Iterator

from ..backends.choose import backend, simulated
from ..backends.protocol import RUN, require
from ..errors import CallError, EnvironmentError_, KernelWarning
from ..machine.chip import chip as chip_of
from .contract import Case, Variant
from .precision import Comparison, policy

if TYPE_CHECKING:
    import torch

    from ..sanitize.findings import Finding, Verdict
    from ..sim.result import Launch
    from .claims.claim import Shown

MODES = ('expert', 'developer')


@dataclass
class CaseResult:
    """One case on one chip in one mode: numbers against the reference, and what the simulator recorded."""

    case: Case
    launches: list['Launch']
    ok: bool  # the numbers are inside the policy; hazards are in the launches' verdicts
    message: str
    metrics: dict[str, Comparison]  # by output
    seconds: float
    outputs: tuple['torch.Tensor', ...]
    variant: Variant
    mode: str

    @property
    def clean(self) -> bool:
        return all(launch.verdict.clean for launch in self.launches)

    @property
    def unaccepted(self) -> list['Finding']:
        """Findings the contract gives no reason for."""
        return [f for launch in self.launches for f in launch.verdict.findings if not self.variant.accepts(f)]

    @functools.cached_property
    def shown(self) -> tuple['Shown', ...]:
        """The claims of the contract on this case."""
        from .claims.claim import look

        return look(self.variant.must_show, self.mode, self.case.name, self.launches)


@dataclass(frozen=True)
class Last:
    """Verdict and modelled time of an operator's last call, over all its launches."""

    launches: tuple['Launch', ...]
    mode: str

    @property
    def launch(self) -> 'Launch':
        """The one that takes longest."""
        return max(self.launches, key=lambda x: x.cycles)

    @property
    def verdict(self) -> 'Verdict':
        from ..sanitize.findings import Verdict

        return Verdict(tuple(f for x in self.launches for f in x.verdict.findings))

    @property
    def cycles(self) -> float:
        return sum(x.cycles for x in self.launches)

    @property
    def microseconds(self) -> float:
        """Modelled."""
        return sum(x.microseconds for x in self.launches)


@dataclass
class Operator:
    """`op(a, b, scale=..., mode='expert', arch='a3')` takes and returns torch tensors; `op.last` judges the call."""

    variant: Variant
    last: Last | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return self.variant.name

    @property
    def chips(self) -> tuple[str, ...]:
        return self.variant.chips

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.variant.cases

    @property
    def modes(self) -> tuple[str, ...]:
        return tuple(m for m in MODES if _module(m, self.variant.family) and hasattr(_module(m, self.variant.family), self.variant.kernel))

    def cases_in(self, mode: str) -> tuple[Case, ...]:
        """The cases a mode runs: all but those its form skips."""
        return tuple(c for c in self.cases if c.name not in self.variant.form(mode).skips)

    def attributes_in(self, case: Case, mode: str) -> dict[str, Any]:
        """The attributes of a case, without those the mode's form has no use for."""
        return {k: v for k, v in case.attributes.items() if k not in self.variant.form(mode).without}

    def refuse_left_out(self, settings: dict[str, Any], mode: str) -> None:
        """An attribute the mode's form has no use for may be given only as its default."""
        for key, reason in self.variant.form(mode).without.items():
            if key in settings and settings[key] != self.variant.attributes[key]:
                raise CallError(f'{self.name}: the {mode} form takes no {key}', why=reason, instead=f'the call without {key}')

    def kernel(self, sizes: dict[str, int], settings: dict[str, Any], dtypes: tuple[str, ...], mode: str = 'expert', arch: str = 'a3') -> Any:
        """The compiled kernel for these sizes; nothing runs."""
        if arch not in self.chips:
            raise EnvironmentError_(f'{self.name} is not written for {arch}', instead='one of ' + ', '.join(self.chips))
        if mode not in self.modes:
            raise EnvironmentError_(f'{self.name} has no {mode} form', instead='one of ' + ', '.join(self.modes))
        cores = settings.get('cores', None)
        if cores is not None and (not isinstance(cores, int) or isinstance(cores, bool) or cores < 1):
            raise CallError(f'{self.name}: cores is {cores!r}', why='it is the number of blocks of the launch', instead='a positive int')
        self.refuse_left_out(settings, mode)
        form = self.variant.form(mode)
        if form.limits is not None:
            form.limits(sizes, settings)
        settings = {**settings, 'cores': cores or backend().cores(arch)}
        arguments = (self.variant.arguments or (lambda s, a, _: {**s, **a}))(sizes, settings, dtypes)
        arguments = {k: v for k, v in arguments.items() if k not in form.without}
        with platform(arch):
            return getattr(_module(mode, self.variant.family), self.variant.kernel)(**arguments)

    def __call__(self, *tensors: 'torch.Tensor', mode: str = 'expert', arch: str | None = None, **attributes: Any):
        outputs, launches = self.launch(tensors, attributes, mode, backend().chip(arch))
        # Only a simulated launch has a verdict.
        self.last = Last(tuple(launches), mode) if launches else None
        return outputs[0] if len(outputs) == 1 else outputs

    def launch(self, tensors: tuple[Any, ...], attributes: dict[str, Any], mode: str, arch: str) -> tuple[tuple, list['Launch']]:
        from ..jit import observe

        on = backend()
        require(on, RUN, self.name)
        settings = self.variant.settings(attributes)
        # Before the limits: they hold for the values of attributes a form does take.
        self.refuse_left_out(settings, mode)
        sizes = self.variant.bind(tensors, settings, on.device)
        kernel = self.kernel(sizes, settings, tuple(str(x.dtype).removeprefix('torch.') for x in tensors), mode, arch)
        launches: list['Launch'] = []
        with platform(arch), observe(launches.append):
            return on.run(kernel, tensors), launches

    def time(self, sizes: dict[str, int], dtypes: tuple[str, ...] = (), mode: str = 'expert', arch: str = 'a3', **attributes: Any) -> list['Launch']:
        """The launches of a call with inputs of these sizes, timed and judged without data: no tensor of the call has memory.

        `sizes` names every dimension of the contract. An operator whose control flow reads its inputs is refused with the line that does.
        """
        import torch

        simulated(f'timing {self.name} without data')
        for name in {d for op in self.variant.inputs for d in op.dims} - set(sizes):
            raise CallError(f'{self.name}: no size for the dimension {name}', instead=', '.join(f'{n}=...' for n in self.dims))
        dtypes = dtypes or tuple(op.dtypes[0] for op in self.variant.inputs)
        if len(dtypes) != len(self.variant.inputs):
            raise CallError(f'{self.name}: {len(dtypes)} types for {len(self.variant.inputs)} inputs', instead='one type for each of '
                            + ', '.join(op.name for op in self.variant.inputs))
        for op, t in zip(self.variant.inputs, dtypes):
            if t not in op.dtypes:
                raise CallError(f'{self.name}: {op.name} is {t}', why=f'the contract covers {", ".join(op.dtypes)}', instead='one of these')
        inputs = [torch.empty([sizes[d] for d in op.dims], dtype=getattr(torch, t), device='meta') for op, t in zip(self.variant.inputs, dtypes)]
        return self.launch(tuple(inputs), attributes, mode, chip_of(arch).name)[1]

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions of the inputs, in order."""
        return tuple(dict.fromkeys(d for op in self.variant.inputs for d in op.dims))

    def run_case(self, case: Case, mode: str = 'expert', arch: str = 'a3') -> CaseResult:
        simulated(f'the check of {self.name}')
        arch = chip_of(arch).name
        inputs = self.variant.make_inputs(case)
        before = [x.clone() for x in inputs]
        start = time.perf_counter()
        outputs, launches = self.launch(inputs, self.attributes_in(case, mode), mode, arch)
        seconds = time.perf_counter() - start
        metrics, wrong = self.judge(case, before, inputs, outputs)
        return CaseResult(case, launches, not wrong, '\n'.join(wrong), metrics, seconds, outputs, self.variant, mode)

    def judge(self, case: Case, before: Any, inputs: Any, outputs: tuple) -> tuple[dict[str, Comparison], list[str]]:
        """Outputs of a case against the reference of its inputs; what is wrong, as sentences."""
        settings = self.variant.settings(case.attributes)
        expected = self.variant.reference(*before, **settings)
        peers = self.variant.same_precision(*before, **settings) if self.variant.same_precision else (None,) * len(expected)
        metrics, wrong = {}, []
        for i, (actual, right, peer) in enumerate(zip(outputs, expected, peers, strict=True)):
            rule = policy(self.variant.policy(str(right.dtype).removeprefix('torch.')))
            found = metrics[f'output {i}'] = rule.compare(actual, right, peer)
            if not found.ok:
                wrong.append(f'output {i}: {found.message}')
        for op, old, new in zip(self.variant.inputs, before, inputs):
            if not _same_bytes(old, new):
                wrong.append(f'input {op.name} was written to')
        return metrics, wrong


def _same_bytes(a: 'torch.Tensor', b: 'torch.Tensor') -> bool:
    import torch

    return torch.equal(a.view(torch.uint8) if a.dim() else a, b.view(torch.uint8) if b.dim() else b)


@contextmanager
def quiet_kernels() -> Iterator[None]:
    """What the passes say about a kernel stands in the report, not on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', KernelWarning)
        yield


@contextmanager
def platform(chip: str) -> Iterator[None]:
    """Kernels that leave their platform open are compiled for this chip."""
    before = os.environ.get('TL_PLATFORM')
    os.environ['TL_PLATFORM'] = chip.upper()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop('TL_PLATFORM')
        else:
            os.environ['TL_PLATFORM'] = before


@functools.cache
def _module(mode: str, family: str) -> ModuleType | None:
    """`ops/<mode>/<family>.py`, or None when that form has not been written."""
    name = f'ops.{mode}.{family}'
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


@functools.cache
def operators() -> dict[str, Operator]:
    """Every operator by name."""
    rooms = importlib.import_module('ops.contracts')
    found: dict[str, Operator] = {}
    for info in sorted(pkgutil.iter_modules(rooms.__path__), key=lambda m: m.name):
        for variant in importlib.import_module(f'{rooms.__name__}.{info.name}').CONTRACT.variants:
            found[variant.name] = Operator(variant)
    return found


def operator(name: str) -> Operator:
    """One operator, callable with torch tensors in the order of its contract."""
    import difflib

    known = operators()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise EnvironmentError_(f'no operator {name!r}' + (f'; did you mean {near[0]!r}?' if near else ''), instead='one of ' + ', '.join(known))
    return known[name]
