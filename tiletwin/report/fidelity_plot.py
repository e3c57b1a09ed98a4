"""Modelled over measured times as an SVG: both axes logarithmic, the diagonal, and a band of 20 %."""

from __future__ import annotations

import math
from html import escape
from typing import Sequence

from ..harness.fidelity import BOUND, SCORED, Outcome

_SIZE, _MARGIN = 640, 56
_INK = {SCORED: '#1565c0', BOUND: '#ef6c00'}
_LABEL = {SCORED: 'schedule known', BOUND: 'schedule not known'}


def plot(outcomes: Sequence[Outcome]) -> str:
    points = [o for o in outcomes if o.error is not None]
    values = [v for o in points for v in (o.row.us, o.us)] or [1.0, 10.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def at(us: float) -> float:
        return _MARGIN + (math.log10(us) - low) / (high - low) * (_SIZE - 2 * _MARGIN)

    def line(x1: float, y1: float, x2: float, y2: float, ink: str) -> str:
        return f'<line x1="{x1:.1f}" y1="{_SIZE - y1:.1f}" x2="{x2:.1f}" y2="{_SIZE - y2:.1f}" stroke="{ink}"/>'

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" font-family="sans-serif" font-size="12">',
           f'<rect width="{_SIZE}" height="{_SIZE}" fill="white"/>']
    first, last = at(10.0 ** low), at(10.0 ** high)
    for decade in range(low, high + 1):
        p, text = at(10.0 ** decade), f'{10.0 ** decade:g}'
        out += [line(p, first, p, last, '#ddd'), line(first, p, last, p, '#ddd'),
                f'<text x="{p:.1f}" y="{_SIZE - first + 16:.1f}" text-anchor="middle">{text}</text>',
                f'<text x="{first - 6:.1f}" y="{_SIZE - p + 4:.1f}" text-anchor="end">{text}</text>']
    step = math.log10(1.2) / (high - low) * (_SIZE - 2 * _MARGIN)
    out.append(line(first, first, last, last, '#444'))
    out += [line(first, first + step, last - step, last, '#bbb'), line(first + step, first, last, last - step, '#bbb')]
    for kind in (BOUND, SCORED):
        for o in points:
            if o.kind == kind:
                title = escape(f'{o.row.id} {o.row.cat}: {o.row.kernel}, {o.row.shape}; measured {o.row.us:g} us, modelled {o.us:.2f} us')
                place = f'cx="{at(o.row.us):.1f}" cy="{_SIZE - at(o.us):.1f}" r="3.5"'
                out.append(f'<circle {place} fill="{_INK[kind]}" fill-opacity="0.7"><title>{title}</title></circle>')
    for i, kind in enumerate(k for k in (SCORED, BOUND) if any(o.kind == k for o in points)):
        y = _MARGIN + 8 + 18 * i
        out.append(f'<circle cx="{first + 12:.1f}" cy="{y - 4}" r="4" fill="{_INK[kind]}"/>')
        out.append(f'<text x="{first + 22:.1f}" y="{y}">{_LABEL[kind]}</text>')
    middle = _SIZE / 2
    out += [f'<text x="{middle}" y="{_SIZE - 14}" text-anchor="middle">measured us (published)</text>',
            f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">modelled us</text>',
            f'<text x="{middle}" y="24" text-anchor="middle">diagonal: equal; grey: 20 % either way</text>', '</svg>']
    return '\n'.join(out) + '\n'
