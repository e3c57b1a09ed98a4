"""The source line being traced, and refusals that carry it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from ..errors import Span, TileTwinError


_PACKAGE = str(Path(__file__).resolve().parents[1])


def here() -> Span | None:
    """The user's line: the one being traced, or outside a kernel the caller of this package."""
    from .builder import DialectBuilder

    builder = DialectBuilder.current()
    return builder.here() if isinstance(builder, DialectBuilder) else caller()


def caller() -> Span | None:
    """The innermost line of the call stack that is not part of this package."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return Span(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


def fail(kind: type[TileTwinError], what: str, why: str = '', instead: str = '') -> NoReturn:
    raise kind(what, where=here(), why=why, instead=instead)


def check(ok: bool, kind: type[TileTwinError], what: str, why: str = '', instead: str = '') -> None:
    if not ok:
        fail(kind, what, why, instead)
