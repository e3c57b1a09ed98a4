"""How a Program is simulated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    chip: str = 'a3'  # a2, a3 or a5
    target: str = 'ascendc'  # 'ascendc' or 'pto': where they differ, semantics follow this one (dialect 10.1)
    sanitize: bool = True  # run the four checkers on the event stream
    data: bool = True  # move tensor data; off = clock and hazards only
    threads: int | None = None  # blocks executed at once; None = one per processor
