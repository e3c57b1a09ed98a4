"""What a form has to show beyond right numbers.

A predicate looks at the launches of one call and returns what it found instead of what was claimed; an empty text means that the claim holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterable, Sequence

from ...sim.result import Launch

KINDS = ('program', 'counts', 'timeline')
EXPERT, DEVELOPER = ('expert',), ('developer',)
BOTH = EXPERT + DEVELOPER


@dataclass(frozen=True)
class Claim:
    """`rule` is its number in the operator list's rules, 'row' when it stands in the row itself."""

    rule: str
    says: str
    kind: str
    instead: Callable[[Sequence[Launch]], str]
    cases: tuple[str, ...] = ()  # by name; empty: every case of the form
    modes: tuple[str, ...] = EXPERT

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f'{self.says}: kind {self.kind!r} is none of {KINDS}')

    def concerns(self, mode: str, case: str) -> bool:
        return mode in self.modes and (not self.cases or case in self.cases)


@dataclass(frozen=True)
class Shown:
    """A claim on one call: what was found instead, or nothing."""

    rule: str
    says: str
    kind: str
    instead: str

    @property
    def ok(self) -> bool:
        return not self.instead

    @property
    def text(self) -> str:
        return f'{self.rule}: {self.says}' + ('' if self.ok else f'; found {self.instead}')


def look(claims: Iterable[Claim], mode: str, case: str, launches: Sequence[Launch]) -> tuple[Shown, ...]:
    return tuple(Shown(c.rule, c.says, c.kind, c.instead(launches)) for c in claims if c.concerns(mode, case))
