"""Measured times, and the model's error on them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from ..harness.measured import Fit, Measurement
from ..harness.record import Key


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    for heading in headings:
        table.add_column(heading, justify='left' if heading in ('operator', 'chip', 'case', 'mode', 'numbers') else 'right', no_wrap=True)
    return table


def print_measured(console: Console, records: Sequence[Measurement], baseline: Mapping[Key, float]) -> None:
    """`baseline`: modelled microseconds by key, of the baselines."""
    table = _table('operator', 'chip', 'case', 'mode', 'us', 'least', 'most', 'launches', 'numbers', 'modelled us')
    for m in records:
        numbers = {True: 'ok', False: 'WRONG', None: 'not checked'}[m.ok]
        model = f'{baseline[m.key]:.2f}' if m.key in baseline else '-'
        table.add_row(m.operator, m.chip, m.case, m.mode, f'{m.us:.2f}', f'{m.least:.2f}', f'{m.most:.2f}', str(m.samples), numbers, model)
    console.print(table)
    devices = ', '.join(sorted({m.device for m in records}))
    console.print(f'{len(records)} records, measured on {devices or "no device"}: median of the launches, L2 flushed before each', soft_wrap=True)
    for m in records:
        if m.ok is False:
            console.print(f'{m.operator} {m.case}, {m.mode}: {m.message}', soft_wrap=True)


def print_fit(console: Console, fit: Fit) -> None:
    table = _table('operator', 'chip', 'case', 'mode', 'measured us', 'modelled us', 'error')
    for p in sorted(fit.pairs, key=lambda p: -abs(p.error)):
        operator, mode, chip, case = p.key
        table.add_row(operator, chip, case, mode, f'{p.measured:.2f}', f'{p.modelled:.2f}', f'{p.error:+.1%}')
    console.print(table)
    for key, reason in fit.left_out:
        console.print(f'not compared: {key[0]} {key[3]} on {key[2]}, {key[1]}: {reason}', soft_wrap=True)
    if fit.pairs:
        console.print(f'{len(fit.pairs)} pairs: mean absolute error {fit.mape:.1%}, geometric mean of modelled over measured {fit.ratio:.3f}')
    else:
        console.print('no pair to compare')


def record_document(m: Measurement) -> dict[str, Any]:
    return asdict(m)


def fit_document(fit: Fit) -> dict[str, Any]:
    return {'pairs': [{'operator': p.key[0], 'mode': p.key[1], 'chip': p.key[2], 'case': p.key[3], 'measured_us': p.measured,
                       'modelled_us': p.modelled, 'error': p.error} for p in fit.pairs],
            'left_out': [{'operator': k[0], 'mode': k[1], 'chip': k[2], 'case': k[3], 'reason': why} for k, why in fit.left_out],
            'mape': fit.mape if fit.pairs else None, 'ratio': fit.ratio if fit.pairs else None}
