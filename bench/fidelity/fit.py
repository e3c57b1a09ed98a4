"""The fit of the constants that a measurement chose, and what it would predict for a row it has not seen.

Free are the constants of the chip files with `fitted_on`; each also states its `prior`, the figure published for it without the fit. Times
are taken as power laws of the constants near the committed values: one finite difference per row and constant. The fit minimises the squared
log ratio of modelled to measured times, in units of `SPREAD`, plus the squared log distance of each constant from its prior, in units of
`DOUBT`. Left out, a row is predicted by the fit to all others; a constant that only that row knows falls back to its prior.

    python -m bench.fidelity.fit          committed and fitted constants side by side
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from tiletwin.harness.fidelity import SCORED, Outcome
from tiletwin.harness.progress import work_through
from tiletwin.machine.chip import Chip, entries

from . import evaluate
from .rows import Row

SPREAD = 0.05  # log ratio a good row is off by
SPREAD_BUSY = 0.10  # of a pipe's busy time
DOUBT = 0.5  # log ratio a published figure may be off by
STEP = 0.05  # of the finite differences, in logs


@dataclass(frozen=True, slots=True)
class Slopes:
    """d log(time) / d log(constant) of one row, total and per pipe."""

    total: Mapping[str, float]
    busy: Mapping[str, Mapping[str, float]]


class _Asked(dict):
    """Constants that remember which of them were used."""

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(values)
        self.used: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.used.add(key)
        return super().__getitem__(key)


def origin(chip: str, key: str) -> str:
    """The chip file that holds a constant: A3 and A5 take over what they do not state."""
    base = 'a2' if entries(chip)[key] == entries('a2').get(key) else chip
    return f'{base}:{key}'


def free(chip: str) -> list[str]:
    return [key for key, entry in entries(chip).items() if 'fitted_on' in entry]


def _with(chip: Chip, key: str, factor: float) -> Chip:
    value = chip.constants[key]
    scaled = [v * factor for v in value] if isinstance(value, list) else value * factor
    return dataclasses.replace(chip, constants={**chip.constants, key: scaled})


def slopes(o: Outcome) -> Slopes:
    """Finite differences of a row's modelled time; constants the model never asks for have none. A row that names a smaller one lends the
    slopes of its work from there and weighs them against its own launch."""
    row: Row = o.row
    found = evaluate.classify(row)
    like: Row = found.like or row
    model, asked = evaluate.classify(like), _Asked(like.chip.constants)
    base = evaluate.time(like, model, dataclasses.replace(like.chip, constants=asked))
    # Microseconds of launch in the row itself, from the constants alone.
    launch = base.launch_us
    total: dict[str, float] = {}
    busy: dict[str, dict[str, float]] = {p: {} for p in o.busy or {}}
    for key in sorted(asked.used & {*free(row.arch), 'cube.fractal', 'launch.cube', 'launch.vector', 'launch.mix'}):
        moved = evaluate.time(like, model, _with(like.chip, key, math.exp(STEP)))
        work = (moved.us - moved.launch_us) / (base.us - base.launch_us)
        total[key] = math.log((work * (o.us - launch) + moved.launch_us) / o.us) / STEP
        for p in busy:
            busy[p][key] = math.log(moved.busy[p] / base.busy[p]) / STEP if moved.busy[p] and base.busy[p] else 0.0
    return Slopes(total, busy)


def solve(outcomes: Sequence[Outcome], known: Mapping[str, Slopes], without: str | None = None) -> dict[str, float]:
    """Log change of every free constant, from the committed value; row `without` is not looked at."""
    import numpy as np

    names = sorted({origin(o.row.arch, k) for o in outcomes for k in known[o.row.id].total if k in free(o.row.arch)})
    index = {n: i for i, n in enumerate(names)}
    lines, right = [], []

    def observe(o: Outcome, slope: Mapping[str, float], gap: float, spread: float) -> None:
        line = np.zeros(len(names))
        for key, value in slope.items():
            if key in free(o.row.arch):
                line[index[origin(o.row.arch, key)]] = value
        lines.append(line / spread)
        right.append(gap / spread)

    for o in outcomes:
        if o.row.id != without:
            observe(o, known[o.row.id].total, math.log(o.row.us / o.us), SPREAD)
            for p, (measured, modelled) in (o.busy or {}).items():
                if modelled:
                    observe(o, known[o.row.id].busy[p], math.log(measured / modelled), SPREAD_BUSY)
    for name in names:
        chip, key = name.split(':')
        entry = entries(chip)[key]
        line = np.zeros(len(names))
        line[index[name]] = 1 / DOUBT
        lines.append(line)
        right.append(math.log(_size(entry['prior']) / _size(entry['value'])) / DOUBT)
    found, *_ = np.linalg.lstsq(np.array(lines), np.array(right), rcond=None)
    return dict(zip(names, map(float, found)))


def _size(value: Any) -> float:
    return sum(value) if isinstance(value, list) else value


def complete(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Scored rows with the constant that matters most and the prediction of the fit without them."""
    scored = [o for o in outcomes if o.kind == SCORED and o.us is not None]
    known = {o.row.id: s for o, s in zip(scored, work_through(scored, slopes, lambda o: f'slopes of {o.row.cat} {o.row.kernel}'))}
    out = []
    for o in outcomes:
        if o.row.id in known:
            change = solve([s for s in scored if s.row.id in known], known, o.row.id)
            total = known[o.row.id].total
            moved = sum(v * change.get(origin(o.row.arch, k), 0.0) for k, v in total.items())
            key = max(total, key=lambda k: abs(total[k]), default='')
            o = dataclasses.replace(o, constant=f'{key} {total[key]:+.2f}' if key else '', left_out_us=o.us * math.exp(moved))
        out.append(o)
    return out


def main() -> int:
    from .score import chosen, outcome

    scored = [outcome(r) for r in chosen(scored=True)]
    known = {o.row.id: slopes(o) for o in scored}
    for name, change in solve(scored, known).items():
        chip, key = name.split(':')
        entry = entries(chip)[key]
        value = entry['value']
        fitted = [v * math.exp(change) for v in value] if isinstance(value, list) else value * math.exp(change)
        print(f'{name:28} committed {value}  fitted {fitted}  prior {entry["prior"]}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
