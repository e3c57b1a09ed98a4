"""Broken rules of kernel files as text and JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any, Sequence

from ..harness.lint.finding import Lint
from .findings import show_path


def text(found: Sequence[Lint]) -> str:
    """Every finding like a compiler would print it, then how many of which rule."""
    blocks = []
    for f in found:
        lines = [f'tiletwin: lint[{f.rule}] {f.message}', f'  --> {show_path(f.file)}:{f.line}']
        source = f.span.excerpt()
        lines += [f'      | {source}'] if source else []
        lines += [f'  {label}: {said}' for label, said in (('why', f.why), ('write instead', f.instead)) if said]
        blocks.append('\n'.join(lines) + '\n')
    tally = Counter(f.rule for f in found)
    counts = ', '.join(f'{n} of {rule}' for rule, n in sorted(tally.items()))
    return '\n'.join([*blocks, f'lint: {len(found)} finding{"" if len(found) == 1 else "s"} ({counts})' if found else 'lint: clean'])


def document(found: Sequence[Lint]) -> list[dict[str, Any]]:
    return [{'rule': f.rule, 'message': f.message, 'where': {'file': show_path(f.file), 'line': f.line}, 'why': f.why,
             'instead': f.instead} for f in found]
