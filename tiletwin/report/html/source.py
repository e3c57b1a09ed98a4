"""Kernel source with what every line costs."""

from __future__ import annotations

import io
import keyword
import linecache
import tokenize
from collections import defaultdict
from dataclasses import dataclass
from html import escape

from ...harness.cost import source_functions
from ...harness.stalls import stalls
from ...sim.result import Launch
from ..findings import show_path


_KINDS = {tokenize.COMMENT: 'c', tokenize.STRING: 's'}


@dataclass(frozen=True)
class Line:
    number: int
    html: str
    work: float  # cycles of all pipes of the cube core and one vector core
    wait: float
    flagged: bool  # a finding points here


@dataclass(frozen=True)
class Listing:
    """One function of a kernel file."""

    file: str
    lines: tuple[Line, ...]


def costs(launch: Launch) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], float]]:
    """Cycles of work and of waiting by source line, of the longest block."""
    work: dict[tuple[str, int], float] = defaultdict(float)
    wait: dict[tuple[str, int], float] = defaultdict(float)
    for s in launch.timeline.slices:
        if s.kind == 'op' and s.span and s.core != 'AIV1':
            work[s.span.file, s.span.line] += s.end - s.start
    for (core, pipe), found in stalls(launch.timeline).items():
        for x in found:
            # Held pipes wait for their scalar unit, whose own wait is counted.
            if core != 'AIV1' and x.at and x.why in ('flag', 'landing', 'travel', 'barrier'):
                wait[x.at.file, x.at.line] += x.cycles
    return work, wait


def listings(launch: Launch) -> list[Listing]:
    """Every function that holds statements of the program, in the order of the file."""
    work, wait = costs(launch)
    flagged = {(side.span.file, side.span.line) for f in launch.verdict.findings for side in f.sides if side.span}
    out = []
    for file, functions in source_functions(launch.program).items():
        text = linecache.getlines(file)
        marked = _highlighted(''.join(text))
        bare = [line.expandtabs(4) for line in text]
        shown = 0
        for first, last in ((min(f), max(f)) for f in functions):
            if last <= shown:
                continue  # inside the function before it
            shown = last
            last = min(last, len(marked))
            margin = min((len(line) - len(line.lstrip()) for line in bare[first - 1:last] if line.strip()), default=0)
            out.append(Listing(show_path(file), tuple(
                Line(n, marked[n - 1][margin if bare[n - 1][:margin].isspace() else 0:], work.get((file, n), 0.0), wait.get((file, n), 0.0),
                     (file, n) in flagged)
                for n in range(first, last + 1))))
    return out


def _highlighted(text: str) -> list[str]:
    """HTML of every line: keywords, strings and comments marked."""
    lines = text.splitlines()
    marks: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    try:
        for t in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = _KINDS.get(t.type, 'k' if t.type == tokenize.NAME and keyword.iskeyword(t.string) else '')
            if kind:
                for row in range(t.start[0], t.end[0] + 1):
                    start = t.start[1] if row == t.start[0] else 0
                    end = t.end[1] if row == t.end[0] else len(lines[row - 1])
                    marks[row].append((start, end, kind))
    except (tokenize.TokenError, IndentationError):
        marks = defaultdict(list)
    out = []
    for row, line in enumerate(lines, 1):
        parts, at = [], 0
        for start, end, kind in marks[row]:
            parts += [escape(line[at:start]), f'<span class="{kind}">{escape(line[start:end])}</span>']
            at = end
        out.append(''.join([*parts, escape(line[at:])]))
    return out
