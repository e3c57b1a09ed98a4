"""The rows of published measurements. Any file with these columns can be read; nothing depends on a row's id."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from tiletwin.errors import EnvironmentError_
from tiletwin.machine.chip import Chip, part

TABLE = Path(__file__).with_name('measurements.csv')
PIPES = ('vec', 'scalar', 'mac', 'mte1', 'mte2', 'mte3', 'fix')
COLUMNS = ('id', 'cat', 'hw', 'cores', 'impl', 'kernel', 'shape', 'dtype', 'us', *PIPES, 'note', 'src')
# Rows that name several parts at once, as the first of them that has the number of cores.
_GROUPS = {'A2/A3': 'A3', '910B': '910B1'}


@dataclass(frozen=True, slots=True)
class Row:
    """One published measurement."""

    id: str
    cat: str
    hw: str
    cores: str  # as published: '24', or '24/48' for cube and vector cores
    impl: str
    kernel: str
    shape: str
    dtype: str
    us: float | None  # None where only a ratio is published
    busy: tuple[tuple[str, float], ...]  # pipe -> us, mean over the cores unless the note says otherwise
    note: str
    src: str

    @property
    def core_counts(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.cores.split('/') if n.strip().isdigit())

    @property
    def chip(self) -> Chip:
        return _chip(self.hw, self.core_counts)

    @property
    def profiler(self) -> str:
        """The tool behind a task time: `msprof op` counts more of the launch on A2 than `msprof` does (hardware 1.6, 1.9)."""
        return 'msprof op' if self.src.startswith(('asc-devkit', 'hicann/catlass')) else 'msprof'

    @property
    def warm(self) -> bool:
        """Whether the kernel ran before on the same tensors, so that what fits of them is in L2. The catlass times are those of repeated runs:
        they leave no room for reading the operands from HBM (1024x576x6144: 113 MB moved in 56 us is the rate of L2)."""
        return self.src.startswith('hicann/catlass')

    @property
    def arch(self) -> str:
        """'a2', 'a3' or 'a5': what a kernel is compiled for."""
        return self.chip.name


@functools.cache
def _chip(hw: str, cores: tuple[int, ...]) -> Chip:
    # 20 cores are what 910B3 and the 910_9362 boards have; a smaller number is a launch that leaves cores idle.
    return part(_GROUPS.get(hw, hw), 20 if cores[:1] == (20,) else None)


def read(path: Path | str = TABLE) -> list[Row]:
    """All rows of a file with the columns of measurements.csv."""
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as err:
        raise EnvironmentError_(f'{path} cannot be read: {err}', instead='a CSV file with the columns ' + ','.join(COLUMNS)) from None
    lines = csv.DictReader(text.splitlines())
    missing = [c for c in COLUMNS if c not in (lines.fieldnames or ())]
    if missing:
        raise EnvironmentError_(f'{path} has no column {", ".join(missing)}', instead='a CSV file with the columns ' + ','.join(COLUMNS))
    return [_row(path, number, line) for number, line in enumerate(lines, 2)]


def _row(path: Path, number: int, line: dict) -> Row:
    def figure(name: str) -> float | None:
        text = (line[name] or '').strip()
        try:
            value = float(text) if text else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 < value < float('inf'):
            raise EnvironmentError_(f'{path}:{number}: {name} is {text!r}', why='times are microseconds above 0, or empty', instead='a number')
        return value

    busy = tuple((p, t) for p in PIPES if (t := figure(p)) is not None)
    words = {name: (line[name] or '').strip() for name in ('id', 'cat', 'hw', 'cores', 'impl', 'kernel', 'shape', 'dtype', 'note', 'src')}
    return Row(us=figure('us'), busy=busy, **words)
