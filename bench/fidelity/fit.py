"""The fit of the constants that a measurement chose, and what it would predict for a row it has not seen.

Free are the constants of the chip files with `fitted_on`; each also states its `prior`, the figure published for it without the fit. Times
are taken as power laws of the constants near the committed values: one finite difference per row and constant, kept in `slopes.json`. The
fit minimises the squared log ratio of modelled to measured times, in units of `SPREAD`, plus the squared log distance of each constant from
its prior, in units of `DOUBT`. Left out, a row is predicted by the fit to all others; a constant that only that row knows falls back towards
its prior.

    python -m bench.fidelity.fit              committed and fitted constants side by side, from slopes.json
    python -m bench.fidelity.fit --write      the slopes of every row anew (minutes)
    python -m bench.fidelity.fit --gaps       the same slopes, measured over modelled times anew
    python -m bench.fidelity.fit --missing    slopes only of rows that have none yet
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from tiletwin.harness.fidelity import SCORED, Outcome
from tiletwin.harness.progress import work_through
from tiletwin.machine.chip import Chip, entries

from . import evaluate
from .rows import Row

FILE = Path(__file__).with_name('slopes.json')
SPREAD = 0.05  # log ratio a good row is off by
SPREAD_BUSY = 0.10  # of a pipe's busy time
DOUBT = 0.5  # log ratio a published figure may be off by
STEP = 0.05  # of the finite differences, in logs
SMALLEST = 0.0005  # slopes below this are left out of the file


@dataclass(frozen=True, slots=True)
class Record:
    """One row as the fit sees it: d log(time) / d log(constant), total and per pipe, and the log ratios measured / modelled."""

    chip: str
    gap: float
    slopes: Mapping[str, float]
    busy_gaps: Mapping[str, float]
    busy_slopes: Mapping[str, Mapping[str, float]]


class _Asked(dict):
    """Constants that remember which of them were used."""

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(values)
        self.used: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.used.add(key)
        return super().__getitem__(key)


def name(row: Row) -> str:
    """What a row is, whatever its id."""
    return ' | '.join((row.cat, row.hw, row.cores, row.impl, row.kernel, row.shape, row.dtype))


def origin(chip: str, key: str) -> str:
    """The chip file that holds a constant: A3 and A5 take over what they do not state."""
    return f'{"a2" if entries(chip)[key] == entries("a2").get(key) else chip}:{key}'


def free(chip: str) -> list[str]:
    return [key for key, entry in entries(chip).items() if 'fitted_on' in entry]


def _with(chip: Chip, key: str, factor: float) -> Chip:
    value = chip.constants[key]
    scaled = [v * factor for v in value] if isinstance(value, list) else value * factor
    return dataclasses.replace(chip, constants={**chip.constants, key: scaled})


def record(o: Outcome) -> Record:
    """Finite differences of a row's modelled time; constants the model never asks for have none. A row that names a smaller one lends the
    slopes of its work from there and weighs them against its own launch."""
    row: Row = o.row
    like: Row = evaluate.classify(row).like or row
    model, asked = evaluate.classify(like), _Asked(like.chip.constants)
    base = evaluate.time(like, model, dataclasses.replace(like.chip, constants=asked))
    slopes: dict[str, float] = {}
    busy: dict[str, dict[str, float]] = {p: {} for p in o.busy or {}}
    launch = sum(base.launch.values())
    for key in sorted(asked.used & {*free(row.arch), 'cube.fractal'} - set(base.launch)):
        moved = evaluate.time(like, model, _with(like.chip, key, math.exp(STEP)))
        work = (moved.us - launch) / (base.us - launch)
        slopes[key] = math.log((work * (o.us - launch) + launch) / o.us) / STEP
        for p in busy:
            busy[p][key] = math.log(moved.busy[p] / base.busy[p]) / STEP if moved.busy[p] and base.busy[p] else 0.0
    slopes |= {key: us / o.us for key, us in base.launch.items()}

    def tidy(found: Mapping[str, float]) -> dict[str, float]:
        return {k: round(v, 4) for k, v in found.items() if abs(v) >= SMALLEST}

    gaps = {p: _gap(measured, modelled) for p, (measured, modelled) in (o.busy or {}).items() if modelled}
    return Record(row.arch, _gap(row.us, o.us), tidy(slopes), gaps, {p: tidy(busy[p]) for p in gaps})


def regauged(kept: Record, o: Outcome) -> Record:
    """A record with the gaps of today's constants; slopes change little with them."""
    return dataclasses.replace(kept, gap=_gap(o.row.us, o.us), busy_gaps={p: _gap(*o.busy[p]) for p in kept.busy_gaps})


def _gap(measured: float, modelled: float) -> float:
    return round(math.log(measured / modelled), 5)


@functools.cache
def records() -> dict[str, Record]:
    """What slopes.json holds, by name of the row."""
    return {k: Record(**v) for k, v in json.loads(FILE.read_text(encoding='utf-8')).items()} if FILE.is_file() else {}


def write(found: Mapping[str, Record]) -> None:
    lines = [f' {json.dumps(k)}: {json.dumps(dataclasses.asdict(v))}' for k, v in sorted(found.items())]
    FILE.write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')


def solve(found: Sequence[Record]) -> dict[str, float]:
    """Log change of every free constant from its committed value."""
    import numpy as np

    names = sorted({origin(r.chip, k) for r in found for k in r.slopes if k in free(r.chip)})
    index = {n: i for i, n in enumerate(names)}
    lines, right = [], []

    def observe(chip: str, slopes: Mapping[str, float], gap: float, spread: float) -> None:
        line = np.zeros(len(names))
        for key, value in slopes.items():
            if key in free(chip) and origin(chip, key) in index:
                line[index[origin(chip, key)]] = value
        lines.append(line / spread)
        right.append(gap / spread)

    for r in found:
        observe(r.chip, r.slopes, r.gap, SPREAD)
        for p, gap in r.busy_gaps.items():
            observe(r.chip, r.busy_slopes[p], gap, SPREAD_BUSY)
    for n, i in index.items():
        line = np.zeros(len(names))
        line[i] = 1 / DOUBT
        lines.append(line)
        right.append(distance(n) / DOUBT)
    answer, *_ = np.linalg.lstsq(np.array(lines), np.array(right), rcond=None)
    return dict(zip(names, map(float, answer)))


def distance(constant: str) -> float:
    """From the committed value to the prior, in logs."""
    chip, key = constant.split(':')
    entry = entries(chip)[key]
    return math.log(_size(entry['prior']) / _size(entry['value']))


def _size(value: Any) -> float:
    return sum(value) if isinstance(value, list) else value


def complete(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Scored rows with the constant that matters most and the prediction of the fit without them; rows the file does not know stay as they are."""
    known = records()
    out = []
    for o in outcomes:
        own = known.get(name(o.row))
        if o.kind == SCORED and o.us is not None and own is not None:
            change = solve([r for k, r in known.items() if k != name(o.row)])
            # A constant nobody else knows is what was published for it.
            mine = {origin(own.chip, k): v for k, v in own.slopes.items() if k in free(own.chip)}
            moved = sum(v * (change[c] if c in change else distance(c)) for c, v in mine.items())
            key = max(own.slopes, key=lambda k: abs(own.slopes[k]), default='')
            o = dataclasses.replace(o, constant=f'{key} {own.slopes[key]:+.2f}' if key else '', left_out_us=o.us * math.exp(moved))
        out.append(o)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(prog='python -m bench.fidelity.fit', description='Committed and fitted constants side by side.')
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--write', action='store_true', help='take the slopes of every scored row anew and write slopes.json')
    form.add_argument('--gaps', action='store_true', help='keep the slopes, take measured over modelled times anew')
    form.add_argument('--missing', action='store_true', help='only those of rows that have none yet')
    args = parser.parse_args()
    if args.gaps:
        from .score import chosen, outcome

        rows = [r for r in chosen(scored=True) if name(r) in records()]
        write(dict(work_through(rows, lambda r: (name(r), regauged(records()[name(r)], outcome(r))), name)))
        records.cache_clear()
    if args.write or args.missing:
        from .score import chosen, outcome

        rows = chosen(scored=True)
        found = {} if args.write else {k: r for k, r in records().items() if k in set(map(name, rows))}

        def add(row: Row) -> None:
            found[name(row)] = record(outcome(row))
            write(found)

        work_through([r for r in rows if name(r) not in found], add, name)
        records.cache_clear()
    known = records()
    for constant, change in solve(list(known.values())).items():
        chip, key = constant.split(':')
        entry = entries(chip)[key]
        value = entry['value']
        fitted = [v * math.exp(change) for v in value] if isinstance(value, list) else value * math.exp(change)
        print(f'{constant:28} committed {value}  fitted {fitted}  published before {entry["prior"]}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
