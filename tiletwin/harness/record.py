"""What the regression desk keeps of one operator, mode, chip and case: figures with names, and its synchronisation line by line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from ..errors import TileTwinError, UnsupportedError
from ..ir.nodes import Instr, Program, walk
from ..ir.printer import instruction
from ..machine.chip import Chip, chip as chip_of
from ..sim.result import Launch
from .cost import cost

MODEL = 1  # grows when the engine counts cycles by other rules; changed constants show by themselves
_SYNCS = ('set_flag', 'wait_flag', 'pipe_barrier', 'sync_all', 'set_cross_flag', 'wait_cross_flag')
NUMBERS = 'numbers.'  # figures that come from the host's arithmetic, not from the model

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Record:
    operator: str
    mode: str
    chip: str
    case: str
    model: str  # version of the chip's cost model; figures of different models are not compared
    commit: str  # the revision the figures were taken on top of
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    syncs: tuple[str, ...] = ()  # 'ops/expert/x.py:57 set_flag MTE2 MTE1 0', in program order

    @property
    def key(self) -> Key:
        return self.operator, self.mode, self.chip, self.case

    @property
    def family(self) -> str:
        return self.operator.split('.')[0]

    @property
    def title(self) -> str:
        return f'{self.operator} {self.case} on {self.chip}, {self.mode}'


def model_version(chip: Chip) -> str:
    """Two chips with one version are modelled alike."""
    facts = {k: v for k, v in chip.__dict__.items() if isinstance(v, (int, float, str, tuple))}
    text = json.dumps([MODEL, facts, dict(chip.constants), {n: (m.bytes, m.align) for n, m in chip.memories.items()}], sort_keys=True, default=str)
    return f'{chip.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}'


def root() -> Path:
    """The folder that holds `ops/`."""
    import ops

    return Path(next(iter(ops.__path__))).resolve().parent


def kernel_source(operator: str, mode: str) -> str:
    """A digest of the files an operator's kernels of one mode are written in."""
    family = operator.split('.')[0]
    files = [root() / 'ops' / mode / f'{family}.py', *sorted((root() / 'ops' / mode / family).rglob('*.py'))]
    return hashlib.sha256(b'\0'.join(f.read_bytes() for f in files if f.is_file())).hexdigest()[:12]


def commit() -> str:
    """The revision checked out; empty outside a repository."""
    try:
        found = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=root(), capture_output=True, text=True, check=False)
    except OSError:
        return ''
    return found.stdout.strip() if found.returncode == 0 else ''


def measure(operator: Any, case: Any, mode: str, chip: str) -> Record:
    """Runs one case. A large one is timed without data, and then has no `numbers.` figures; where its control flow or its
    addresses come from the data, it is left out with that reason."""
    figures: dict[str, float | int | str] = {}
    try:
        if case.slow or case in operator.variant.timed:
            launches = operator.time(dict(case.sizes), case.dtypes, mode, chip, **operator.attributes_in(case, mode))
        else:
            ran = operator.run_case(case, mode, chip)
            launches = ran.launches
            figures |= _numbers(ran)
        figures |= _figures(launches) | mutation_figures(operator.name, mode)
        syncs = tuple(line for program in _programs(launches) for line in sync_lines(program))
    except UnsupportedError as reason:
        figures, syncs = {'left out': reason.what}, ()
    except TileTwinError as refusal:
        figures, syncs = {'refused': refusal.what}, ()
    return Record(operator.name, mode, chip, case.name, model_version(chip_of(chip)), commit(), figures, syncs)


def mutation_figures(operator: str, mode: str) -> dict[str, float | int | str]:
    """The mutation score on record; it is stale once the kernels have been edited."""
    from .baseline import default_folder
    from .mutation_record import path, read

    for (name, form, _), row in read(path(default_folder(), operator)).items():
        if (name, form) == (operator, mode):
            if row.get('source') != kernel_source(operator, mode):
                return {'mutation': 'stale'}
            return {'mutation.score': row['score'], 'mutation.redundant': row['redundant']}
    return {}


def _numbers(ran: Any) -> dict[str, float | int | str]:
    out: dict[str, float | int | str] = {f'{NUMBERS}ok': 'yes' if ran.ok else 'no'}
    for output, n in ran.metrics.items():
        for name in ('max_abs', 'rmse', 'rel_l2'):
            out[f'{NUMBERS}{output}.{name}'] = float(f'{getattr(n, name):.3g}')
        out[f'{NUMBERS}{output}.mismatches'] = n.mismatches
    return out


def _figures(launches: list[Launch]) -> dict[str, float | int | str]:
    found = cost(launches, chain=False)
    out: dict[str, float | int | str] = {'cycles': found.cycles, 'us': round(found.microseconds, 3), 'launches': len(launches)}
    out |= {f'busy.{pipe}': round(share, 6) for pipe, share in found.busy.items()}
    out |= {'gm.read': found.gm_read, 'gm.written': found.gm_written, 'cross_flags': found.cross_flags}
    if found.workspace is not None:
        out['workspace'] = found.workspace
    out |= {f'memory.{space}': size for space, size in sorted(found.memory.items())}
    out |= {f'sync.{kind}': count for kind, count in found.syncs.items()}
    levels = [launch.verdict.level for launch in launches]
    out['verdict'] = max(levels, key=('clean', 'review', 'incomplete', 'error').index, default='clean')
    words = sorted({f'{f.severity}[{f.word}]' for launch in launches for f in launch.verdict.findings})
    if words:
        out['findings'] = ', '.join(words)
    out['program'] = digest(_programs(launches))
    return out


def _programs(launches: list[Launch]) -> list[Program]:
    return list({id(launch.program): launch.program for launch in launches}.values())


def digest(programs: list[Program]) -> str:
    """Of the instructions in order, whatever lines they stand on."""
    text = '\n'.join(instruction(p, s) for p in programs for s in walk(p.body) if isinstance(s, Instr))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sync_lines(program: Program) -> list[str]:
    top = str(root()) + os.sep
    out = []
    for s in walk(program.body):
        if isinstance(s, Instr) and s.op in _SYNCS:
            place = f'{s.span.file.removeprefix(top)}:{s.span.line}' if s.span else program.name
            out.append(f'{place} {instruction(program, s)}')
    return out
