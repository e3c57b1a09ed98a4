"""Findings as a compiler prints them: what, where on both sides, why, and the fix."""

from __future__ import annotations

import linecache
import os
from typing import Iterable

from rich.console import Console
from rich.text import Text

from ..errors import Span
from ..sanitize.findings import LEVELS, Finding, Side, Verdict

STYLES = {'error': 'bold red', 'incomplete': 'bold magenta', 'review': 'bold yellow', 'clean': 'bold green'}
_INDENT = 11  # of continuation lines under `overlap:`, `why:` and `fix:`


def show_path(path: str) -> str:
    """Relative below the working directory, absolute elsewhere."""
    relative = os.path.relpath(path)
    return path if relative.startswith('..') else relative


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first, then by place, so that the order does not depend on how they were found."""
    def key(f: Finding) -> tuple:
        return (-LEVELS.index(f.severity), *((s.span.file, s.span.line) if s.span else ('', 0) for s in f.sides[:1]), f.word, f.id)
    return sorted(findings, key=key)


def excerpt(span: Span) -> Text:
    """The source line with carets under it."""
    line = linecache.getline(span.file, span.line).rstrip().expandtabs(4)
    number = str(span.line)
    text = Text()
    text.append(f'    --> {show_path(span.file)}:{span.line}\n', 'cyan')
    if line.strip():
        start = len(line) - len(line.lstrip())
        text.append(f'     {number} | ', 'dim').append(f'{line}\n')
        text.append(f'     {" " * len(number)} | ', 'dim').append(' ' * start + '^' * (len(line) - start) + '\n', 'bold')
    return text


def _side(side: Side) -> Text:
    facts = [side.op, f'pipe {side.pipe}' if side.pipe else '', side.core + (f' block {side.block}' if side.block is not None else ''),
             side.loop, side.region, '' if side.origin == 'user' else f'inserted by {side.origin}']
    text = Text(f'  {side.role}: ', 'bold')
    text.append(', '.join(f for f in facts if f) + '\n', 'not bold')
    if side.span is not None:
        text.append_text(excerpt(side.span))
    return text


def _fact(label: str, value: str) -> Text:
    head, *rest = value.splitlines()
    text = Text(f'{"  " + label + ":":<{_INDENT}}', 'bold')
    text.append('\n'.join([head, *(' ' * _INDENT + line for line in rest)]) + '\n', 'not bold')
    return text


def render(finding: Finding, also: str = '') -> Text:
    """One finding; `also` names further places it was found in."""
    text = Text('tiletwin: ', 'bold')
    text.append(f'{finding.severity}[{finding.word}]', STYLES[finding.severity]).append(f' {finding.message}\n', 'not bold')
    for side in finding.sides:
        text.append_text(_side(side))
    times = f', {finding.count} times' if finding.count > 1 else ''
    if finding.overlap:
        text.append_text(_fact('overlap', finding.overlap + times))
    elif times:
        text.append_text(_fact('count', str(finding.count)))
    for label, value in (('why', finding.why), ('fix', finding.fix)):
        if value:
            text.append_text(_fact(label, value))
    text.append_text(_fact('id', f'{finding.tool} {finding.id}' + (f', also in {also}' if also else '')))
    text.rstrip()
    return text


def print_findings(console: Console, findings: Iterable[Finding], also: dict[str, str] | None = None, limit: int = 20) -> None:
    """At most `limit` findings, worst first, then how many of which class were left out."""
    rows = ordered(findings)
    for f in rows[:limit]:
        console.print(render(f, (also or {}).get(f.id, '')), soft_wrap=True)
        console.print()
    rest = rows[limit:]
    if rest:
        console.print(f'... and {len(rest)} more: {counts(rest)} (--json prints all)')
        console.print()


def counts(findings: Iterable[Finding]) -> str:
    """'2 error[race], 1 review[race]'"""
    tally: dict[str, int] = {}
    for f in ordered(findings):
        label = f'{f.severity}[{f.word}]'
        tally[label] = tally.get(label, 0) + 1
    return ', '.join(f'{n} {label}' for label, n in tally.items())


def verdict_line(verdict: Verdict, what: str = '', failed: bool = False) -> Text:
    """`failed`: something other than a finding is wrong, the numbers or the launch itself."""
    level = 'error' if failed else verdict.level
    text = Text('verdict: ', 'bold').append(level, STYLES[level])
    if verdict.findings:
        text.append(f' ({counts(verdict.findings)})', 'not bold')
    return text.append(f'  {what}' if what else '', 'not bold')
