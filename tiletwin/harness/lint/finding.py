"""What a lint says."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import Span


@dataclass(frozen=True, slots=True, order=True)
class Lint:
    """A broken rule. Rules are numbered as in the operator list (C0.x, C4.x); 'F.x' are those of the fork's parser."""

    file: str
    line: int
    rule: str
    message: str
    why: str = ''
    instead: str = ''

    @property
    def span(self) -> Span:
        return Span(self.file, self.line)
