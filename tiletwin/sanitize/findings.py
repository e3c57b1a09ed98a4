"""What a sanitizer says: findings with stable ids, and the verdict over them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

from ..errors import Span

TOOLS = ('memcheck', 'racecheck', 'initcheck', 'synccheck', 'passes')
WORDS = ('race', 'uninit', 'oob', 'misaligned', 'capacity', 'path', 'flag', 'deadlock', 'meaning', 'unmodelled')
LEVELS = ('clean', 'review', 'incomplete', 'error')


@dataclass(frozen=True, slots=True)
class Side:
    """One participant of a finding: what ran, where, in which iteration, and what it touched."""

    role: str  # 'writes', 'reads', 'sets', 'waits', 'last set by', ...
    op: str
    pipe: str
    core: str  # 'AIC', 'AIV0', 'AIV1'
    span: Span | None
    loop: str = ''  # 'k=3, j=0'
    region: str = ''  # 'UB a[0:4096 B]'
    block: int | None = None
    origin: str = 'user'  # or the pass that put the instruction there


@dataclass(frozen=True, slots=True)
class Finding:
    tool: str
    word: str  # class word printed in brackets
    severity: str  # 'error', 'review', 'incomplete'
    message: str
    sides: tuple[Side, ...] = ()
    why: str = ''
    fix: str = ''
    overlap: str = ''  # 'UB [0, 4096) B'
    count: int = 1  # dynamic occurrences folded into this finding

    @property
    def id(self) -> str:
        """Hash of what the finding means; free of iteration numbers, addresses and folders, so it is stable between runs."""
        parts = [self.tool, self.word, self.severity]
        for s in self.sides:
            file = os.path.basename(s.span.file) if s.span else ''
            parts += [s.role, s.op, s.pipe, s.core.rstrip('01'), file, str(s.span.line if s.span else 0), s.region.split('[')[0]]
        if not self.sides:
            parts.append(self.message)
        return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Verdict:
    """`clean < review < incomplete < error`."""

    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def level(self) -> str:
        return max((f.severity for f in self.findings), key=LEVELS.index, default='clean')

    @property
    def clean(self) -> bool:
        return self.level == 'clean'

    def of(self, word: str) -> list[Finding]:
        return [f for f in self.findings if f.word == word]

    def require_clean(self) -> 'Verdict':
        if not self.clean:
            raise AssertionError('\n\n'.join(f'{f.severity}[{f.word}] {f.message}' for f in self.findings))
        return self
