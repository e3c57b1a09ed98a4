"""Modelled beside measured times: on the terminal, as the page docs/fidelity.md, as JSON."""

from __future__ import annotations

from typing import Any, Sequence

from rich.console import Console
from rich.table import Table

from ..harness.fidelity import BOUND, CONTEXT, SCORED, Outcome, Score, busy_errors, scores

_SCORES = ('category', 'rows', 'MAPE', 'geomean', 'median', 'Spearman', 'left out', 'within 0.6-1.25', 'worst rows')
_ROWS = ('row', 'measured us', 'modelled us', 'error', 'left out', 'limited by', 'depends on', 'schedule')
_TITLES = {SCORED: 'Rows with a known schedule', BOUND: 'Rows whose schedule is not known'}
_ABOUT = {
    SCORED: 'The reference kernel has the schedule the row describes. The constants of the chip files were fitted on these rows; '
            '`left out` is the error of a row under constants fitted without it, by the slopes in `bench/fidelity/slopes.json`: '
            'a constant that only this row knows then is what was published before, so a large figure there names a constant with one witness.',
    BOUND: 'The kernel is a good one of ours for the same operator and shape, so the modelled time is a bound, not a prediction.',
}


def percent(value: float | None, sign: bool = True) -> str:
    return '' if value is None else f'{100 * value:{"+" if sign else ""}.1f} %'


def name(o: Outcome) -> str:
    r = o.row
    return f'{r.cat}: {r.kernel}, {r.shape}, {r.dtype}, {r.hw} x{r.cores}'


def score_cells(s: Score) -> list[str]:
    worst = ', '.join(f'{o.row.id} {percent(o.error)}' for o in s.worst)
    return [s.name, str(s.rows), percent(s.mape, False), f'{s.ratio:.3f}', f'{s.median:.3f}', '' if s.spearman is None else f'{s.spearman:.3f}',
            percent(s.left_out, False), percent(s.within, False), worst]


def row_cells(o: Outcome) -> list[str]:
    return [f'{o.row.id} {name(o)}', f'{o.row.us:g}', f'{o.us:.2f}', percent(o.error), percent(o.left_out_error), o.limit, o.constant, o.about]


def _busy_cells(outcomes: Sequence[Outcome]) -> list[list[str]]:
    found = busy_errors(outcomes)
    every = [pair for pairs in found.values() for pair in pairs]
    cells = []
    for pipe, pairs in [*sorted(found.items()), ('all', every)]:
        if pairs:
            o, e = max(pairs, key=lambda pair: abs(pair[1]))
            cells.append([pipe, str(len(pairs)), percent(sum(abs(e) for _, e in pairs) / len(pairs), False), f'{o.row.id} {percent(e)}'])
    return cells


def print_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    for kind in (SCORED, BOUND):
        rows = [o for o in outcomes if o.kind == kind and o.error is not None]
        if not rows:
            continue
        console.print(f'\n{_TITLES[kind]}', style='bold')
        _table(console, _ROWS[:-1], [row_cells(o)[:-1] for o in rows], 1)
        console.print('')
        _table(console, _SCORES, [score_cells(s) for s in scores(outcomes, kind)], 1)
    busy = _busy_cells(outcomes)
    if busy:
        console.print('\nBusy time of the pipes, rows with a known schedule', style='bold')
        _table(console, ('pipe', 'rows', 'MAPE', 'worst'), busy, 1)
    for reason, rows in _reasons(outcomes):
        console.print(f'\nno model for {len(rows)} rows ({", ".join(sorted({o.row.cat for o in rows}))}): {reason}', soft_wrap=True)
    console.print('\nmodelled: computed by tiletwin; measured: published by the source of the row', soft_wrap=True)


def _table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style='bold')
    for i, heading in enumerate(headings):
        table.add_column(heading, justify='left' if i < left or i >= 5 else 'right', overflow='fold')
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _reasons(outcomes: Sequence[Outcome]) -> list[tuple[str, list[Outcome]]]:
    found: dict[str, list[Outcome]] = {}
    for o in outcomes:
        if o.kind == CONTEXT:
            found.setdefault(o.about, []).append(o)
    return sorted(found.items(), key=lambda item: (item[1][0].row.cat, item[0]))


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: range) -> list[str]:
    rule = '|' + '|'.join('---:' if i in numbers else '---' for i in range(len(headings))) + '|'
    return ['| ' + ' | '.join(headings) + ' |', rule, *('| ' + ' | '.join(c.replace('|', '\\|') for c in row) + ' |' for row in rows), '']


def page(outcomes: Sequence[Outcome]) -> str:
    """docs/fidelity.md."""
    lines = ['# Modelled against measured', '',
             'Every published row of `bench/fidelity/measurements.csv` beside the time this package models for it. Measured times were published by the',
             'sources named in that file; none was measured by this project. The page is the output of',
             '`python -m tiletwin fidelity --markdown --plot docs/fidelity.svg`.', '',
             '![modelled against measured](fidelity.svg)', '']
    for kind in (SCORED, BOUND):
        rows = [o for o in outcomes if o.kind == kind and o.error is not None]
        if rows:
            table = _markdown(_SCORES, [score_cells(s) for s in scores(outcomes, kind)], range(1, 8))
            lines += [f'## {_TITLES[kind]}', '', _ABOUT[kind], '', *table]
            if kind == SCORED:
                busy = _markdown(('pipe', 'rows', 'MAPE', 'worst'), _busy_cells(outcomes), range(1, 3))
                lines += ['Busy time of the pipes, mean over the cores:', '', *busy]
            headings, cells = (_ROWS, [row_cells(o) for o in rows]) if kind == SCORED else (
                (*_ROWS[:4], _ROWS[5], _ROWS[7]), [[c for i, c in enumerate(row_cells(o)) if i not in (4, 6)] for o in rows])
            lines += _markdown(headings, cells, range(1, 5 if kind == SCORED else 4))
    reasons = _reasons(outcomes)
    if reasons:
        cells = [[', '.join(sorted({o.row.cat for o in rows})), str(len(rows)), reason] for reason, rows in reasons]
        lines += ['## Rows without a model', '', *_markdown(('category', 'rows', 'reason'), cells, range(1, 2))]
    return '\n'.join(lines).rstrip() + '\n'


def json_document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        'rows': [_row_document(o) for o in outcomes],
        'scores': {kind: [_score_document(s) for s in scores(outcomes, kind)] for kind in (SCORED, BOUND)},
        'busy_mape': {pipe: sum(abs(e) for _, e in pairs) / len(pairs) for pipe, pairs in busy_errors(outcomes).items()},
    }


def _row_document(o: Outcome) -> dict[str, Any]:
    r = o.row
    return {
        'id': r.id, 'category': r.cat, 'kernel': r.kernel, 'shape': r.shape, 'hw': r.hw, 'cores': r.cores, 'kind': o.kind, 'about': o.about,
        'measured_us': r.us, 'modelled_us': o.us, 'error': o.error, 'left_out_error': o.left_out_error, 'limit': o.limit, 'constant': o.constant,
        'busy': {p: {'measured_us': a, 'modelled_us': b} for p, (a, b) in (o.busy or {}).items()},
    }


def _score_document(s: Score) -> dict[str, Any]:
    return {
        'category': s.name, 'rows': s.rows, 'mape': s.mape, 'geometric_mean_ratio': s.ratio, 'median_abs_log_ratio': s.median, 'spearman': s.spearman,
        'left_out_mape': s.left_out, 'within_0.6_1.25': s.within, 'worst': [o.row.id for o in s.worst],
    }
