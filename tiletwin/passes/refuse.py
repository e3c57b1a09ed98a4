"""Refusals that foretell the real compiler: it rejects with a message, or its process dies without one."""

from __future__ import annotations

from ..errors import DialectError, Span


class CompilerRefusal(DialectError):
    """A program the real compiler does not lower; `compiler` is 'rejects' or 'crashes'."""

    compiler = 'rejects'

    def __init__(self, what: str, *, where: Span | str | None = None, why: str = '', instead: str = ''):
        verb = self.compiler
        super().__init__(what if f'the compiler {verb}' in what else f'the compiler {verb} this: {what}', where=where, why=why, instead=instead)


class CompilerRejects(CompilerRefusal):
    """The compiler stops with the quoted text."""


class CompilerCrashes(CompilerRefusal):
    """The compiler process dies."""

    compiler = 'crashes'
