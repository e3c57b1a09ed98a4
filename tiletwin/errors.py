"""Errors that document themselves: what, where, why, and what to write instead."""

from __future__ import annotations

import linecache
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A source line of a kernel."""

    file: str
    line: int

    def __str__(self) -> str:
        return f'{self.file}:{self.line}'

    def excerpt(self) -> str:
        return linecache.getline(self.file, self.line).strip()


class TileTwinError(Exception):
    """Base of every refusal. `word` is the class word printed in brackets."""

    word = 'error'

    def __init__(self, what: str, *, where: Span | str | None = None, why: str = '', instead: str = ''):
        self.what, self.where, self.why, self.instead = what, where, why, instead
        super().__init__(self.render())

    def render(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f'  --> {self.where}')
            text = self.where.excerpt() if isinstance(self.where, Span) else ''
            if text:
                lines.append(f'      | {text}')
        if self.why:
            lines.append(f'  why: {self.why}')
        if self.instead:
            lines.append(f'  write instead: {self.instead}')
        return '\n'.join(lines)

    def at(self, where: Span) -> 'TileTwinError':
        """The same error with a source line, when it had none."""
        if self.where is not None:
            return self
        return type(self)(self.what, where=where, why=self.why, instead=self.instead)


class DialectError(TileTwinError, ValueError):
    """A construct the dialect does not have, or a value it does not take."""


class DialectTypeError(TileTwinError, TypeError):
    """An operand of the wrong kind."""


class DialectAssertionError(TileTwinError, AssertionError):
    """A front-end check that the fork states as an assertion."""


class DialectNameError(TileTwinError, AttributeError):
    """A name the dialect does not have."""


class DialectIndexError(TileTwinError, IndexError):
    """A number of indices that is not the rank of the buffer."""


class UnsupportedError(TileTwinError):
    """A construct that exists but that this package does not model."""


class CallError(TileTwinError, ValueError):
    """A kernel was called with arguments that do not fit its parameters."""


class EnvironmentError_(TileTwinError):
    """A chip, target, backend or tool that is not there."""


class CapacityError(TileTwinError):
    """On-chip buffers that do not fit; carries the buffer table."""

    word = 'capacity'


class PathError(TileTwinError):
    """A copy along a data path the chip does not have."""

    word = 'path'


class VerifyError(TileTwinError):
    """A Program that breaks a rule of `ir.verify`; names the pass that made it."""


class KernelWarning(UserWarning):
    """A kernel that compiles, but perhaps to something else than its author expects."""
