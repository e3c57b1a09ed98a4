"""What is on record about an operator beside the run itself: its mutation scores, and how well the model predicts."""

from __future__ import annotations

from ...harness.baseline import default_folder
from ...harness.mutation_record import path, read
from .page import Beside


def beside(operator: str, chip: str) -> Beside:
    """From the folder of the baselines; nothing where there is none, as outside a checkout."""
    rows = read(path(default_folder(), operator))
    return Beside({mode: row for (name, mode, on), row in rows.items() if name == operator and on == chip}, None)
