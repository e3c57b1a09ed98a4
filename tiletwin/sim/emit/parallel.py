"""T.Parallel in its scalar meaning."""

from __future__ import annotations

from .values import Values


class Parallel(Values):
    pass
