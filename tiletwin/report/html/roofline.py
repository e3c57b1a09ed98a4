"""The roofline: operations a second over operations per byte, both logarithmic, and where each mode stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Sequence

from ...harness.limits import Limits
from ...harness.roofline import Roofline
from ...machine.chip import chip as chip_of
from .colours import MODES
from .svg import LEFT, line, svg, text

WIDTH, HEIGHT, RIGHT, TOP, BOTTOM = 660, 330, 120, 14, 46
_ROOF, _GRID = '#446', '#e6e6ee'


@dataclass(frozen=True)
class _Point:
    mode: str
    memory: str  # 'HBM' or 'L2': whose bytes are counted
    intensity: float  # operations per byte
    rate: float  # operations a second, modelled


class _Plane:
    def __init__(self, points: Sequence[_Point], slopes: dict[str, float], peak: float):
        most = max(2 * peak / slopes['HBM'], *(p.intensity for p in points))
        self.x0, self.x1 = math.floor(math.log10(min(0.5, *(p.intensity for p in points)))), math.ceil(math.log10(most))
        self.y0, self.y1 = math.floor(math.log10(min(p.rate for p in points) / 2)), math.log10(peak) + 0.35
        self.wide, self.tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        self.labels: list[float] = []  # heights of the modes' names

    def x(self, v: float) -> float:
        return LEFT + self.wide * (math.log10(v) - self.x0) / (self.x1 - self.x0)

    def y(self, v: float) -> float:
        return TOP + self.tall * (1 - (math.log10(v) - self.y0) / (self.y1 - self.y0))

    def grid(self) -> list[str]:
        parts = [f'<rect x="{LEFT}" y="{TOP}" width="{self.wide}" height="{self.tall}" fill="#f9f9fb" stroke="#dcdce4"/>']
        for v in (10.0 ** e for e in range(self.x0, self.x1 + 1)):
            parts += [line(self.x(v), TOP, self.x(v), TOP + self.tall, _GRID), text(self.x(v), TOP + self.tall + 15, f'{v:g}', text_anchor='middle')]
        for v in (10.0 ** e for e in range(math.ceil(self.y0), math.floor(self.y1) + 1)):
            parts += [line(LEFT, self.y(v), LEFT + self.wide, self.y(v), _GRID), text(LEFT - 6, self.y(v) + 3.5, f'{v / 1e12:g}', text_anchor='end')]
        return [*parts, text(LEFT + self.wide / 2, HEIGHT - 8, 'operations per byte', text_anchor='middle'),
                f'<text transform="translate(13 {TOP + self.tall / 2}) rotate(-90)" text-anchor="middle">10¹² operations a second</text>']

    def slope(self, name: str, rate: float, peak: float) -> list[str]:
        """The roof of a memory: what its bytes a second feed."""
        a, b = max(10.0 ** self.x0, 10.0 ** self.y0 / rate), min(10.0 ** self.x1, peak / rate)
        if b <= a:
            return []
        left = name == 'L2'
        # The label stands beside the line, inside the plot.
        places = [a * (b / a) ** part for part in (0.3, 0.45, 0.6, 0.75, 0.9)]
        at = next((v for v in places if not left or self.x(v) > LEFT + 90), places[-1])
        return [line(self.x(a), self.y(a * rate), self.x(b), self.y(b * rate), _ROOF, 1.5),
                text(self.x(at) + (-7 if left else 9), self.y(at * rate) + (-3 if left else 10), f'{name} {rate / 1e12:.2f} TB/s',
                     text_anchor='end' if left else 'start', fill=_ROOF, class_='halo')]

    def flat(self, name: str, rate: float, steepest: float) -> list[str]:
        """The roof of a unit: its peak."""
        start = min(max(10.0 ** self.x0, rate / steepest), 10.0 ** self.x1)
        end = LEFT + self.wide
        return [line(self.x(start), self.y(rate), end, self.y(rate), _ROOF, 1.5), text(end + 5, self.y(rate) + 3.5, name, fill=_ROOF),
                text(end + 5, self.y(rate) + 16, f'{rate / 1e12:.1f} · 10¹²', fill=_ROOF)]

    def marks(self, mode: str, own: Sequence[_Point]) -> list[str]:
        colour, parts = MODES.get(mode, '#333'), []
        for p in own:
            title = f'{mode}: {p.intensity:.3g} operations per byte of {p.memory}, {p.rate / 1e12:.3g} · 10¹² a second (modelled)'
            parts.append(f'<circle cx="{self.x(p.intensity):.1f}" cy="{self.y(p.rate):.1f}" r="5.5" fill="{colour if p.memory == "HBM" else "#fff"}" '
                         f'stroke="{colour}" stroke-width="2"><title>{escape(title)}</title></circle>')
        right = max(self.x(p.intensity) for p in own) + 10
        fits = right + 7 * len(mode) < LEFT + self.wide
        at, anchor = (right, 'start') if fits else (min(self.x(p.intensity) for p in own) - 10, 'end')
        height = self.y(own[0].rate) + 4
        while any(abs(height - other) < 13 for other in self.labels):
            height -= 13
        self.labels.append(height)
        return [*parts, text(at, height, mode, fill=colour, font_weight='600', text_anchor=anchor, class_='halo')]


def _points(mode: str, r: Roofline) -> list[_Point]:
    amounts = (('HBM', r.amount('HBM')), ('L2', r.amount('L2 read', 'L2 write')))
    return [_Point(mode, memory, r.flops / amount, 1e6 * r.flops / r.microseconds) for memory, amount in amounts if amount]


def roofline(found: Sequence[tuple[str, Limits]], chip_name: str) -> str:
    """Empty where no kernel computes anything."""
    rows = [(mode, f.roofline) for mode, f in found if f.roofline.flops and f.roofline.bytes and f.roofline.microseconds]
    if not rows:
        return ''
    chip = chip_of(chip_name)
    flats = {roof.name: roof.rate for _, r in rows for roof in r.roofs if roof.name.startswith(('cube', 'vector'))}
    slopes = {'HBM': chip.constants['gm.hbm'], 'L2': chip.constants['gm.read_l2']}
    points = [p for mode, r in rows for p in _points(mode, r)]
    peak = max(flats.values())
    plane = _Plane(points, slopes, peak)
    parts = plane.grid()
    for name, rate in slopes.items():
        parts += plane.slope(name, rate, peak)
    for name, rate in flats.items():
        parts += plane.flat(name, rate, max(slopes.values()))
    for mode, _ in rows:
        parts += plane.marks(mode, [p for p in points if p.mode == mode])
    return svg(WIDTH, HEIGHT, parts, 'roofline')
