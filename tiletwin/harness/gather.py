"""From names on a command line to judged launches: the cases of operators, and scripts."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

from ..backends.choose import simulated
from ..errors import EnvironmentError_, TileTwinError
from ..machine.chip import CHIPS, chip as chip_of
from ..sanitize.findings import Finding
from ..sim.result import Launch
from .progress import Done, work_through

DEFAULT_CHIP = 'a3'


@dataclass(frozen=True)
class Request:
    """What to run. `arch` is a chip, 'all', or None for the default."""

    names: tuple[str, ...]
    arch: str | None = None
    mode: str = 'expert'
    case: str | None = None
    first_only: bool = False  # only the first case of an operator
    slow: bool = False  # also the cases marked slow
    quiet: bool = False  # what scripts print goes to standard error
    target: str | None = None  # of kernels that leave it open

    @property
    def chips(self) -> list[str]:
        if self.arch == 'all':
            return list(CHIPS)
        return [chip_of(self.arch or DEFAULT_CHIP).name]


@dataclass
class Result:
    """One case of an operator on one chip, or one script."""

    name: str
    chip: str
    case: str = ''
    mode: str = ''
    ok: bool = True
    message: str = ''  # what is wrong with the numbers, or how the script failed
    launches: list[Launch] = field(default_factory=list)
    refusal: TileTwinError | None = None
    skipped: str = ''  # the reason
    variant: Any = None  # the contract of the case

    @property
    def unaccepted(self) -> list[Finding]:
        """Findings the contract gives no reason for."""
        return [f for launch in self.launches for f in launch.verdict.findings if self.variant is None or not self.variant.accepts(f)]

    @property
    def accepted(self) -> list[tuple[str, str, int]]:
        """What the contract vouches for: its name, the reason, and the number of findings."""
        if self.variant is None:
            return []
        found = [f for launch in self.launches for f in launch.verdict.findings]
        waived = [(w.name, w.reason, sum(map(w.covers, found))) for w in self.variant.waivers]
        reviews = [(f'review[{word}]', why, sum(f.severity == 'review' and f.word == word for f in found)) for word, why in self.variant.reviews.items()]
        return [entry for entry in waived + reviews if entry[2]]

    @property
    def title(self) -> str:
        return f'{self.name} {self.case}'.rstrip()


@dataclass(frozen=True)
class Job:
    name: str
    run: Callable[[], Result]


def usage(what: str, instead: str) -> EnvironmentError_:
    return EnvironmentError_(what, instead=instead)


def is_file(name: str) -> bool:
    return name.endswith('.py') or '/' in name


def gather(request: Request) -> Done[Job, Result]:
    """Everything the request names, run. All names are checked before anything runs."""
    simulated('this command')
    chips = request.chips
    plan: list[Any] = [item for name in request.names for item in ([_file(name)] if is_file(name) else operators_named(name))]
    jobs = [job for item in plan for chip in chips for job in _jobs(item, chip, request)]
    with _target(request.target):
        return work_through(jobs, lambda job: job.run(), lambda job: job.name)


def _jobs(item: Any, chip: str, request: Request) -> list[Job]:
    if isinstance(item, Path):
        return [Job(str(item), lambda: _run_file(item, chip if request.arch else None, request.quiet))]
    cases, reason = _wanted(item, chip, request)
    jobs = [Job(f'{item.name} on {chip}: {case.name}', functools.partial(_run_case, item, case, chip, request.mode)) for case in cases]
    return jobs + [Job(item.name, lambda: Result(item.name, chip, mode=request.mode, skipped=reason))] * bool(reason)


@contextlib.contextmanager
def _target(name: str | None) -> Iterator[None]:
    """Kernels that leave their target open are generated for this one."""
    before = os.environ.get('TILETWIN_TARGET')
    if name is not None:
        os.environ['TILETWIN_TARGET'] = name
    try:
        yield
    finally:
        os.environ.pop('TILETWIN_TARGET', None)
        if before is not None:
            os.environ['TILETWIN_TARGET'] = before


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise usage(f'no file {name!r}', 'a Python file that launches kernels, or an operator of `tiletwin list`')
    return path


def operators_named(name: str) -> list[Any]:
    """One operator, or all of them."""
    from .registry import operators

    known = operators()
    if name == 'all':
        return list(known.values())
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise usage(f'no operator {name!r}' + (f'; did you mean {near[0]!r}?' if near else ''),
                    'one of ' + ', '.join(known) + '; or a file whose name ends in .py')
    return [known[name]]


def _wanted(item: Any, chip: str, request: Request) -> tuple[Sequence[Any], str]:
    """The cases of an operator to run, and what was left out for which reason."""
    if isinstance(item, Path):
        return (), ''
    for have, want, option, unasked in ((item.chips, chip, '--arch', request.arch == 'all'),
                                        (item.modes, request.mode, '--mode', 'all' in request.names)):
        if want not in have:
            reason = f'{item.name} is not written for {want}, only for {", ".join(have) or "nothing"}'
            if unasked:
                return (), reason
            raise usage(reason, f'{option} {", ".join(have)}')
    cases = list(item.cases)
    if request.case is not None:
        chosen = [c for c in cases if c.name == request.case]
        if not chosen:
            raise usage(f'{item.name} has no case {request.case!r}', 'one of ' + ', '.join(c.name for c in cases))
        return chosen, ''
    elsewhere = [c for c in cases if c.chips and chip not in c.chips]
    slow = [c for c in cases if c.slow and not request.slow and c not in elsewhere]
    quick = [c for c in cases if c not in elsewhere and c not in slow]
    if request.first_only:
        return (quick or slow)[:1], ''
    parts = [f'{item.name} {", ".join(c.name for c in left)}: {why}' for left, why in (
        (elsewhere, f'not for {chip}'), (slow, 'slow; --slow runs them')) if left]
    return quick, '; '.join(parts)


def _run_case(operator: Any, case: Any, chip: str, mode: str) -> Result:
    result = Result(operator.name, chip, case.name, mode)
    try:
        ran = operator.run_case(case, mode, chip)
        result.ok, result.message, result.launches, result.variant = ran.ok, ran.message, list(ran.launches), ran.variant
    except EnvironmentError_:
        raise
    except TileTwinError as refusal:
        result.ok, result.refusal = False, refusal
    return result


def _run_file(path: Path, chip: str | None, quiet: bool) -> Result:
    from .script import run_script

    with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
        ran = run_script(path, chip)
    return Result(str(path), chip or '', ok=not ran.failure and ran.refusal is None, message=ran.failure, launches=ran.launches, refusal=ran.refusal)
