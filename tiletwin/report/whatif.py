"""What a kernel would gain: on the terminal and as JSON."""

from __future__ import annotations

from typing import Any, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import Span
from ..harness.mutation_record import shown
from ..harness.whatif import Gain, WhatIf
from ..machine.chip import chip as chip_of

LIMITS = ('All gains are modelled, one change at a time: two of them need not add up. "at most" is a bound, not a kernel: of a removed flag that leaves a '
          'race, what another way to the same order could gain; of a ring with one flag a slot, what a turn of credit for every slot could. '
          'Removals and moves marked clean are clean in every quick case of the contract; `tiletwin mutate` has the proof.')


def document(w: WhatIf) -> dict[str, Any]:
    return {'operator': w.operator, 'mode': w.mode, 'chip': w.chip, 'case': w.case, 'modelled_cycles': w.cycles,
            'gains': [{'change': g.change, 'what': g.what, 'lines': [f'{shown(p.file)}:{p.line}' for p in g.lines], 'modelled_cycles_saved': g.cycles,
                       'percent': round(g.percent, 3), 'after': g.verdict, 'bound': g.bound} for g in w.gains]}


def _lines(spans: Sequence[Span]) -> str:
    """`ops/expert/x.py:12,15`"""
    files: dict[str, list[str]] = {}
    for p in spans:
        files.setdefault(shown(p.file), []).append(str(p.line))
    return ' '.join(f'{file}:{",".join(dict.fromkeys(lines))}' for file, lines in files.items())


def print_whatif(console: Console, w: WhatIf, least: float) -> None:
    """`least` percent of gain to be printed; the others are counted."""
    us = chip_of(w.chip).microseconds
    console.print(f'{" ".join(filter(None, (w.operator, w.mode)))} {w.case} on {w.chip}: {us(w.cycles):.2f} us modelled', style='bold')
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    for heading in ('gain', 'us'):
        table.add_column(heading, justify='right', no_wrap=True)
    for heading in ('change', 'after it', 'what', 'lines'):
        table.add_column(heading, overflow='fold')
    rows = [g for g in w.gains if abs(g.percent) >= least]
    for g in rows:
        table.add_row(f'{g.percent:.2f} %', f'{us(g.cycles):.2f}', g.change, _after(g), g.what, _lines(g.lines))
    if rows:
        console.print(table)
    rest = len(w.gains) - len(rows)
    if rest:
        console.print(f'{rest} other changes move the time by less than {least:g} %')
    safe = w.worth(1.0)
    console.print(f'{len(safe)} of them save more than 1 % and can be had' if safe else 'none that can be had saves more than 1 %')
    console.print()


def _after(g: Gain) -> Text:
    text = ('at most; ' if g.bound else '') + g.verdict
    return Text(text, 'green' if g.safe else 'red' if g.change == 'remove' else '')


def print_all(console: Console, found: Sequence[WhatIf], least: float) -> None:
    for w in found:
        print_whatif(console, w, least)
    console.print(LIMITS, soft_wrap=True)
