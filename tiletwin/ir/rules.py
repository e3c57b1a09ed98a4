"""The two books of validity rules, and what rules share.

A rule is a function that yields (span, what is wrong, why, what to write instead); its name is part of the error.
"""

from __future__ import annotations

from typing import Callable, Iterator

from ..errors import Span
from .nodes import Instr, Program, walk

Problem = tuple[Span | None, str, str, str]
Rule = Callable[[Program], Iterator[Problem]]


class Book:
    """Rules by name, in the order they are checked."""

    def __init__(self):
        self.rules: dict[str, Rule] = {}

    def rule(self, name: str):
        def add(fn: Rule) -> Rule:
            self.rules[name] = fn
            return fn

        return add


COMMON = Book()
# What the AscendC generator adds to the rules of the language.
ASCENDC = Book()


def instructions(program: Program) -> Iterator[Instr]:
    return (s for s in walk(program.body) if isinstance(s, Instr))
