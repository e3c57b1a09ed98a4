"""The timeline of a block as data for the drawing on the page: small integers and tables of names."""

from __future__ import annotations

import math
from typing import Any

from ...machine.chip import chip as chip_of
from ...sim.result import CORES, Launch, Slice, Timeline
from ..findings import show_path
from .colours import WORK

TENTHS = 10  # times are whole tenths of a cycle
LIMIT = 12000  # slices on a page; of a longer block the start, the middle and the end
BINS = 600  # of the overview
_KINDS = {'op': 0, 'wait': 1, 'barrier': 2}
_ORDER = ('MTE2', 'MTE1', 'M', 'V', 'FIX', 'MTE3', 'S')


class Names:
    """A table of texts; every text has one number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        if text not in self.numbers:
            self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return self.numbers[text]


def _line(span: Any) -> str:
    return f'{show_path(span.file)}:{span.line}' if span else ''


def windows(slices: list[Slice], cycles: float, limit: int = LIMIT) -> list[tuple[float, float]]:
    """The stretches of the block that are drawn slice by slice: all of it, or, of a long one, the slices at either end and around the middle."""
    if len(slices) <= limit:
        return [(0.0, cycles)]
    starts = sorted(s.start for s in slices)
    middle, quarter = len(starts) // 2, limit // 4
    return [(0.0, starts[quarter]), (starts[middle - quarter], starts[middle + quarter]), (starts[-quarter], cycles)]


def steady(timeline: Timeline, limit: int = LIMIT) -> tuple[float, float]:
    """What to look at first in a long block: its middle."""
    found = windows(timeline.slices, timeline.cycles, limit)
    return found[0] if len(found) == 1 else found[1]


def tracks(timeline: Timeline) -> list[tuple[str, str]]:
    have = {(s.core, s.pipe) for s in timeline.slices}
    return [(core, pipe) for core in CORES for pipe in _ORDER if (core, pipe) in have]


def _bins(slices: list[Slice], order: dict[tuple[str, str], int], cycles: float) -> list[str]:
    """Busy share of every pipe over the block, a digit from 0 to 9 for each of BINS equal stretches."""
    sums = [[0.0] * BINS for _ in order]
    width = cycles / BINS or 1.0
    for s in slices:
        if s.kind != 'op' or (s.core, s.pipe) not in order:
            continue
        row = sums[order[s.core, s.pipe]]
        first, last = int(s.start / width), min(BINS - 1, int(s.end / width))
        for i in range(first, last + 1):
            row[i] += max(0.0, min(s.end, (i + 1) * width) - max(s.start, i * width))
    return [''.join(str(min(9, math.ceil(9 * x / width - 1e-9))) for x in row) for row in sums]


def data(launch: Launch) -> dict[str, Any]:
    timeline = launch.timeline
    order = {place: i for i, place in enumerate(tracks(timeline))}
    shown = windows(timeline.slices, timeline.cycles)
    names, lines, loops = Names(), Names(), Names()
    numbers: dict[int, int] = {}
    packed: list[int] = []
    for i, s in enumerate(timeline.slices):
        if any(a <= s.start <= b for a, b in shown) and (s.core, s.pipe) in order:
            numbers[i] = len(numbers)
            start, end = round(s.start * TENTHS), round(s.end * TENTHS)
            packed += (order[s.core, s.pipe], start, end - start, names(s.flag or s.op), _KINDS[s.kind], lines(_line(s.span)), loops(s.loop), s.bytes,
                       lines(_line(s.set_at)))
    arrows: list[int] = []
    for a in timeline.arrows:
        if a.source in numbers and a.target in numbers:
            arrows += (numbers[a.source], numbers[a.target], names(a.name))
    return {'cycles': round(timeline.cycles * TENTHS), 'tenths': TENTHS, 'mhz': chip_of(launch.chip).clock_mhz,
            'tracks': [{'name': f'{core} {pipe}', 'colour': WORK[pipe][1], 'does': WORK[pipe][0]} for core, pipe in order],
            'names': names.texts, 'lines': lines.texts, 'loops': loops.texts, 'slices': packed, 'arrows': arrows,
            'bins': _bins(timeline.slices, order, timeline.cycles),
            'windows': [[round(a * TENTHS), round(b * TENTHS)] for a, b in shown], 'count': len(timeline.slices)}
