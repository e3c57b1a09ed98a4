"""The benchmark of operators: which cases it takes, and its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ..errors import EnvironmentError_
from ..machine.chip import chip as chip_of
from .changed import changed_files, touched
from .gather import operators_named
from .pool import cores, work_in_parallel
from .progress import Done
from .record import Key, Record, measure
from .registry import operator, quiet_kernels

MODES = ('developer', 'expert')


@dataclass(frozen=True)
class Request:
    """What to benchmark; without names every operator."""

    names: tuple[str, ...] = ()
    modes: tuple[str, ...] = MODES
    chip: str | None = None  # None: every chip of an operator
    since: str | None = None  # only operators that changed since this revision

    @property
    def whole(self) -> bool:
        return not self.names and self.modes == MODES and self.chip is None and self.since is None


@dataclass(frozen=True)
class Job:
    operator: Any
    case: Any
    mode: str
    chip: str

    @property
    def key(self) -> Key:
        return self.operator.name, self.mode, self.chip, self.case.name


def jobs(request: Request) -> list[Job]:
    """All names are checked before anything runs."""
    found = [op for name in request.names or ('all',) for op in operators_named(name)]
    if request.since is not None:
        found = touched(found, changed_files(request.since))
    return [Job(op, case, mode, chip) for op in found for chip in _chips(op, request) for case in bench_cases(op, chip)
            for mode in request.modes if mode in op.modes and case.name not in op.variant.form(mode).skips]


def _chips(operator: Any, request: Request) -> tuple[str, ...]:
    if request.chip in (None, 'all'):
        return operator.chips
    chip = chip_of(request.chip).name
    if chip not in operator.chips and request.names:
        raise EnvironmentError_(f'{operator.name} is not written for {chip}', instead=f'--arch {", ".join(operator.chips)}')
    return tuple(c for c in operator.chips if c == chip)


def bench_cases(operator: Any, chip: str) -> list[Any]:
    """The shapes the operator was written for."""
    return [c for c in operator.variant.bench_cases if not c.chips or chip in c.chips]


def run(found: Sequence[Job], workers: int | None = None) -> Done[Key, Record]:
    """The records in the order of the jobs, whoever computes them."""
    slow = {job.key for job in found if job.case.slow or job.case in job.operator.variant.timed}
    return work_in_parallel([job.key for job in found], run_key, ' '.join, slow.__contains__, workers or cores())


def run_key(key: Key) -> Record:
    name, mode, chip, case = key
    op = operator(name)
    with quiet_kernels():
        return measure(op, next(c for c in op.variant.bench_cases if c.name == case), mode, chip)
