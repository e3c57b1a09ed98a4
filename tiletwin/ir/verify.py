"""Validity of a Program, decided by rules. It runs on what the front end made and after every pass."""

from __future__ import annotations

from typing import Collection

from typing import Collection

from ..errors import VerifyError
from . import rules_operands, rules_structure  # noqa: F401  (they write the books)
from .nodes import Program
from .rules import ASCENDC, COMMON

__all__ = ['ASCENDC', 'COMMON', 'verify']


def verify(program: Program, made_by: str = 'the front end', target: str | None = None, without: Collection[str] = ()) -> Program:
    """The Program itself, or VerifyError naming the first broken rule that is not in `without`."""
    for name, rule in (COMMON.rules | (ASCENDC.rules if target == 'ascendc' else {})).items():
        if name in without:
            continue
        for span, what, why, instead in rule(program):
            raise VerifyError(f'{what} [rule {name}, after {made_by}]', where=span or program.span, why=why, instead=instead)
    return program
