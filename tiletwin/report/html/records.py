"""What is on record about an operator beside the run itself: its mutation scores, and how well the model predicts."""

from __future__ import annotations

from typing import Any

from ...harness.baseline import default_folder
from ...harness.mutation_record import path, read
from ...harness.record import root
from .page import Beside


def beside(operator: str, chip: str) -> Beside:
    """From the checkout; nothing where there is none."""
    rows = read(path(default_folder(), operator))
    page = root() / 'docs' / 'fidelity.md'
    return Beside({mode: row for (name, mode, on), row in rows.items() if name == operator and on == chip},
                  first_table(page.read_text(encoding='utf-8')) if page.is_file() else None)


def first_table(markdown: str) -> dict[str, Any] | None:
    """The first table of a page and the heading it stands under."""
    title, table = '', []
    for line in markdown.splitlines():
        if line.startswith('|'):
            table.append([cell.strip() for cell in line.strip('|').split('|')])
        elif table:
            break
        elif line.startswith('#'):
            title = line.lstrip('# ')
    return {'title': title, 'headings': table[0], 'rows': table[2:]} if len(table) > 2 else None
