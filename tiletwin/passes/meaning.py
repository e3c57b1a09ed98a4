"""Rewrites of the real compiler after which a kernel no longer computes what its source says, and no hazard shows it.

Each pass has its own list of constructs; `parallel_to_vector` and `combine_cv` speak for themselves, because only they know what they emit.
"""

from __future__ import annotations

from typing import Callable, Iterator

from ..errors import Span
from ..ir.nodes import Program
from . import meaning_cross, meaning_vid
from .context import PassContext

Note = tuple[str, Span | None]
WATCHED: dict[str, Callable[[Program, PassContext], Iterator[Note]]] = {
    'vid_reduction': meaning_vid.notes, 'workspace_reduction': meaning_cross.reloads, 'cross_core_pipeline': meaning_cross.pipelined}


def notice(name: str, before: Program, ctx: PassContext) -> None:
    """Says what the pass changed about the meaning of the Program it was given."""
    if ctx.sound or name not in WATCHED:
        return
    for message, where in dict.fromkeys(WATCHED[name](before, ctx)):
        ctx.warn(name, message, where, changes_meaning=True)
