"""The on-chip memories of a block over time: a rectangle for every tenant of a buffer."""

from __future__ import annotations

from html import escape
from typing import Any, Sequence

from ...harness.memory_map import Life, lives
from ...machine.chip import chip as chip_of
from ...sim.result import Launch
from .colours import buffer
from .svg import LEFT, line, nice, svg, text, time_axis
from .timeline import steady

WIDTH, HEIGHT, BOTTOM, TOP = 560, 150, 26, 8
MOST = 700  # rectangles of one memory; of more the middle of the block is drawn
_ORDER = ('L1', 'L0A', 'L0B', 'L0C', 'UB')


def size(count: float) -> str:
    return f'{count / 1024:g} KiB' if count >= 1024 and count % 512 == 0 else f'{count / 1024:.1f} KiB' if count >= 1024 else f'{count:g} B'


def memories(launch: Launch) -> list[dict[str, Any]]:
    """One drawing for each memory in use; of two vector cores the first that has work."""
    chip, cycles = chip_of(launch.chip), launch.timeline.cycles
    found: dict[str, list[Life]] = {}
    for life in lives(launch.timeline):
        found.setdefault(life.memory, []).append(life)
    first = {memory.split()[1]: memory for memory in sorted(found, reverse=True)}
    out = []
    for space in (s for s in _ORDER if s in first):
        own = found[first[space]]
        begin, end = (0.0, cycles) if len(own) <= MOST else steady(launch.timeline, 2 * MOST)
        names = list(dict.fromkeys(x.buffer for x in own))
        top, limit = max(x.stop for x in own), chip.memories[space].bytes
        colours = {name: buffer(i) for i, name in enumerate(names)}
        drawn = [x for x in own if x.end >= begin and x.begin <= end]
        out.append({'space': space, 'core': first[space].split()[0], 'top': top, 'limit': limit, 'share': top / limit, 'part': end - begin < cycles,
                    'svg': _drawing(drawn, begin, end, top, colours, chip.clock_mhz, f'{space} over time'),
                    'legend': [_entry(name, colours[name], own) for name in names]})
    return out


def _entry(name: str, colour: str, own: Sequence[Life]) -> dict[str, Any]:
    slots = {(x.start, x.stop) for x in own if x.buffer == name}
    return {'name': name, 'colour': colour, 'slots': len(slots), 'bytes': size(max(b - a for a, b in slots))}


def _drawing(own: Sequence[Life], begin: float, end: float, top: int, colours: dict[str, str], mhz: float, label: str) -> str:
    wide, tall = WIDTH - LEFT - 8, HEIGHT - BOTTOM - TOP

    def x(time: float) -> float:
        return LEFT + wide * (min(max(time, begin), end) - begin) / ((end - begin) or 1.0)

    def y(address: float) -> float:
        return TOP + tall * (1 - address / top)

    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{wide}" height="{tall}" fill="#f6f6f9"/>']
    step = nice(top / 1024, 4) * 1024 if top >= 4096 else nice(top, 4)
    for i in range(int(top / step) + 1):
        parts += [line(LEFT, y(i * step), LEFT + wide, y(i * step), '#dcdce4'), text(LEFT - 5, y(i * step) + 3.5, size(i * step), text_anchor='end')]
    for life in own:
        left, up = x(life.begin), y(life.stop)
        width, height = max(0.7, x(life.end) - left), max(1.0, y(life.start) - up)
        edge = ' stroke="#fff" stroke-width=".5"' if min(width, height) > 3 else ''
        title = f'{life.buffer} [{life.start}:{life.stop} B], {life.begin:.0f} to {life.end:.0f} cycles (modelled)'
        parts.append(f'<rect x="{left:.1f}" y="{up:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colours[life.buffer]}"{edge}>'
                     f'<title>{escape(title)}</title></rect>')
        if width > 7 * len(life.buffer) and height > 11:
            parts.append(text(left + 3, up + height / 2 + 3.5, life.buffer, fill='#fff'))
    return svg(WIDTH, HEIGHT, [*parts, *time_axis(begin / mhz, end / mhz, wide, TOP + tall)], label)
