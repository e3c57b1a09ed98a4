"""The mutation score of a kernel: how many ways of getting its synchronisation wrong are noticed.

A mutant is caught when the verifier refuses it, when a checker says something about it that it does not say about the original, or,
where counts and not order changed, when its numbers leave the policy of the operator. Otherwise it has to be proven redundant in every
quick case the score names: `same_order` shows that it orders every two conflicting accesses as the original does. A ring with a slot
fewer is another program; it is redundant when nothing races on the fewer slots and the outputs are the same bit by bit.
What is neither caught nor proven has survived.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

import torch

from ..errors import CallError, EnvironmentError_, TileTwinError, VerifyError
from ..ir.verify import verify
from ..machine.chip import chip as chip_of
from ..sanitize.findings import Finding
from ..sim import workers
from .gather import DEFAULT_CHIP, is_file, operators_named
from .mutants import Mutant
from .mutation_cases import Setting, launches, same_bytes, settings
from .progress import Done, work_through
from .same_order import lost

if TYPE_CHECKING:
    from .registry import Operator

CAUGHT, REDUNDANT, SURVIVED = 'caught', 'redundant', 'survived'
QUEUES = 'every pipe executes the same queue'
ORDER = 'every two accesses to the same bytes keep their order'
LEFT = 'every two accesses to the same bytes keep their order; a cross flag stays set when the kernel ends'
AGAIN = 'a barrier behind a barrier orders nothing more'
SLOTS = 'no race on fewer slots, and the same outputs bit by bit'
DATA = ('ring', 'init')  # changes that may leave the order alone and the numbers wrong


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant."""

    name: str
    change: str
    file: str
    line: int
    source: str
    fate: str  # 'caught', 'redundant' or 'survived'
    by: str  # tool that caught it, or the proof, or what the proof lacks
    case: str = ''  # that caught it, or that the proof lacks


@dataclass(frozen=True)
class Score:
    """All mutants of one kernel in one mode on one chip."""

    operator: str
    mode: str
    chip: str
    cases: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def of(self, fate: str) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.fate == fate)

    @property
    def total(self) -> int:
        return len(self.outcomes)

    @property
    def caught(self) -> int:
        return len(self.of(CAUGHT))

    @property
    def redundant(self) -> int:
        return len(self.of(REDUNDANT))

    @property
    def survivors(self) -> int:
        return len(self.of(SURVIVED))

    @property
    def percent(self) -> float:
        """Caught, of those that are no mere rewording of the kernel."""
        real = self.total - self.redundant
        return 100 * self.caught / real if real else 100.0

    @property
    def by_tool(self) -> dict[str, int]:
        return dict(sorted(Counter(o.by for o in self.of(CAUGHT)).items()))

    @property
    def redundant_list(self) -> tuple[Outcome, ...]:
        return self.of(REDUNDANT)

    @property
    def spare(self) -> tuple[Outcome, ...]:
        """Synchronisation and slots the kernel could do without."""
        return tuple(o for o in self.of(REDUNDANT) if o.change in ('delete', 'ring'))


@dataclass(frozen=True)
class Request:
    """Which kernels to score. `chip` None: a3, or the first chip the operator is written for; 'all': every chip."""

    names: tuple[str, ...]  # operators, 'all', or Python files
    mode: str = 'expert'
    chip: str | None = None


@dataclass(frozen=True)
class Job:
    name: str
    run: Callable[[], list[Score]]


def scores(request: Request) -> Done[Job, list[Score]]:
    """The scores of everything named; operators that are done survive an interrupt."""
    return work_through([job for name in request.names for job in _jobs(name, request)], lambda job: job.run(), lambda job: job.name)


def _jobs(name: str, request: Request) -> list[Job]:
    if is_file(name):
        path = Path(name)
        if not path.is_file():
            raise EnvironmentError_(f'no file {name!r}', instead='a Python file that launches kernels, or an operator of `tiletwin list`')
        return [Job(name, lambda: file_scores(path, request.chip))]
    jobs = []
    for operator in operators_named(name):
        if request.mode not in operator.modes:
            raise EnvironmentError_(f'{operator.name} has no {request.mode} form', instead='one of ' + ', '.join(operator.modes))
        for chip in chips_of(operator, request.chip):
            jobs.append(Job(f'{operator.name} on {chip}', lambda operator=operator, chip=chip: [score(operator, request.mode, chip)]))
    return jobs


def chips_of(operator: 'Operator', wanted: str | None) -> tuple[str, ...]:
    """The chips to look at: the one named, all of them, or the default one."""
    if wanted == 'all':
        return operator.chips
    if wanted is None:
        return (DEFAULT_CHIP,) if DEFAULT_CHIP in operator.chips else operator.chips[:1]
    name = chip_of(wanted).name
    if name not in operator.chips:
        raise EnvironmentError_(f'{operator.name} is not written for {name}', instead='--arch ' + ', '.join(operator.chips))
    return (name,)


def file_scores(path: Path, chip: str | None) -> list[Score]:
    """One score a kernel of a script; its launches are the cases, and their outputs without a mutation the reference."""
    with contextlib.redirect_stdout(sys.stderr):
        kernels = launches(path, chip if chip != 'all' else None)
    if not kernels:
        raise CallError(f'{path} launched no kernel')
    return [Score(f'{path} {name}', '', found[0].chip, tuple(s.name for s in found), outcomes(found)) for name, found in kernels.items()]


def score(operator: 'Operator', mode: str = 'expert', chip: str = 'a3', processes: int | None = None) -> Score:
    """Every mutant of an operator's kernel, judged on its quick cases."""
    found = settings(operator, mode, chip)
    return Score(operator.name, mode, chip, tuple(s.name for s in found), outcomes(found, processes))


def outcomes(found: Sequence[Setting], processes: int | None = None) -> tuple[Outcome, ...]:
    """The fate of every mutant of some launches of one kernel, in the order of its text."""
    keys = list(dict.fromkeys(key for s in found for key in s.mutants))
    for s in found:
        s.known, s.queues  # both sides of a fork look at them
    count = max(1, min(processes or workers.available(), len(keys)))
    if count == 1 or not workers.FORK:
        return tuple(fate(found, key) for key in keys)

    def work(i: int) -> list[Outcome]:
        # The thread pool of torch does not survive a fork.
        torch.set_num_threads(1)
        return [fate(found, key) for key in keys[i::count]]

    threads = torch.get_num_threads()
    try:
        parts = workers.spread(count, work)
    finally:
        torch.set_num_threads(threads)
    return tuple(parts[i % count][i // count] for i in range(len(keys)))


def fate(found: Sequence[Setting], key: tuple) -> Outcome:
    present = [(s, s.mutants[key]) for s in found if key in s.mutants]
    mutant = present[0][1]
    span = mutant.span
    where = (span.file, span.line, span.excerpt().strip()) if span else ('', 0, '')

    def outcome(fate: str, by: str, case: str = '') -> Outcome:
        return Outcome(mutant.name, mutant.change, *where, fate, by, case)

    if mutant.change == 'duplicate' and mutant.kind == 'pipe_barrier':
        return outcome(REDUNDANT, AGAIN)
    if mutant.change.startswith('move') and all(_same_queues(s, m) for s, m in present):
        return outcome(REDUNDANT, QUEUES)
    # The first case catches nearly all. A proof costs less than a search through the other cases, and where it fails it says where to look.
    first = present if mutant.change in DATA else present[:1]
    for s, m in first:
        if by := notices(s, m):
            return outcome(CAUGHT, by, s.name)
    proof = SLOTS if mutant.change in DATA else ORDER
    for s, m in present:
        missing, left = differs(s, m)
        if missing:
            break
        proof = LEFT if left else proof
    else:
        return outcome(REDUNDANT, proof)
    for other, m in sorted(present[len(first):], key=lambda x: x[0] is not s):
        if by := notices(other, m):
            return outcome(CAUGHT, by, other.name)
    return outcome(SURVIVED, missing, s.name)


def _same_queues(s: Setting, m: Mutant) -> bool:
    """Most moves only pass an instruction of another pipe."""
    try:
        return s.order(verify(m.program, 'the mutation', s.target)).queues() == s.queues
    except TileTwinError:
        return False


def notices(s: Setting, m: Mutant) -> str:
    """The tool that tells the mutant from the original in this launch, or nothing."""
    try:
        program = verify(m.program, 'the mutation', s.target)
        if m.change not in DATA or s.reads is None:
            by = _new(s.findings(program), s.known)
            if by or m.change not in DATA:
                return by
        found, tensors = s.run(program)
    except VerifyError:
        return 'verifier'
    except TileTwinError as refusal:
        return f'refused: {refusal.what}'
    return _new(found, s.known_with_data) or ('numbers' if s.wrong(tensors) else '')


def _new(findings: Sequence[Finding], known: frozenset[str]) -> str:
    return next((f.tool for f in findings if f.id not in known), '')


def differs(s: Setting, m: Mutant) -> tuple[str, bool]:
    """Why the mutant is not the same kernel as the original in this launch, empty when it is; and whether it leaves a cross flag set."""
    if m.change in DATA:
        _, tensors = s.run(m.program)
        changed = next((n for n in s.outputs if n not in s.scratch and not same_bytes(tensors[n], s.outputs[n])), '')
        return changed and f'{changed} holds other values, inside the policy', False
    try:
        found = s.order(verify(m.program, 'the mutation', s.target)).runs()
    except VerifyError:
        return 'the verifier refuses it', False
    if len(found) != len(s.runs):
        return 'other blocks issue the same instructions', False
    why = next((why for (original, needed), run in zip(s.runs, found) if (why := lost(needed, original, run))), '')
    return why, any(run.left > original.left for (original, _), run in zip(s.runs, found))
