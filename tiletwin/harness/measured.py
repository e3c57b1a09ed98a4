"""Measured times of operators on the installed chip, kept apart from modelled ones and compared with them.

A measured record has the key of a modelled one (operator, mode, chip, case) and lives in a file of its own, one JSON object a line.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any, Iterable, Mapping

from ..backends import npu
from ..backends.choose import backend
from ..backends.protocol import MEASURED, TIME, require
from ..errors import CallError, EnvironmentError_
from ..machine.chip import chip as chip_of
from .bench import Job, Request, jobs
from .progress import Done, work_through
from .record import Key, measure as model, root
from .registry import operators

FORMAT = 1
REPEAT = 50


@dataclass(frozen=True)
class Measurement:
    """One case on one chip: the median of `samples` launches, each on a flushed L2."""

    operator: str
    mode: str
    chip: str
    case: str
    us: float  # median
    least: float
    most: float
    samples: int
    ok: bool | None  # the numbers are inside the policy of the contract; None where the shape is too large for the reference
    message: str  # what is wrong with them
    device: str  # as the driver names it
    cores: int
    versions: Mapping[str, str] = field(default_factory=dict)
    kind: str = MEASURED

    @property
    def key(self) -> Key:
        return self.operator, self.mode, self.chip, self.case


def measure(operator: Any, mode: str, case: Any, repeat: int = REPEAT) -> Measurement:
    """Runs and times one case natively: outputs are judged like simulated ones, the time comes from npu events."""
    on = backend('ascend')
    require(on, TIME, f'{operator.name} {case.name}')
    chip = on.chip(None)
    variant = operator.variant
    inputs = variant.make_inputs(case)
    attributes = operator.attributes_in(case, mode)
    kernel = operator.kernel(dict(case.sizes), variant.settings(attributes), tuple(str(x.dtype).removeprefix('torch.') for x in inputs), mode, chip)
    there = npu.to_device(inputs)
    outputs = on.run(kernel, there)
    ok, message = None, ''
    if case not in variant.timed:
        _, wrong = operator.judge(case, inputs, tuple(x.cpu() for x in there), tuple(x.cpu() for x in outputs))
        ok, message = not wrong, '\n'.join(wrong)
    timing = on.time(kernel, there, repeat)
    return Measurement(operator.name, mode, chip, case.name, round(timing.microseconds, 3), round(min(timing.samples), 3),
                       round(max(timing.samples), 3), len(timing.samples), ok, message, npu.device_name() or '', attributes.get('cores') or on.cores(chip),
                       npu.versions())


def run(request: Request, path: Path, repeat: int = REPEAT) -> Done[Job, Measurement]:
    """Measures what a benchmark asks for and adds every record to the file as soon as it is there."""
    on = backend('ascend')
    require(on, TIME, 'tiletwin bench')
    chip = on.chip(request.chip)
    if path.is_file():
        read(path)  # a long benchmark must not end in a file that cannot be added to

    def one(job: Job) -> Measurement:
        found = measure(job.operator, job.mode, job.case, repeat)
        append(path, [found])
        return found

    return work_through(jobs(replace(request, chip=chip)), one, lambda job: ' '.join(job.key))


def default_file() -> Path:
    return root() / 'bench' / 'measured.jsonl'


def append(path: Path, records: Iterable[Measurement]) -> int:
    """Adds records to a file. The old content is read first and refused when damaged; the file is replaced whole or not at all."""
    before, new = (read(path) if path.is_file() else []), list(records)
    text = ''.join(json.dumps({'format': FORMAT, **asdict(r)}, sort_keys=True) + '\n' for r in (*before, *new))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with open(scratch, 'w', encoding='utf-8') as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    return len(new)


def read(path: Path) -> list[Measurement]:
    """The records of a file, oldest first."""
    if not path.is_file():
        raise EnvironmentError_(f'no file {str(path)!r}', instead='tiletwin bench --backend ascend writes one on a machine with an NPU')
    found = []
    for number, line in enumerate(path.read_text(encoding='utf-8').split('\n')[:-1], 1):
        found.append(_parse(line, f'{path}:{number}'))
    if not path.read_text(encoding='utf-8').endswith('\n') and path.stat().st_size:
        raise CallError(f'{path}: the last line is cut off', instead='the file without its last line')
    return found


def _parse(line: str, where: str) -> Measurement:
    try:
        entry = json.loads(line)
        if entry.pop('format') != FORMAT:
            raise ValueError('another format')
        record = Measurement(**entry)
        if record.kind != MEASURED or not record.us > 0:
            raise ValueError('no measured time')
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CallError(f'{where}: no measured record ({error})', why='every line is one record',
                        instead='the file without this line') from None
    return record


@dataclass(frozen=True)
class Pair:
    """A measured time beside the modelled one."""

    key: Key
    measured: float
    modelled: float

    @property
    def error(self) -> float:
        """Relative; positive where the model is too slow."""
        return self.modelled / self.measured - 1


@dataclass(frozen=True)
class Fit:
    """How well the model predicts what was measured."""

    pairs: tuple[Pair, ...]
    left_out: tuple[tuple[Key, str], ...]  # measured but not compared, each with its reason

    @property
    def mape(self) -> float:
        return fmean(abs(p.error) for p in self.pairs)

    @property
    def ratio(self) -> float:
        """Geometric mean of modelled over measured."""
        return geometric_mean(p.modelled / p.measured for p in self.pairs)


def compare(measured: Iterable[Measurement], modelled: Mapping[Key, float]) -> Fit:
    """Pairs by key; of several measurements of one key the last one counts. Wrong numbers have no time worth predicting."""
    pairs, left = [], []
    for key, record in {r.key: r for r in measured}.items():
        if record.ok is False:
            left.append((key, f'its numbers were wrong: {record.message.splitlines()[0] if record.message else ""}'))
        elif key not in modelled:
            left.append((key, 'no operator, case or form of this name can be modelled'))
        else:
            pairs.append(Pair(key, record.us, modelled[key]))
    return Fit(tuple(pairs), tuple(left))


def modelled(measured: Iterable[Measurement]) -> dict[Key, float]:
    """Modelled microseconds of what was measured, on the same number of cores."""
    found: dict[Key, float] = {}
    for record in {r.key: r for r in measured}.values():
        operator = operators().get(record.operator)
        case = operator and next((c for c in (*operator.cases, *operator.variant.timed) if c.name == record.case), None)
        if case is None:
            continue
        if 'cores' in operator.variant.attributes and record.cores != chip_of(record.chip).cube_cores:
            # A slow case is timed without data: another number of cores makes it no smaller.
            case = replace(case, attributes={**case.attributes, 'cores': record.cores}, slow=case.slow or case in operator.variant.timed)
        figures = model(operator, case, record.mode, record.chip).figures
        if 'us' in figures:
            found[record.key] = float(figures['us'])
    return found
