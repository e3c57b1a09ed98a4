"""The modes of an operator next to each other: terminal, Markdown, JSON."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import Any, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..harness.compare import Comparison, ModeResult, Twins
from ..harness.precision import Comparison as Numbers
from .findings import STYLES
from .jsonout import finding
from .limits import document as limits_document, help_lines, rows as limit_rows

MEMORIES = ('UB', 'L1', 'L0A', 'L0B', 'L0C')
HEADINGS = ('case', 'mode', 'numbers', 'max abs', 'max rel', 'verdict', 'cycles', 'modelled us', 'twins')
_RIGHT = ('max abs', 'max rel', 'cycles', 'modelled us')


# -- one line per case and mode ------------------------------------------------------------------------------------------
def _small(value: float) -> str:
    return '0' if value == 0 else f'{value:.1e}'


def _worst(numbers: dict[str, Numbers], what: str) -> str:
    return _small(max(getattr(n, what) for n in numbers.values()))


def _twins(c: Comparison) -> str:
    if c.twins is None:
        return ''
    if c.twins.bitwise:
        return 'bitwise'
    return 'in budget' if c.twins.ok else 'DIFFER'


def level(c: Comparison, m: ModeResult) -> str:
    """The verdict; 'accepted' or 'waived' when the contract gives a reason for every finding."""
    if m.verdict.clean or c.unaccepted(m):
        return m.verdict.level
    return 'waived' if m.waived else 'accepted'


def _absence(m: ModeResult) -> str:
    return 'missing' if m.missing else 'left out' if m.left_out else 'refused'


def summary(found: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Cells under HEADINGS; the case stands on its first mode, what the twins say on its last."""
    rows = []
    for c in found:
        for i, m in enumerate(c.modes):
            case, last = c.case if i == 0 else '', _twins(c) if i == len(c.modes) - 1 else ''
            if not m.ran:
                rows.append((case, m.mode, _absence(m), *[''] * 5, last))
                continue
            numbers = [_worst(m.numbers, what) for what in ('max_abs', 'max_rel')]
            rows.append((case, m.mode, 'ok' if m.ok else 'WRONG', *numbers, level(c, m), f'{m.cost.cycles:.0f}', f'{m.cost.microseconds:.2f}', last))
    return rows


# -- one case in full ----------------------------------------------------------------------------------------------------
def ulps(numbers: Numbers) -> str:
    return ', '.join(f'{name}: {count}' for name, count in numbers.ulps.items() if count)


def _share(value: float) -> str:
    return f'{100 * value:.1f} %'


def _union(modes: Sequence[ModeResult], what: str) -> list[str]:
    return list(dict.fromkeys(name for m in modes for name in getattr(m.cost, what)))


def details(c: Comparison) -> list[tuple[str, list[str]]]:
    """(what, one cell per mode that ran), section by section; a section is a row without cells."""
    ran = [m for m in c.modes if m.ran]
    if not ran:
        return []
    rows: list[tuple[str, list[str]]] = [('verdict', [level(c, m) for m in ran])]
    if any(m.shown for m in ran):
        rows.append(('claims shown', [f'{sum(s.ok for s in m.shown)} of {len(m.shown)}' for m in ran]))
    for output in ran[0].numbers:
        title = 'against the reference' + (f', {output}' if len(ran[0].numbers) > 1 else '')
        found = [m.numbers[output] for m in ran]
        rows += [(title, []), ('inside ' + found[0].policy, ['yes' if n.ok else 'NO' for n in found])]
        rows += [(label, [_small(getattr(n, what)) for n in found])
                 for label, what in (('max abs', 'max_abs'), ('max rel', 'max_rel'), ('RMSE', 'rmse'), ('relative L2', 'rel_l2'), ('bias', 'bias'))]
        rows.append(('ULPs: elements', [ulps(n) for n in found]))
    rows += [('modelled time', []), ('cycles', [f'{m.cost.cycles:.0f}' for m in ran]), ('us', [f'{m.cost.microseconds:.2f}' for m in ran])]
    rows += [(f'{name} busy', [_share(m.cost.busy.get(name, 0.0)) for m in ran]) for name in sorted(_union(ran, 'busy'))]
    rows += [('critical path', [])]
    rows += [(f'waits for {name}', [_share(m.cost.critical.get(name, 0.0)) for m in ran]) for name in _union(ran, 'critical')]
    rows += limit_rows([m.limits for m in ran])
    rows += [('bytes', []), ('GM read', [str(m.cost.gm_read) for m in ran]), ('GM written', [str(m.cost.gm_written) for m in ran]),
             ('workspace', ['symbolic' if m.cost.workspace is None else str(m.cost.workspace) for m in ran])]
    rows += [(f'peak {space}', [str(m.cost.memory.get(space, 0)) for m in ran]) for space in MEMORIES]
    rows += [('program', [])]
    rows += [(kind, [str(m.cost.syncs.get(kind, 0)) for m in ran]) for kind in sorted(_union(ran, 'syncs'))]
    rows += [('cross flag ids', [str(m.cost.cross_flags) for m in ran]), ('lines of code', [str(m.cost.lines) for m in ran])]
    return rows


def twins_text(c: Comparison) -> str:
    """What the modes say about one another, in one sentence."""
    if c.twins is None:
        absent = [f'{m.mode} {"is" if m.missing or m.left_out else "was"} {_absence(m)}' for m in c.modes if not m.ran]
        return 'twins not compared: ' + (', '.join(absent) or 'one mode was asked for')
    first, second = c.twins.modes
    if c.twins.bitwise:
        text = f'{first} and {second} agree bit by bit'
    else:
        n = max(c.twins.numbers.values(), key=lambda n: n.max_abs)
        text = f'{first} and {second} differ by at most {_small(n.max_abs)}; ULPs: elements {ulps(n)}'
    text += f' ({"inside" if c.twins.ok else "OUTSIDE"} {c.twins.policy})'
    return text if c.speedup is None else f'{text}; expert is {c.speedup:.2f} times as fast (modelled)'


def longest(found: Sequence[Comparison]) -> Comparison | None:
    """The case worth reading in full: most modelled time."""
    ran = [c for c in found if any(m.ran for m in c.modes)]
    return max(ran, key=lambda c: max(m.cost.cycles for m in c.modes if m.ran), default=None)


def outcome(found: Sequence[Comparison]) -> str:
    missing: dict[str, list[str]] = {}
    for c in found:
        for mode in c.missing:
            if c.operator not in missing.setdefault(mode, []):
                missing[mode].append(c.operator)
    wrong = sum(bool(c.problems) for c in found)
    text = f'{len(found)} comparison{"" if len(found) == 1 else "s"}, {wrong or "none"} with a problem'
    text += ''.join(f'; {mode} is missing for {", ".join(names)}' for mode, names in missing.items())
    left_out = {f'left out: {c.operator} {c.case} in {m.mode} mode: {m.left_out}': None for c in found for m in c.modes if m.left_out}
    return '\n'.join([*remarks(found), *left_out, text])


def remarks(found: Sequence[Comparison]) -> list[str]:
    """What the passes said about the kernels, and the findings a contract waives, each with its reason."""
    notes: dict[tuple[str, str], list[str]] = {}
    for c in found:
        for m in c.modes:
            for note in m.notes:
                # One kernel says the same of every case, with other numbers.
                notes.setdefault((f'{c.operator} in {m.mode} mode', re.sub(r'\d+', '', note)), []).append(f'{c.case}: {note}')
    lines = [f'note: {who}, {said[0]}' + (f'; {len(said) - 1} more of this kind' if len(said) > 1 else '') for (who, _), said in notes.items()]
    lines += [f'waived: {c.operator} {c.case} on {c.chip}, {m.mode}: {n} finding{"" if n == 1 else "s"} of {w.name}: {w.reason}'
              for c in found for m in c.modes for w, n in m.waived]
    return list(dict.fromkeys(lines))


def claims(c: Comparison) -> list[str]:
    """What each mode shows of what the row asks for."""
    return [f'{m.mode} {"shows" if s.ok else "does NOT show"} {s.text}' for m in c.modes for s in m.shown]


# -- terminal ------------------------------------------------------------------------------------------------------------
def _groups(found: Sequence[Comparison]) -> dict[tuple[str, str], list[Comparison]]:
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for c in found:
        groups.setdefault((c.operator, c.chip), []).append(c)
    return groups


def _style(cell: str) -> str:
    word = cell.split(' ')[0]
    return STYLES.get(word, 'bold red' if word in ('WRONG', 'DIFFER', 'NO', 'refused') else 'bold yellow' if word == 'missing' else '')


def print_comparisons(console: Console, found: Sequence[Comparison], full: bool) -> None:
    """`full`: also every figure of the longest case."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    table.add_column(HEADINGS[0], overflow='fold')  # the only column that gives way
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify='right' if heading in _RIGHT else 'left', no_wrap=True)
    for (operator, chip), members in _groups(found).items():
        table.add_row(Text(operator, 'bold'), Text(f'on {chip}', 'bold'))
        for cells in summary(members):
            table.add_row(f'  {cells[0]}', *(Text(c, _style(c)) for c in cells[1:]))
    console.print(table)
    if full:
        c = longest(found)
        if c is not None:
            print_details(console, c)
    for c in found:
        for problem in c.problems:
            console.print(f'{c.operator} {c.case} on {c.chip}: {problem}', soft_wrap=True)
    console.print(outcome(found), soft_wrap=True)


def print_details(console: Console, c: Comparison) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style='bold')
    table.add_column(f'{c.operator} {c.case} on {c.chip}', no_wrap=True)
    for m in c.modes:
        if m.ran:
            table.add_column(m.mode, justify='right', overflow='fold', max_width=28)
    for label, cells in details(c):
        table.add_row(Text(label, '' if cells else 'bold') if not cells else f'  {label}', *(Text(cell, _style(cell)) for cell in cells))
    console.print()
    console.print(table)
    for line in claims(c):
        console.print(line, soft_wrap=True, markup=False)
    for line in (line for m in c.modes for line in help_lines(m.limits, m.mode)):
        console.print(line, soft_wrap=True)
    console.print(f'{twins_text(c)}\n', soft_wrap=True)


# -- Markdown ------------------------------------------------------------------------------------------------------------
def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    rule = ['---:' if h in right else '---' for h in headings]
    return ['| ' + ' | '.join(cell.replace('|', '\\|') for cell in row) + ' |' for row in (headings, rule, *rows)]


def markdown(found: Sequence[Comparison], full: bool) -> str:
    lines: list[str] = []
    for (operator, chip), members in _groups(found).items():
        lines += [f'### {operator} on {chip}', '', *_markdown_table(HEADINGS, summary(members), _RIGHT), '']
    c = longest(found) if full else None
    if c is not None:
        modes = [m.mode for m in c.modes if m.ran]
        rows = [(label if cells else f'**{label}**', *(cells or [''] * len(modes))) for label, cells in details(c)]
        lines += [f'#### {c.case}', '', *_markdown_table(('', *modes), rows, modes), '', *(f'* {line}' for line in claims(c)), *[''] * bool(claims(c))]
        for helps in filter(None, (help_lines(m.limits, m.mode) for m in c.modes)):
            lines += [helps[0], '', *(f'* {line.strip()}' for line in helps[1:]), '']
        lines += [twins_text(c), '']
    lines += [f'* {c.operator} {c.case} on {c.chip}: {problem}' for c in found for problem in c.problems]
    return '\n'.join([*lines, outcome(found)])


# -- JSON ----------------------------------------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    if isinstance(value, float):
        return round(value, 12) if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _mode(c: Comparison, m: ModeResult) -> dict[str, Any]:
    if not m.ran:
        refusal = None if m.refusal is None else {'class': m.refusal.word, 'text': str(m.refusal)}
        return {'mode': m.mode, 'missing': m.missing, 'left_out': m.left_out, 'refusal': refusal}
    modelled = asdict(m.cost)
    return {'mode': m.mode, 'missing': '', 'left_out': '', 'refusal': None, 'ok': m.ok, 'message': m.message, 'verdict': m.verdict.level,
            'accepted': not c.unaccepted(m), 'findings': [finding(f) for f in m.verdict.findings],
            'numbers': {name: asdict(n) for name, n in m.numbers.items()}, 'cost': modelled, 'limits': limits_document(m.limits),
            'shown': [{**asdict(s), 'ok': s.ok} for s in m.shown], 'notes': list(m.notes),
            'waived': [{'name': w.name, 'reason': w.reason, 'findings': n} for w, n in m.waived]}


def _twins_json(t: Twins) -> dict[str, Any]:
    return {'modes': list(t.modes), 'policy': t.policy, 'ok': t.ok, 'bitwise': t.bitwise,
            'numbers': {name: asdict(n) for name, n in t.numbers.items()}}


def comparison(c: Comparison) -> dict[str, Any]:
    return _plain({'operator': c.operator, 'case': c.case, 'purpose': c.purpose, 'chip': c.chip, 'modes': [_mode(c, m) for m in c.modes],
                   'twins': None if c.twins is None else _twins_json(c.twins), 'speedup': c.speedup, 'problems': list(c.problems)})
