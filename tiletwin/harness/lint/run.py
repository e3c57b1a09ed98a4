"""Lints of operators, files and everything in `ops`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any, Iterable

from ...backends.choose import simulated
from ...errors import EnvironmentError_
from ...machine.chip import chip as chip_of
from ..gather import is_file, operators_named
from ..registry import operators, platform, quiet_kernels
from . import fork_names, fork_signatures, fork_syntax, fork_values, modes, programs
from .finding import Lint
from .source import Kernel, kernels, reachable

ROOMS = ('expert', 'developer')


def lint(names: Iterable[str], fork: bool = False) -> list[Lint]:
    """Findings of operators and files by place; all of `ops` when no name is given. All names are checked before anything is read."""
    names = list(names)
    files = [name for name in names if is_file(name)]
    for name in files:
        if not Path(name).is_file():
            raise EnvironmentError_(f'no file {name!r}', instead='a Python file, or an operator of `tiletwin list`')
    if not names or len(files) < len(names):
        simulated('the lint of operators, which also reads their programs,')
    chosen = [op for name in names if not is_file(name) for op in operators_named(name)] if names else list(operators().values())
    found: set[Lint] = set()
    for name in files if names else ops_files():
        found |= set(lint_file(name, fork))
    for op in chosen:
        found |= set(lint_operator(op, fork))
    return sorted(found)


def ops_files() -> list[str]:
    """Every kernel file of the package's operators."""
    spec = importlib.util.find_spec('ops')
    roots = [Path(p) for p in (spec.submodule_search_locations if spec else ())]
    return [str(p) for root in roots for room in ROOMS for p in sorted((root / room).rglob('*.py'))]


def room(file: str) -> str:
    """'expert' or 'developer' for the files of these rooms of `ops`."""
    parts = Path(file).parts
    return next((m for m in ROOMS if m in parts and 'ops' in parts[:parts.index(m)]), '')


def lint_file(file: str, fork: bool = False) -> list[Lint]:
    found = [finding for k in kernels(file) for finding in modes.check(k, room(file) or k.mode)]
    return found + (list(fork_findings(file, kernels(file))) if fork else [])


def fork_findings(file: str, found: Iterable[Kernel]) -> Iterable[Lint]:
    yield from fork_names.check(file)
    for k in found:
        for rules in (fork_syntax, fork_signatures, fork_values):
            yield from rules.check(k)


def lint_operator(op: Any, fork: bool = False) -> list[Lint]:
    found: list[Lint] = []
    for mode in op.modes:
        factory = getattr(importlib.import_module(f'ops.{mode}.{op.variant.family}'), op.variant.kernel)
        file = inspect.getsourcefile(inspect.unwrap(factory))
        mine = reachable(file, op.variant.kernel)
        for k in mine:
            found += modes.check(k, mode, op.variant)
        if fork:
            found += fork_findings(file, mine)
        found += lint_program(op, mode)
    return found


def lint_program(op: Any, mode: str) -> list[Lint]:
    """The kernel of the first case the mode runs, built but not run."""
    chip = op.chips[0]
    variant = op.variant
    case = next(c for c in op.cases_in(mode) if not c.chips or chip in c.chips)
    dtypes = case.dtypes or tuple(o.dtypes[0] for o in variant.inputs)
    with platform(chip_of(chip).name), quiet_kernels():
        kernel = op.kernel(dict(case.sizes), variant.settings(op.attributes_in(case, mode)), dtypes, mode, chip)
    found: list[Lint] = []
    for one in getattr(kernel, 'kernels', (kernel,)):  # an operator of several launches says which
        source = one.prim_func if hasattr(one.prim_func, 'launch') else one.prim_func.program
        found += programs.check(one.program, source, mode, op.chips, variant)
    return found
