"""Operators and scripts timed and judged without data."""

from __future__ import annotations

import ast
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

from ..errors import CallError, EnvironmentError_, TileTwinError
from ..machine.chip import chip as chip_of
from ..sim.result import Launch
from .gather import DEFAULT_CHIP, is_file, operators_named, usage
from .script import run_script


@dataclass(frozen=True)
class Request:
    """What to time. Without a shape, the cases of the operator."""

    name: str
    shape: Mapping[str, Any] = field(default_factory=dict)  # sizes of the dimensions and values of attributes, by name
    dtypes: tuple[str, ...] = ()
    case: str | None = None
    mode: str = 'expert'
    chip: str | None = None
    target: str | None = None
    sanitize: bool = True


@dataclass
class Timed:
    """One call, or one script."""

    title: str
    chip: str
    launches: list[Launch] = field(default_factory=list)
    seconds: float = 0.0  # measured, of this host
    refusal: TileTwinError | None = None
    failure: str = ''  # how a script ended when it did not end well

    @property
    def events(self) -> int:
        return sum(s.events for launch in self.launches for s in launch.streams)

    @property
    def simulated(self) -> int:
        return sum(launch.simulated for launch in self.launches)

    @property
    def bad(self) -> bool:
        return self.refusal is not None or bool(self.failure) or any(launch.verdict.level == 'error' for launch in self.launches)


def shape_of(text: str) -> dict[str, Any]:
    """`'M=8192,N=4096'` as sizes by name."""
    found: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(','))):
        name, is_set, value = (p.strip() for p in part.partition('='))
        if not is_set or not name.isidentifier() or not value:
            raise EnvironmentError_(f'--shape {part!r} is no size', instead='names with values: --shape M=8192,N=8192,K=4096')
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


@contextmanager
def _setting(request: Request) -> Iterator[None]:
    """What kernels that are compiled and called inside find in their environment."""
    wanted = {'TILETWIN_DATA': '0', 'TILETWIN_SANITIZE': '1' if request.sanitize else '0'}
    if request.target:
        wanted['TILETWIN_TARGET'] = request.target
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def timed(request: Request) -> list[Timed]:
    """Names are checked before anything is timed."""
    with _setting(request):
        if is_file(request.name):
            return [_script(request)]
        (operator,) = operators_named(request.name)
        return [_call(request, operator, *call) for call in _calls(request, operator)]


def _calls(request: Request, operator: Any) -> list[tuple]:
    """(what it is called, sizes, dtypes, attributes) of the calls to time."""
    chip = chip_of(request.chip or DEFAULT_CHIP).name
    if request.shape:
        attributes = {k: v for k, v in request.shape.items() if k in operator.variant.attributes}
        sizes = {k: v for k, v in request.shape.items() if k not in attributes}
        for name, value in sizes.items():
            if name not in operator.dims:
                raise CallError(f'{operator.name} has no dimension or attribute {name!r}', instead='one of ' + ', '.join((*operator.dims, *operator.variant.attributes)))
            if not isinstance(value, int) or value < 1:
                raise CallError(f'{operator.name}: {name} is {value!r}', why='it is the size of a dimension', instead='a positive int')
        return [(', '.join(f'{k}={v}' for k, v in request.shape.items()), sizes, request.dtypes, attributes)]
    cases = [c for c in operator.cases_in(request.mode) if request.case in (None, c.name) and (not c.chips or chip in c.chips)]
    if not cases:
        what = f'case {request.case!r}' if request.case else 'cases'
        raise usage(f'{operator.name} has no {what} on {chip} in {request.mode} mode', 'one of ' + ', '.join(c.name for c in operator.cases))
    return [(c.name, dict(c.sizes), c.dtypes, operator.attributes_in(c, request.mode)) for c in cases]


def _call(request: Request, operator: Any, title: str, sizes: dict, dtypes: tuple, attributes: dict) -> Timed:
    found = Timed(f'{operator.name} {title}', chip_of(request.chip or DEFAULT_CHIP).name)
    start = time.perf_counter()
    try:
        found.launches = operator.time(sizes, dtypes, request.mode, found.chip, **attributes)
    except EnvironmentError_:
        raise
    except TileTwinError as refusal:
        if request.shape or request.case:
            raise
        found.refusal = refusal
    found.seconds = time.perf_counter() - start
    return found


def _script(request: Request) -> Timed:
    if request.shape or request.case or request.dtypes:
        raise usage('a script chooses its shapes itself', 'an operator for --shape, --case and --dtype')
    if not Path(request.name).is_file():
        raise usage(f'no file {request.name!r}', 'a Python file that launches kernels, or an operator of `tiletwin list`')
    chip = chip_of(request.chip).name if request.chip else None
    start = time.perf_counter()
    record = run_script(request.name, chip)
    seconds = time.perf_counter() - start
    return Timed(request.name, chip or DEFAULT_CHIP, record.launches, seconds, record.refusal, record.failure)
