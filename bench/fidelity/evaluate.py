"""The modelled time of a row: its kernels built for the row's chip, timed without data."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from tiletwin.machine.chip import Chip

from .registry import Modelled, Skip, find
from .rows import Row

# Columns of the table and the pipes they are busy times of.
COLUMN_PIPES = {'vec': 'V', 'mac': 'M', 'mte1': 'MTE1', 'mte2': 'MTE2', 'mte3': 'MTE3', 'fix': 'FIX'}


@dataclass(frozen=True, slots=True)
class Timing:
    """Modelled microseconds of a row."""

    us: float
    launch: Mapping[str, float]  # of `us`, what the launch costs beside the work of the cores, by constant
    busy: Mapping[str, float]  # table column -> mean over the cores in use
    limit: str  # the busiest pipe, or 'launch'


@contextmanager
def platform(row: Row) -> Iterator[None]:
    """Factories compile for the row's chip."""
    name, before = 'TL_PLATFORM', os.environ.get('TL_PLATFORM')
    os.environ[name] = row.arch.upper()
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def kernels(row: Row, found: Modelled) -> list[Any]:
    """The compiled kernels that stand for a row."""
    with platform(row):
        made = found.kernels()
    return list(made) if isinstance(made, (list, tuple)) else [made]


def time(row: Row, found: Modelled, chip: Chip | None = None) -> Timing:
    """`chip` replaces the row's own, for instance one with another constant."""
    chip = chip or row.chip
    total, busy = 0.0, dict.fromkeys(COLUMN_PIPES, 0.0)
    launch: dict[str, float] = {}
    for kernel in kernels(row, found):
        analysis = _analysis(kernel, chip, found, row.warm)
        inside = analysis.cycles - chip.constants[f'launch.{analysis.launch_kind}']
        if found.clock == 'block':
            inside = sum(s.timeline.cycles * len(s.blocks) for s in analysis.streams) / analysis.blocks
        total += chip.microseconds(inside)
        for key in launch_constants(row, analysis.launch_kind) if found.clock == 'task' else ():
            launch[key] = launch.get(key, 0.0) + chip.microseconds(chip.constants[key])
        for column, us in _busy(analysis, chip).items():
            busy[column] += us
    busiest = max(busy, key=lambda c: busy[c])
    launched = sum(launch.values())
    return Timing(total + launched, launch, busy, busiest if busy[busiest] >= launched else 'launch')


def launch_constants(row: Row, kind: str) -> list[str]:
    """What a task costs beside its cores' work; one profiler counts more of it than the other (hardware 1.6)."""
    return [f'launch.{kind}', *(['launch.msprof_op'] if row.profiler == 'msprof op' else [])]


def _analysis(kernel: Any, chip: Chip, found: Modelled, warm: bool) -> Any:
    from tiletwin.backends.analysis import Analyser
    from tiletwin.backends.shapes import bind_shapes
    from tiletwin.passes.hoist_loads import hoist_loads

    bound = bind_shapes(kernel.convention, (), found.scalars)
    automatic = frozenset(kernel.program.attrs.get('auto_gm', ()))
    return Analyser(hoist_loads(kernel.program), chip, kernel.target, bound.scalars, False, warm, bypass=found.bypass).run(bound.poisoned | automatic)


def _busy(analysis: Any, chip: Chip) -> dict[str, float]:
    """Mean busy time per pipe over the cores that have the pipe."""
    out = {}
    blocks_per_core = analysis.blocks / min(analysis.blocks, chip.cube_cores)
    for column, pipe in COLUMN_PIPES.items():
        names = {core for s in analysis.streams for core, p in s.timeline.busy if p == pipe}
        total = sum(s.timeline.busy.get((core, pipe), 0.0) * len(s.blocks) for s in analysis.streams for core in names)
        out[column] = chip.microseconds(total / max(1, len(names)) / analysis.blocks * blocks_per_core)
    return out


def classify(row: Row) -> Modelled | Skip:
    """As `registry.find`, but a row without a published time is a ratio for the ladder tests, not for the score."""
    return Skip('only a ratio is published') if row.us is None else find(row)
