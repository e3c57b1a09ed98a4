"""A finding as on the terminal, with its head and its carets in colour."""

from __future__ import annotations

import re
from html import escape

from ...sanitize.findings import Finding
from ..findings import render

_CARETS = re.compile(r'\^+$')
_LABEL = re.compile(r'^(\s{2,}[a-z ]+:)(?= )')


def markup(f: Finding) -> str:
    """HTML for the inside of a `pre`."""
    head, *rest = escape(render(f).plain, quote=False).splitlines()
    lines = [f'<strong class="{f.severity}">{head}</strong>']
    for line in rest:
        carets = _CARETS.search(line)
        if carets and '|' in line:
            line = f'{line[:carets.start()]}<span class="{f.severity}">{carets.group()}</span>'
        lines.append(_LABEL.sub(r'<strong>\1</strong>', line))
    return '\n'.join(lines)
