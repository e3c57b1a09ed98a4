"""Uses that the compiler accepts although they rarely mean what they say.

Strict, the default, refuses them. Where a script runs as it is (TILETWIN_LENIENT=1) they are taken as the compiler takes them, and the
kernel carries a doubt that its verdict shows as a review finding.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import Iterator

from ..errors import Span, TileTwinError
from .where import here

_thread = threading.local()


def lenient() -> bool:
    return os.environ.get('TILETWIN_LENIENT', '0') == '1'


@contextmanager
def collected() -> Iterator[list[tuple]]:
    """The doubts raised in the block: (what, why, instead, where)."""
    before = getattr(_thread, 'doubts', None)
    _thread.doubts = []
    try:
        yield _thread.doubts
    finally:
        _thread.doubts = before


def doubt(ok: bool, kind: type[TileTwinError], what: str, why: str = '', instead: str = '', where: Span | None = None) -> None:
    """Like `check`, but a lenient run goes on."""
    if ok:
        return
    place = where if where is not None else here()
    if not lenient():
        raise kind(what, where=place, why=why, instead=instead)
    found = getattr(_thread, 'doubts', None)
    entry = (what, why, instead, place)
    if found is not None and entry not in found:
        found.append(entry)
