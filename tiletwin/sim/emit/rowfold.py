"""Row loops."""

from __future__ import annotations

from ...ir.nodes import For
from .vector import Vector


class RowFold(Vector):
    def fold_rows(self, s: For) -> bool:
        return False
