"""Launches and operators on the terminal. Plain text of a fixed width when the output is not a terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import IO, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..machine.chip import chip as chip_of
from ..sim.result import Launch
from .findings import STYLES, print_findings, verdict_line
from .tracks import shares

WIDTH = 120
# Column heading -> (core prefix, row): what a kernel writer tunes, cube side left, vector side right.
_COLUMNS = {
    'MTE2': ('AIC', 'MTE2'), 'MTE1': ('AIC', 'MTE1'), 'CUBE': ('AIC', 'CUBE'), 'FIXP': ('AIC', 'FIXP'),
    'vMTE2': ('AIV', 'MTE2'), 'VECTOR': ('AIV', 'VECTOR'), 'MTE3': ('AIV', 'MTE3'),
}


def make_console(stream: IO[str] | None = None) -> Console:
    """Colours and the terminal's width on a terminal; otherwise plain text, 120 wide, the same everywhere."""
    stream = sys.stdout if stream is None else stream
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    return Console(file=stream, width=WIDTH, force_terminal=False, color_system=None, highlight=False, markup=False, emoji=False)


@dataclass(frozen=True)
class Row:
    """A launch and what to call it in a table."""

    group: str  # operator or script
    name: str  # case or kernel
    launch: Launch
    note: str = ''  # outcome of the numeric comparison


def _percent(share: float) -> str:
    return f'{100 * share:.0f}%' if share >= 0.005 else '.'


def _pipes(launch: Launch) -> list[str]:
    """The busiest core of each kind decides a column."""
    busy = shares(launch.timeline)
    return [_percent(max((v for (core, row), v in busy.items() if core.startswith(kind) and row == wanted), default=0.0))
            for kind, wanted in _COLUMNS.values()]


def _range(values: Iterable[int]) -> str:
    low, high = min(values), max(values)
    return str(high) if low == high else f'{low}-{high}'


def memory_text(launches: Sequence[Launch]) -> str:
    """Largest peak per memory, and its share of what the chip lets a kernel use."""
    memories = chip_of(launches[0].chip).memories
    peaks = {space: max(launch.memory.get(space, 0) for launch in launches) for space in memories}
    return ', '.join(f'{space} {used} B ({100 * used / memories[space].bytes:.0f}%)' for space, used in peaks.items() if used) or 'nothing'


def sync_text(launches: Sequence[Launch]) -> str:
    """Synchronisation statements of a kernel's text, by kind."""
    kinds = sorted({kind for launch in launches for kind in launch.syncs})
    return ', '.join(f'{_range([launch.syncs.get(kind, 0) for launch in launches])} {kind}' for kind in kinds) or 'none'


def print_launches(console: Console, rows: Sequence[Row]) -> None:
    """One line per launch under the name of its operator or script, then memory and synchronisation once per name and chip."""
    noted = any(r.note for r in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    table.add_column('kernel', overflow='fold')  # the only column that gives way
    table.add_column('chip', no_wrap=True)
    for heading in ('blocks', 'modelled us', *_COLUMNS):
        table.add_column(heading, justify='right', no_wrap=True)
    for heading in (('numbers', 'verdict') if noted else ('verdict',)):
        table.add_column(heading, no_wrap=True)
    group = None
    for r in rows:
        if r.group != group:
            group = r.group
            table.add_row(Text(group, 'bold'))
        level = r.launch.verdict.level
        numbers = (r.note,) if noted else ()
        table.add_row(f'  {r.name}', r.launch.chip, str(r.launch.blocks), f'{r.launch.microseconds:.2f}', *_pipes(r.launch), *numbers,
                      Text(level, STYLES[level]))
    console.print(table)
    together: dict[tuple[str, str], list[Launch]] = {}
    for r in rows:
        together.setdefault((r.group, r.launch.chip), []).append(r.launch)
    console.print('%: share of the longest block a pipe is busy; MTE2 to FIXP on the cube core, vMTE2 to MTE3 on the vector cores\n')
    for (group, chip), launches in together.items():
        console.print(f'{group} on {chip}: on-chip peak {memory_text(launches)}; in its text {sync_text(launches)}', soft_wrap=True)


def print_launch(console: Console, launch: Launch) -> None:
    """Everything about one launch: findings, timing, verdict."""
    print_findings(console, launch.verdict.findings)
    print_launches(console, [Row('launch', launch.program.name, launch)])
    console.print(verdict_line(launch.verdict, f'{launch.program.name} on {launch.chip}'))


def merged(launches: Iterable[tuple[str, Launch]]) -> tuple[list, dict[str, str]]:
    """Findings of several launches, each id once, and for each id the other launches that show it."""
    first: dict[str, object] = {}
    places: dict[str, list[str]] = {}
    for name, launch in launches:
        for f in launch.verdict.findings:
            first.setdefault(f.id, f)
            if name not in places.setdefault(f.id, []):
                places[f.id].append(name)
    also = {}
    for key, names in places.items():
        rest = names[1:]
        also[key] = ', '.join(rest[:3]) + (f' and {len(rest) - 3} more' if len(rest) > 3 else '')
    return list(first.values()), also
