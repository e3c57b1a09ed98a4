"""How well modelled times predict measured ones: the outcome of a row and the statistics over many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

SCORED, BOUND, CONTEXT = 'scored', 'bound', 'context'


@dataclass(frozen=True, slots=True)
class Outcome:
    """One published row beside the model. `row` has the columns of the table as attributes."""

    row: Any
    kind: str  # SCORED: the schedule is known; BOUND: the kernel is ours; CONTEXT: no model
    about: str  # the schedule that is modelled, or why there is no model
    us: float | None = None  # modelled
    busy: Mapping[str, tuple[float, float]] | None = None  # pipe column -> (measured, modelled) us
    limit: str = ''  # the busiest pipe, or 'launch'
    constant: str = ''  # the fitted constant the time depends on most, and how much
    left_out_us: float | None = None  # modelled with constants fitted without this row

    @property
    def error(self) -> float | None:
        """Relative: 0.1 is modelled 10 % too slow."""
        return None if self.us is None or self.row.us is None else self.us / self.row.us - 1

    @property
    def left_out_error(self) -> float | None:
        return None if self.left_out_us is None or self.row.us is None else self.left_out_us / self.row.us - 1


@dataclass(frozen=True, slots=True)
class Score:
    """Statistics of one category."""

    name: str
    rows: int
    mape: float  # mean of |modelled / measured - 1|
    ratio: float  # geometric mean of modelled / measured
    median: float  # median of |log(modelled / measured)|
    spearman: float | None  # rank correlation; None below three rows
    worst: tuple[Outcome, ...]  # at most five, worst first
    left_out: float | None  # MAPE with every row predicted by constants fitted without it
    within: float  # share of rows between 0.6 and 1.25 of the measured time


def score(name: str, outcomes: Sequence[Outcome]) -> Score | None:
    """Of the rows that have a modelled and a measured time."""
    timed = [o for o in outcomes if o.error is not None]
    if not timed:
        return None
    ratios = [o.us / o.row.us for o in timed]
    logs = sorted(abs(math.log(r)) for r in ratios)
    middle = len(logs) // 2
    left = [abs(o.left_out_error) for o in timed if o.left_out_error is not None]
    return Score(
        name, len(timed), sum(abs(r - 1) for r in ratios) / len(ratios), math.exp(sum(map(math.log, ratios)) / len(ratios)),
        logs[middle] if len(logs) % 2 else (logs[middle - 1] + logs[middle]) / 2,
        spearman([o.row.us for o in timed], [o.us for o in timed]), tuple(sorted(timed, key=lambda o: -abs(o.error))[:5]),
        sum(left) / len(left) if len(left) == len(timed) else None, sum(0.6 <= r <= 1.25 for r in ratios) / len(ratios))


def scores(outcomes: Iterable[Outcome], kind: str) -> list[Score]:
    """One per category, then all together."""
    rows = [o for o in outcomes if o.kind == kind]
    groups: dict[str, list[Outcome]] = {}
    for o in rows:
        groups.setdefault(o.row.cat, []).append(o)
    found = [score(name, group) for name, group in sorted(groups.items())]
    return [s for s in (*found, score('all', rows)) if s is not None]


def busy_errors(outcomes: Iterable[Outcome]) -> dict[str, list[tuple[Outcome, float]]]:
    """Relative error of the busy time of each pipe, over the scored rows that publish it."""
    found: dict[str, list[tuple[Outcome, float]]] = {}
    for o in outcomes:
        if o.kind == SCORED:
            for pipe, (measured, modelled) in (o.busy or {}).items():
                found.setdefault(pipe, []).append((o, modelled / measured - 1))
    return found


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Correlation of the ranks; equal values share their mean rank."""
    if len(a) < 3:
        return None
    x, y = _ranks(a), _ranks(b)
    mx, my = sum(x) / len(x), sum(y) / len(y)
    sxy = sum((p - mx) * (q - my) for p, q in zip(x, y))
    sxx, syy = sum((p - mx) ** 2 for p in x), sum((q - my) ** 2 for q in y)
    return sxy / math.sqrt(sxx * syy) if sxx and syy else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in order[i:j + 1]:
            out[k] = (i + j) / 2
        i = j + 1
    return out
