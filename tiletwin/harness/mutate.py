"""The mutation score of a kernel: how many ways of getting its synchronisation wrong are noticed.

A mutant is caught when the verifier refuses it, when a checker says something about it that it does not say about the original, or,
where counts and not order changed, when its numbers leave the policy of the operator. Otherwise it has to be proven redundant in every
quick case of the contract: `same_order` shows that it orders every two conflicting accesses as the original does. A ring with a slot
fewer is another program; it is redundant when nothing races on the fewer slots and the outputs are the same bit by bit.
What is neither caught nor proven has survived.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Sequence

from ..errors import TileTwinError, VerifyError
from ..ir.verify import verify
from ..sanitize.findings import Finding
from ..sim import workers
from .mutants import Mutant
from .mutation_cases import Setting, settings
from .same_order import lost

if TYPE_CHECKING:
    import torch

    from .registry import Operator

CAUGHT, REDUNDANT, SURVIVED = 'caught', 'redundant', 'survived'
QUEUES = 'every pipe executes the same queue'
ORDER = 'every two accesses to the same bytes keep their order'
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

    def record(self) -> dict[str, Any]:
        """The score as data: counts, and every mutant that was not caught."""
        return {'operator': self.operator, 'mode': self.mode, 'chip': self.chip, 'mutants': self.total, 'caught': self.caught,
                'redundant': self.redundant, 'survived': self.survivors, 'score': round(self.percent, 2), 'by': self.by_tool, 'cases': list(self.cases),
                'survivors': [asdict(o) for o in self.of(SURVIVED)], 'redundant_list': [asdict(o) for o in self.of(REDUNDANT)]}


def score(operator: 'Operator', mode: str = 'expert', chip: str = 'a3', processes: int | None = None) -> Score:
    """Every mutant of an operator's kernel, judged on its quick cases."""
    found = settings(operator, mode, chip)
    return Score(operator.name, mode, chip, tuple(s.name for s in found), outcomes(found, processes))


def outcomes(found: Sequence[Setting], processes: int | None = None) -> tuple[Outcome, ...]:
    """The fate of every mutant of some launches of one kernel, in the order of its text."""
    import torch

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

    if mutant.change.startswith('move') and all(_same_queues(s, m) for s, m in present):
        return outcome(REDUNDANT, QUEUES)
    for s, m in present:
        by = notices(s, m)
        if by:
            return outcome(CAUGHT, by, s.name)
    for s, m in present:
        missing = differs(s, m)
        if missing:
            return outcome(SURVIVED, missing, s.name)
    return outcome(REDUNDANT, SLOTS if mutant.change in DATA else ORDER)


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
            by = _new(s, s.findings(program))
            if by or m.change not in DATA:
                return by
        found, tensors = s.run(program)
    except VerifyError:
        return 'verifier'
    except TileTwinError as refusal:
        return f'refused: {refusal.what}'
    return _new(s, found) or ('numbers' if s.wrong(tensors) else '')


def _new(s: Setting, findings: Sequence[Finding]) -> str:
    return next((f.tool for f in findings if f.id not in s.known), '')


def differs(s: Setting, m: Mutant) -> str:
    """Why the mutant is not the same kernel as the original in this launch; empty when it is."""
    if m.change in DATA:
        import torch

        _, tensors = s.run(m.program)
        changed = next((n for n in s.outputs if n not in s.scratch and not torch.equal(_bytes(tensors[n]), _bytes(s.outputs[n]))), '')
        return changed and f'{changed} holds other values, inside the policy'
    found = s.order(m.program).runs()
    if len(found) != len(s.runs):
        return 'other blocks issue the same instructions'
    return next((why for (original, needed), run in zip(s.runs, found) if (why := lost(needed, original, run))), '')


def _bytes(t: 'torch.Tensor') -> 'torch.Tensor':
    import torch

    return t.contiguous().view(-1).view(torch.uint8)
