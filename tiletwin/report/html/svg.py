"""Parts of drawings that need no script."""

from __future__ import annotations

import math
from html import escape
from typing import Sequence

LEFT = 62  # of the plot: room for the labels of its axis


def text(x: float, y: float, said: str, **attributes: str) -> str:
    extra = ''.join(f' {k.rstrip("_").replace("_", "-")}="{v}"' for k, v in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1.0) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width:g}"/>'


def nice(top: float, parts: int) -> float:
    """A round step that cuts `top` into about `parts`."""
    power = 10.0 ** math.floor(math.log10(max(top, 1e-9) / parts))
    return next(power * m for m in (1, 2, 5, 10, 20) if top / (power * m) <= parts)


def time_axis(begin: float, end: float, wide: float, at: float) -> list[str]:
    """Ticks in microseconds under a plot."""
    step = nice(end - begin, 6)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    out, t = [], math.ceil(begin / step) * step
    while t <= end + 1e-9:
        x = LEFT + wide * (t - begin) / ((end - begin) or 1.0)
        out += [line(x, at, x, at + 4, '#889'), text(min(x, LEFT + wide - 14), at + 16, f'{t:.{digits}f} µs', text_anchor='middle')]
        t += step
    return out


def svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    return (f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">'
            f'{"".join(parts)}</svg>')
