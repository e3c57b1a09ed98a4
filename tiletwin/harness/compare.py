"""The modes of an operator side by side: numbers, hazards, cost, and the twins against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ..backends.choose import simulated
from ..errors import EnvironmentError_, TileTwinError
from ..machine.chip import CHIPS, chip as chip_of
from ..sanitize.findings import Finding, Verdict
from .claims.claim import Shown
from .contract import Waiver
from .cost import Cost, cost
from .gather import DEFAULT_CHIP, operators_named
from .limits import Limits, limits
from .precision import Comparison as Numbers, policy
from .pool import work_in_parallel
from .progress import Done
from .registry import CaseResult, quiet_kernels

MODES = ('developer', 'expert')  # left to right: the first draft and its twin


@dataclass(frozen=True)
class ModeResult:
    """One mode of an operator on one case and chip."""

    mode: str
    missing: str = ''  # what would have to be written
    left_out: str = ''  # why this mode does not run this case
    refusal: TileTwinError | None = None
    ok: bool = False  # the numbers are inside the policy
    message: str = ''
    numbers: dict[str, Numbers] | None = None  # by output
    verdict: Verdict = Verdict()
    cost: Cost | None = None
    limits: Limits | None = None
    shown: tuple[Shown, ...] = ()  # the claims of the contract on this case
    waived: tuple[tuple[Waiver, int], ...] = ()  # with the number of findings each covers
    notes: tuple[str, ...] = ()  # what the passes had to say about the kernel

    @property
    def ran(self) -> bool:
        return self.cost is not None


@dataclass(frozen=True)
class Twins:
    """The outputs of one mode against those of another."""

    modes: tuple[str, str]
    policy: str
    numbers: dict[str, Numbers]

    @property
    def ok(self) -> bool:
        return all(n.ok for n in self.numbers.values())

    @property
    def bitwise(self) -> bool:
        return all(n.equal for n in self.numbers.values())


@dataclass(frozen=True)
class Comparison:
    """One case of an operator on one chip, every mode asked for."""

    operator: str
    case: str
    purpose: str
    chip: str
    modes: tuple[ModeResult, ...]
    twins: Twins | None  # None unless two modes ran
    reviews: tuple[str, ...] = ()  # class words of review findings the contract accepts
    waivers: tuple[Waiver, ...] = ()

    def of(self, mode: str) -> ModeResult | None:
        return next((m for m in self.modes if m.mode == mode), None)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(m.mode for m in self.modes if m.missing)

    @property
    def speedup(self) -> float | None:
        """Modelled time of the developer form over that of the expert form."""
        developer, expert = self.of('developer'), self.of('expert')
        if not (developer and expert and developer.ran and expert.ran):
            return None
        return developer.cost.cycles / expert.cost.cycles if expert.cost.cycles else None

    def unaccepted(self, mode: ModeResult) -> list[Finding]:
        return [f for f in mode.verdict.findings if not (f.severity == 'review' and f.word in self.reviews or any(w.covers(f) for w in self.waivers))]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; nothing about modes that are missing."""
        found = []
        for m in self.modes:
            if m.refusal is not None:
                found.append(f'{m.mode}: {m.refusal.what}')
            elif m.ran:
                if not m.ok:
                    found.append(f'{m.mode}: {m.message}')
                words = sorted({f'{f.severity}[{f.word}]' for f in self.unaccepted(m)})
                if words:
                    found.append(f'{m.mode}: ' + ', '.join(words))
                found += [f'{m.mode} does not show {s.text}' for s in m.shown if not s.ok]
        if self.twins and not self.twins.ok:
            first, second = self.twins.modes
            found += [f'{first} against {second}, {name}: {n.message}' for name, n in self.twins.numbers.items() if not n.ok]
        if self.purpose == 'source' and self.speedup is not None and self.speedup < 1.0:
            found.append(f'expert takes {1 / self.speedup:.2f} times as long as developer (modelled)')
        return tuple(found)


@dataclass(frozen=True)
class Request:
    """What to compare. `chip` None: all chips of every operator when they are all compared, the default chip when one is named."""

    names: tuple[str, ...]
    modes: tuple[str, ...] = MODES
    chip: str | None = None
    case: str | None = None
    quick: bool = False  # without the cases marked slow
    workers: int = 1  # processes


def compare(operator: Any, case: Any, chip: str, modes: Sequence[str] = MODES, keep: dict[str, CaseResult] | None = None) -> Comparison:
    """`keep` receives what each mode that ran left behind, its launches among it."""
    results, outputs = [], {}
    for mode in modes:
        if mode not in operator.modes:
            results.append(ModeResult(mode, missing=f'ops/{mode} has no {operator.name}'))
            continue
        reason = operator.variant.form(mode).skips.get(case.name)
        if reason is not None:
            results.append(ModeResult(mode, left_out=reason))
            continue
        try:
            with quiet_kernels():
                ran = operator.run_case(case, mode, chip)
        except EnvironmentError_:
            raise
        except TileTwinError as refusal:
            results.append(ModeResult(mode, refusal=refusal))
            continue
        outputs[mode] = ran.outputs
        results.append(_judged(mode, ran))
        if keep is not None:
            keep[mode] = ran
    variant = operator.variant
    return Comparison(operator.name, case.name, case.purpose, chip, tuple(results), _twins(variant.twins, outputs), tuple(variant.reviews),
                      variant.waivers)


def _judged(mode: str, ran: CaseResult) -> ModeResult:
    findings = tuple({f.id: f for launch in ran.launches for f in launch.verdict.findings}.values())
    waived = tuple((w, n) for w in ran.variant.waivers if (n := sum(w.covers(f) for f in findings)))
    notes = tuple(dict.fromkeys(note for launch in ran.launches for note in launch.notes))
    return ModeResult(mode, ok=ran.ok, message=ran.message, numbers=ran.metrics, verdict=Verdict(findings), cost=cost(ran.launches),
                      limits=limits(ran.launches), shown=ran.shown, waived=waived, notes=notes)


def _twins(rule: str, outputs: dict[str, tuple]) -> Twins | None:
    if len(outputs) < 2:
        return None
    (first, a), (second, b) = list(outputs.items())[:2]
    names = [f'output {i}' for i in range(len(b))]
    return Twins((first, second), rule, {n: policy(rule).compare(x, y) for n, x, y in zip(names, a, b, strict=True)})


def comparisons(request: Request) -> Done[Job, Comparison]:
    """Every case the request names, in order; all names are checked before anything runs."""
    simulated('tiletwin compare')
    jobs = [(op, chip, case) for name in request.names for op in operators_named(name)
            for chip in _chips(op, request) for case in _cases(op, chip, request)]
    named = [Job(op.name, chip, case.name, case.slow, request.modes) for op, chip, case in jobs]
    return work_in_parallel(named, run_job, lambda job: f'{job.operator} on {job.chip}: {job.case}', lambda job: job.slow, request.workers)


@dataclass(frozen=True)
class Job:
    """A comparison by its names."""

    operator: str
    chip: str
    case: str
    slow: bool
    modes: tuple[str, ...]


def run_job(job: Job) -> Comparison:
    (op,) = operators_named(job.operator)
    return compare(op, next(c for c in op.cases if c.name == job.case), job.chip, job.modes)


def _chips(operator: Any, request: Request) -> tuple[str, ...]:
    everything = 'all' in request.names
    if request.chip is None:
        return operator.chips if everything else (DEFAULT_CHIP,) if DEFAULT_CHIP in operator.chips else operator.chips[:1]
    if request.chip == 'all':
        return tuple(c for c in CHIPS if c in operator.chips)
    chip = chip_of(request.chip).name
    if chip in operator.chips:
        return (chip,)
    if everything:
        return ()
    raise EnvironmentError_(f'{operator.name} is not written for {chip}', instead=f'--arch {", ".join(operator.chips)}')


def _cases(operator: Any, chip: str, request: Request) -> list[Any]:
    here = [c for c in operator.cases if not c.chips or chip in c.chips]
    if request.case is None:
        return [c for c in here if not (request.quick and c.slow)]
    chosen = [c for c in here if c.name == request.case]
    if not chosen and 'all' not in request.names:
        raise EnvironmentError_(f'{operator.name} has no case {request.case!r} on {chip}', instead='one of ' + ', '.join(c.name for c in here))
    return chosen
