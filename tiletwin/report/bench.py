"""Benchmark records as a table, Markdown or JSON."""

from __future__ import annotations

from typing import Any, Sequence

from rich.console import Console
from rich.table import Table

from ..harness.record import NUMBERS, Record

HEADINGS = ('operator', 'chip', 'case', 'mode', 'us', 'cycles', 'busiest pipe', 'GM MB', 'UB KB', 'L1 KB', 'syncs', 'numbers', 'verdict')
_RIGHT = frozenset({4, 5, 7, 8, 9, 10})


def row(r: Record) -> tuple[str, ...]:
    f = r.figures
    for word in ('refused', 'left out'):
        if word in f:
            return (r.operator, r.chip, r.case, r.mode, *('-',) * 8, word)
    busy = {k.removeprefix('busy.'): v for k, v in f.items() if k.startswith('busy.')}
    pipe = max(busy, key=busy.__getitem__, default=None)
    numbers = {'yes': 'ok', 'no': 'WRONG'}.get(str(f.get(f'{NUMBERS}ok')), 'not run')
    kb = [f'{f.get(f"memory.{space}", 0) / 1024:g}' for space in ('UB', 'L1')]
    return (r.operator, r.chip, r.case, r.mode, f'{f["us"]:.2f}', f'{f["cycles"]:.0f}', f'{pipe} {busy[pipe]:.0%}' if pipe else '-',
            f'{(f["gm.read"] + f["gm.written"]) / 1e6:.2f}', *kb, str(sum(v for k, v in f.items() if k.startswith('sync.'))), numbers, str(f['verdict']))


def reasons(records: Sequence[Record]) -> list[str]:
    return [f'{r.title}: {word}: {r.figures[word]}' for r in records for word in ('refused', 'left out') if word in r.figures]


def print_records(console: Console, records: Sequence[Record]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    for i, heading in enumerate(HEADINGS):
        table.add_column(heading, justify='right' if i in _RIGHT else 'left', no_wrap=i > 0, overflow='fold')
    for r in records:
        table.add_row(*row(r))
    console.print(table)
    for line in reasons(records):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f'{len(records)} records; us and cycles are modelled', soft_wrap=True)


def markdown(records: Sequence[Record]) -> str:
    lines = ['| ' + ' | '.join(HEADINGS) + ' |', '|' + '|'.join('---:' if i in _RIGHT else '---' for i in range(len(HEADINGS))) + '|']
    return '\n'.join([*lines, *('| ' + ' | '.join(row(r)) + ' |' for r in records), '', *(f'* {line}' for line in reasons(records)), '', 'us and cycles are modelled.'])


def document(r: Record) -> dict[str, Any]:
    return {'operator': r.operator, 'mode': r.mode, 'chip': r.chip, 'case': r.case, 'model': r.model, 'commit': r.commit, 'modelled': True,
            'figures': dict(r.figures), 'syncs': list(r.syncs)}
