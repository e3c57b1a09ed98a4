"""Launches timed without data: the table and the document."""

from __future__ import annotations

from typing import Any, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..harness.timing import Timed
from ..sim.result import Launch
from .findings import STYLES, print_findings
from .jsonout import launch as launch_json
from .tracks import shares

NOTE = 'us and cycles are modelled; seconds are measured on this host. Kernels computed nothing: whether numbers are right is for `tiletwin check`.'


def _busy(launch: Launch) -> str:
    """Busy shares of the longest block, the busier vector core first."""
    found: dict[str, float] = {}
    for (core, row), share in shares(launch.timeline).items():
        name = f'{core.rstrip("01")} {row}'
        found[name] = max(found.get(name, 0.0), share)
    return '  '.join(f'{name} {100 * share:.0f}%' for name, share in sorted(found.items(), key=lambda kv: -kv[1]) if share >= 0.005)


def print_timed(console: Console, results: Sequence[Timed], limit: int = 20) -> None:
    table = Table(box=None, pad_edge=False)
    for name, justify in (('call', 'left'), ('chip', 'left'), ('us', 'right'), ('cycles', 'right'), ('verdict', 'left'), ('events', 'right'), ('simulated', 'right'),
                          ('seconds', 'right')):
        table.add_column(name, justify=justify, overflow='fold')
    for r in results:
        for i, launch in enumerate(r.launches):
            level = launch.verdict.level
            title = r.title if len(r.launches) == 1 else f'{r.title}: {launch.program.name}'
            table.add_row(title, launch.chip, f'{launch.microseconds:.2f}', f'{launch.cycles:.0f}', Text(level, style=STYLES.get(level, '')),
                          str(sum(s.events for s in launch.streams)), str(launch.simulated), f'{r.seconds:.2f}' if i == 0 else '')
            table.add_row(Text(f'  {_busy(launch)}', style='dim'))
    if any(r.launches for r in results):
        console.print(table)
    for r in results:
        if r.refusal is not None:
            console.print(f'\n{r.title}: {r.refusal}')
        if r.failure:
            console.print(f'\n{r.title} failed\n{r.failure}')
    findings = {f.id: f for r in results for launch in r.launches for f in launch.verdict.findings}
    if findings:
        console.print()
        print_findings(console, findings.values(), limit=limit)
    if any(r.launches for r in results):
        console.print(f'\n{NOTE}')


def document(results: Sequence[Timed]) -> list[dict[str, Any]]:
    return [{'title': r.title, 'chip': r.chip, 'seconds': round(r.seconds, 3), 'refused': str(r.refusal) if r.refusal else None, 'failed': r.failure or None,
             'launches': [_launch(launch) for launch in r.launches]} for r in results]


def _launch(launch: Launch) -> dict[str, Any]:
    return {**launch_json(launch), 'busy_cycles': {f'{core} {pipe}': cycles for (core, pipe), cycles in sorted(launch.timeline.busy.items())},
            'events': sum(s.events for s in launch.streams), 'simulated': launch.simulated}
