"""The source line being traced, and refusals that carry it."""

from __future__ import annotations

from typing import NoReturn

from ..errors import Span, TileTwinError


def here() -> Span | None:
    """The user's line that is being traced; None outside a kernel."""
    from .builder import DialectBuilder

    builder = DialectBuilder.current()
    return builder.here() if isinstance(builder, DialectBuilder) else None


def fail(kind: type[TileTwinError], what: str, why: str = '', instead: str = '') -> NoReturn:
    raise kind(what, where=here(), why=why, instead=instead)


def check(ok: bool, kind: type[TileTwinError], what: str, why: str = '', instead: str = '') -> None:
    if not ok:
        fail(kind, what, why, instead)
