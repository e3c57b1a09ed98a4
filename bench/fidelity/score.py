"""Outcomes of published rows: what `tiletwin fidelity` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from tiletwin.errors import EnvironmentError_, TileTwinError
from tiletwin.harness.fidelity import CONTEXT, Outcome
from tiletwin.harness.progress import Done, work_through

from . import evaluate, fit
from .registry import Skip
from .rows import TABLE, Row, read


def chosen(path: str | None = None, categories: Sequence[str] | None = None, scored: bool = False) -> list[Row]:
    """The rows a command line asks for."""
    rows = read(Path(path) if path else TABLE)
    unknown = set(categories or ()) - {r.cat for r in rows}
    if unknown:
        raise EnvironmentError_(f'no row of category {", ".join(sorted(unknown))}', instead=', '.join(sorted({r.cat for r in rows})))
    rows = [r for r in rows if not categories or r.cat in categories]
    return [r for r in rows if getattr(evaluate.classify(r), 'kind', '') == 'scored'] if scored else rows


def outcome(row: Row) -> Outcome:
    found = evaluate.classify(row)
    if isinstance(found, Skip):
        return Outcome(row, CONTEXT, found.reason)
    try:
        timing = evaluate.time(row, found)
    except TileTwinError as error:
        # A shape nobody has met yet must not end the table.
        return Outcome(row, CONTEXT, f'the kernel cannot be built for this row: {error.what}')
    busy = {p: (us, timing.busy[p]) for p, us in row.busy if p in timing.busy and p not in found.unlike}
    return Outcome(row, found.kind, found.schedule, timing.us, busy, timing.limit)


def outcomes(rows: Sequence[Row]) -> Done[Row, Outcome]:
    return work_through(rows, outcome, lambda r: f'{r.cat} {r.kernel}')


def with_fit(found: Sequence[Outcome]) -> list[Outcome]:
    """The same with the constant that matters most and the prediction of a fit without the row."""
    return fit.complete(found)
