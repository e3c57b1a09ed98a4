"""Mutation scores on the terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..harness.mutate import REDUNDANT, SURVIVED, Outcome, Score
from ..harness.mutation_record import as_data, shown

# Changes that only say the same in other words when they are redundant; the others are synchronisation or slots to spare.
WORDING = ('duplicate', 'move up', 'move down')


def document(s: Score) -> dict[str, Any]:
    return as_data(s)


def print_scores(console: Console, found: Sequence[Score]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    table.add_column('kernel', overflow='fold')
    for heading in ('mutants', 'caught', 'redundant', 'survived', 'score'):
        table.add_column(heading, justify='right', no_wrap=True)
    table.add_column('caught by')
    for s in found:
        tools = ', '.join(f'{tool} {n}' for tool, n in s.by_tool.items())
        table.add_row(' '.join(filter(None, (s.operator, s.mode, f'on {s.chip}'))), str(s.total), str(s.caught), str(s.redundant),
                      Text(str(s.survivors), 'bold red' if s.survivors else ''), f'{s.percent:.1f} %', tools)
    console.print(table)
    for s in found:
        _print_list(console, f'{s.operator}: neither caught nor proven redundant', s.of(SURVIVED))
        _print_list(console, f'{s.operator}: the kernel could do without', s.spare)
        other = [o for o in s.of(REDUNDANT) if o not in s.spare]
        _print_list(console, f'{s.operator}: changes that make no difference', [o for o in other if o.change not in WORDING])
        said = Counter(f'{o.change}: {o.by}' for o in other if o.change in WORDING)
        if said:
            console.print(f'{s.operator}: the same kernel in other words: ' + '; '.join(f'{n} {what}' for what, n in sorted(said.items())) + '\n',
                          soft_wrap=True)
    console.print(summary(found), soft_wrap=True)


def _print_list(console: Console, title: str, these: Sequence[Outcome]) -> None:
    if not these:
        return
    console.print(f'{title}')
    for o in these:
        console.print(f'  {shown(o.file)}:{o.line}  {o.source}', soft_wrap=True)
        console.print(f'      {o.name}: {o.by}' + (f' (case {o.case})' if o.case else ''), soft_wrap=True)
    console.print()


def summary(found: Sequence[Score]) -> str:
    total, left = sum(s.total for s in found), sum(s.survivors for s in found)
    text = f'{total} mutants of {len(found)} kernel{"" if len(found) == 1 else "s"}: {sum(s.caught for s in found)} caught, ' \
           f'{sum(s.redundant for s in found)} proven redundant, '
    return text + (f'{left} SURVIVED' if left else 'none survived')
