"""Refusing a name of a module at the line that asks for it."""

from __future__ import annotations

import dis
from types import FrameType
from typing import NoReturn

from ..errors import DialectNameError, Span, TileTwinError

_IMPORT_FROM = dis.opmap['IMPORT_FROM']


class DialectImportError(TileTwinError, ImportError):
    """A name that cannot be imported. Python would replace an AttributeError here by a message without a reason."""


def refuse(name: str, frame: FrameType | None, why: str, instead: str) -> NoReturn:
    where = Span(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None
    importing = frame is not None and frame.f_code.co_code[frame.f_lasti] == _IMPORT_FROM
    raise (DialectImportError if importing else DialectNameError)(f'{name} is not supported', where=where, why=why, instead=instead)
