"""What changed between two sets of records: console table, Markdown, JUnit XML and JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any, Sequence
from xml.sax.saxutils import escape, quoteattr

from rich.console import Console
from rich.table import Table

from ..harness.drift import CHANGED, SAME, STALE, Drift, Figure, geomean
from ..harness.record import Record

HEADINGS = ('operator', 'chip', 'case', 'developer us', '', 'expert us', '', 'speed-up')
_RIGHT = frozenset(range(3, 8))
_REASONS = {'new': 'no record before', 'gone': 'no longer run', STALE: 'recorded with another cost model'}


def _us(record: Record | None) -> str:
    us = record.figures.get('us') if record else None
    return f'{us:.2f}' if isinstance(us, (int, float)) else '-'


def _times(d: Drift | None) -> tuple[str, str]:
    """'before -> after' in modelled microseconds, and what became of it."""
    if d is None:
        return '', ''
    before, after = _us(d.before), _us(d.after)
    text = after if before == after and d.state == SAME else f'{before} -> {after}'
    if d.state != CHANGED:
        return text, '' if d.state == SAME else d.state
    ratio = d.ratio
    return text, 'x{:.4f}'.format(ratio) if ratio is not None and ratio != 1 else 'changed'


def _speedup(developer: Drift | None, expert: Drift | None, side: str) -> float | None:
    slow, fast = (getattr(d, side) if d else None for d in (developer, expert))
    cycles = [r.figures.get('cycles') if r else None for r in (slow, fast)]
    return cycles[0] / cycles[1] if all(isinstance(c, (int, float)) and c for c in cycles) else None


def rows(found: Sequence[Drift]) -> list[tuple[str, ...]]:
    """One row a case: both modes, before and after."""
    cases: dict[tuple[str, str, str], dict[str, Drift]] = {}
    for d in found:
        operator, mode, chip, case = d.key
        cases.setdefault((operator, chip, case), {})[mode] = d
    out = []
    for (operator, chip, case), modes in cases.items():
        developer, expert = modes.get('developer'), modes.get('expert')
        before, after = (_speedup(developer, expert, side) for side in ('before', 'after'))
        speedup = '' if after is None else f'{after:.2f}' if before is None or round(before, 2) == round(after, 2) else f'{before:.2f} -> {after:.2f}'
        out.append((operator, chip, case, *_times(developer), *_times(expert), speedup))
    return out


def interesting(found: Sequence[Drift]) -> list[Drift]:
    """Every mode of the cases in which something changed."""
    moved = {(d.key[0], d.key[2], d.key[3]) for d in found if d.state != SAME}
    return [d for d in found if (d.key[0], d.key[2], d.key[3]) in moved]


def _value(value: Any) -> str:
    return 'none' if value is None else f'{value:,.6g}' if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else str(value)


def _figure(f: Figure) -> str:
    ratio = f.ratio
    return f'{f.name} {_value(f.before)} -> {_value(f.after)}' + (f' (x{ratio:.4f})' if ratio is not None else '')


def explain(d: Drift) -> list[str]:
    """The lines that changed, then the figures; for a record that cannot be compared the reason."""
    if d.state == STALE and d.before and d.after:
        return [f'{_REASONS[STALE]}: {d.before.model}, now {d.after.model}; not compared']
    return [_REASONS[d.state]] if d.state in _REASONS else [*d.lines, *map(_figure, d.figures)]


def reasons(found: Sequence[Drift]) -> list[str]:
    """Why records are not compared, each reason once."""
    count = Counter(line for d in found if d.state in _REASONS for line in explain(d))
    return [f'{n} record{"s" if n > 1 else ""}: {line}' for line, n in count.items()]


def outcome(found: Sequence[Drift]) -> str:
    states = Counter(d.state for d in found)
    ratios = [d.ratio for d in found if d.state == CHANGED and d.ratio]
    mean = geomean(ratios)
    parts = [f'{n} {state}' for state in (SAME, CHANGED, 'new', 'gone', STALE) if (n := states[state])]
    unexpected = sum(d.unexpected for d in found)
    return (f'{len(found)} records: ' if found else 'no records') + ', '.join(parts) + (f'; modelled cycles of the changed x{mean:.4f} (geometric mean)' if mean else '') \
        + (f'; {unexpected} not in the baselines' if unexpected else '')


def print_drifts(console: Console, found: Sequence[Drift]) -> None:
    shown = interesting(found)
    if shown:
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
        for i, heading in enumerate(HEADINGS):
            table.add_column(heading, justify='right' if i in _RIGHT else 'left', no_wrap=i > 0, overflow='fold')
        for row in rows(shown):
            table.add_row(*row)
        console.print(table)
        console.print()
    for line in reasons(found):
        console.print(line, soft_wrap=True, markup=False)
    for d in shown:
        if d.state == CHANGED:
            console.print(f'{d.record.title}: {d.state}' + (', as the baselines say' if d.expected else ''), soft_wrap=True, markup=False)
            for line in explain(d):
                console.print(f'    {line}', soft_wrap=True, markup=False)
    console.print(outcome(found), soft_wrap=True)


def markdown(found: Sequence[Drift]) -> str:
    shown = interesting(found)
    lines: list[str] = []
    if shown:
        heads = ['operator', 'chip', 'case', 'developer us', 'change', 'expert us', 'change', 'speed-up']
        lines += ['| ' + ' | '.join(heads) + ' |', '|' + '|'.join('---:' if i in _RIGHT else '---' for i in range(len(heads))) + '|']
        lines += ['| ' + ' | '.join(cell.replace('|', '\\|') for cell in row) + ' |' for row in rows(shown)]
        lines.append('')
        lines += [f'* {line}' for line in reasons(found)] + ['']
        for d in shown:
            if d.state == CHANGED:
                lines += [f'**{d.record.title}**: {d.state}' + (', as the baselines say' if d.expected else ''), '', '```', *explain(d), '```', '']
    return '\n'.join([*lines, outcome(found), '', 'All times are modelled.'])


def junit(found: Sequence[Drift]) -> str:
    failed = [d for d in found if d.unexpected]
    out = ['<?xml version="1.0" encoding="utf-8"?>', f'<testsuite name="tiletwin diff" tests="{len(found)}" failures="{len(failed)}">']
    for d in found:
        operator, mode, chip, case = d.key
        head = f'  <testcase classname={quoteattr(f"{operator}.{mode}.{chip}")} name={quoteattr(case)}'
        if d.unexpected:
            out += [head + '>', f'    <failure message={quoteattr(d.state)}>{escape(chr(10).join(explain(d)))}</failure>', '  </testcase>']
        else:
            out.append(head + '/>')
    return '\n'.join([*out, '</testsuite>']) + '\n'


def document(d: Drift) -> dict[str, Any]:
    operator, mode, chip, case = d.key
    return {'operator': operator, 'mode': mode, 'chip': chip, 'case': case, 'state': d.state, 'expected': d.expected, 'ratio': d.ratio,
            'model': {side: r.model if r else None for side, r in (('before', d.before), ('after', d.after))},
            'figures': [{**asdict(f), 'ratio': f.ratio} for f in d.figures], 'lines': list(d.lines)}
