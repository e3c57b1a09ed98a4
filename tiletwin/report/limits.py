"""What limits a call, in words: rows of the comparison, lines of advice, JSON."""

from __future__ import annotations

from typing import Any, Sequence

from ..errors import Span
from ..harness.limits import Limits, Lost, Pipe
from ..harness.roofline import Roofline
from ..harness.stalls import WHYS
from .findings import show_path


def share(value: float) -> str:
    return f'{100 * value:.1f} %'


def place(span: Span | None) -> str:
    return f'{show_path(span.file)}:{span.line}' if span else ''


def roof_text(r: Roofline) -> str:
    return f'{share(r.fraction)} of {r.tightest.name}' if r.tightest else ''


def intensity_text(r: Roofline) -> str:
    """Operations for a byte of HBM and for a byte of L2."""
    if not r.flops:
        return ''
    per = [(name, r.amount(*names)) for name, names in (('HBM', ('HBM',)), ('L2', ('L2 read', 'L2 write')))]
    return ', '.join(f'{r.flops / amount:.3g} ({name})' for name, amount in per if amount)


def _busiest(found: Limits) -> Pipe | None:
    return max(found.pipes, key=lambda p: (p.busy, p.name), default=None)


def rows(found: Sequence[Limits | None]) -> list[tuple[str, list[str]]]:
    """What `tiletwin compare` adds to its table; nothing without launches that say it."""
    if not found or any(f is None for f in found):
        return []
    tops = [_busiest(f) for f in found]
    whys = [why for why in WHYS if any(p and p.stalls.get(why, 0.0) >= 0.0005 for p in tops)]
    return [('limit', []), ('bound', [f.bound for f in found]), ('of the roofline', [roof_text(f.roofline) for f in found]),
            ('operations per byte', [intensity_text(f.roofline) for f in found]),
            ('stalls of the busiest pipe', []), ('pipe', [f'{p.name}, busy {share(p.busy)}' if p else '' for p in tops]),
            *((WHYS[why], [share(p.stalls.get(why, 0.0)) if p else '' for p in tops]) for why in whys),
            ('pauses p50, p90, p99 (cycles)', [', '.join(f'{g:.0f}' for g in p.gaps) if p else '' for p in tops])]


def help_text(x: Lost) -> str:
    """One loss, where it is and what would help."""
    name = f' {x.name}' if x.name else ''
    where = ', '.join(f for f in (place(x.at), f'{"behind it" if x.why == "done" else "set at"} {place(x.by)}' if x.by else '') if f)
    times = f' in {x.count} stalls' if x.count > 1 else ''
    return f'{share(x.share)} of {x.pipe} ({x.cycles:.0f} cycles{times}), {WHYS[x.why]}{name}{f" ({where})" if where else ""}: {x.advice}'


def help_lines(found: Limits | None, mode: str) -> list[str]:
    """A heading and the three largest losses; nothing where nothing is lost."""
    if found is None or not found.helps:
        return []
    return [f'What would help the {mode} form (modelled):', *(f'  {help_text(x)}' for x in found.helps)]


def document(found: Limits | None) -> dict[str, Any] | None:
    if found is None:
        return None
    r = found.roofline
    return {'bound': found.bound, 'outside': found.outside,
            'roofline': {'fraction': r.fraction, 'tightest': r.tightest.name if r.tightest else '', 'flops': r.flops,
                         'least_us': {roof.name: roof.microseconds for roof in r.roofs}},
            'pipes': {p.name: {'busy': p.busy, 'stalls': p.stalls, 'gaps': dict(zip(('p50', 'p90', 'p99'), p.gaps))} for p in found.pipes},
            'helps': [{'pipe': x.pipe, 'why': x.why, 'name': x.name, 'at': place(x.at), 'by': place(x.by), 'source': x.source, 'cycles': x.cycles,
                       'share': x.share, 'count': x.count, 'advice': x.advice} for x in found.helps]}
