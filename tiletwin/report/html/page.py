"""The page of one operator, case and chip: verdict, both forms side by side, timelines, memories, roofline, stalls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ...harness.compare import Comparison, ModeResult
from ...harness.stalls import WHYS
from ...machine.chip import chip as chip_of
from ...sim.result import Launch
from ..compare import claims, details, twins_text
from ..findings import ordered
from ..limits import help_text, roof_text, share
from . import asset, render
from .answers import answers, verdict
from .colours import MODES, STALL, WORK
from .findings import markup
from .memory import memories
from .roofline import roofline
from .source import listings
from .timeline import data

_SMALL = 0.002  # a share below this is not worth a colour


@dataclass(frozen=True)
class Beside:
    """What other commands have put on record about the operator; None where they have not."""

    mutations: Mapping[str, Mapping[str, Any]]  # mode -> record of `tiletwin mutate`
    fidelity: Mapping[str, Any] | None  # title, headings and rows of the first table of docs/fidelity.md


def _finding(c: Comparison, m: ModeResult) -> list[dict[str, Any]]:
    left = {f.id for f in c.unaccepted(m)}
    return [{'html': markup(f), 'accepted': f.id not in left} for f in ordered(m.verdict.findings)]


def _pipes(m: ModeResult) -> list[dict[str, Any]]:
    rows = []
    for p in m.limits.pipes:
        parts = [{'label': 'works', 'share': p.busy, 'colour': WORK[p.name.split()[-1]][1]}]
        parts += [{'label': WHYS[why], 'share': p.stalls[why], 'colour': STALL[why]} for why in WHYS if p.stalls.get(why, 0.0) > _SMALL]
        rows.append({'name': p.name, 'busy': share(p.busy), 'parts': [{**x, 'text': share(x['share'])} for x in parts],
                     'gaps': ' / '.join(f'{g:.0f}' for g in p.gaps) if any(p.gaps) else 'none'})
    return rows


def _roofs(m: ModeResult) -> list[dict[str, str]]:
    r = m.limits.roofline
    return [{'name': roof.name, 'needs': _amount(roof.name, roof.amount), 'least': f'{roof.microseconds:.3g} µs',
             'share': share(roof.microseconds / r.microseconds)} for roof in r.roofs]


def _amount(name: str, amount: float) -> str:
    if name.startswith(('HBM', 'L2')):
        return f'{amount / 2 ** 20:.2f} MiB' if amount >= 2 ** 19 else f'{amount / 1024:.1f} KiB'
    power, unit = next((p, u) for p, u in ((1e9, '10⁹'), (1e6, '10⁶'), (1e3, '10³')) if amount >= p or p == 1e3)
    return f'{amount / power:.3g} · {unit} operations'


def _sections(rows: Sequence[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for label, cells in rows:
        if not cells or not out:
            out.append({'title': label if not cells else 'outcome', 'rows': []})
        if cells:
            out[-1]['rows'].append({'label': label, 'cells': [{'text': cell, 'bar': _percent(cell)} for cell in cells]})
    return [s for s in out if s['rows']]


def _percent(cell: str) -> float | None:
    head = cell.removesuffix(' %')
    return min(100.0, float(head)) if head != cell and head.replace('.', '', 1).isdigit() else None


def _script(found: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(found, separators=(',', ':'), ensure_ascii=False).replace('<', '\\u003c')


def _mode(c: Comparison, m: ModeResult, launches: Sequence[Launch]) -> dict[str, Any]:
    launch = max(launches, key=lambda x: x.cycles)
    lists = listings(launch)
    most = max((max(line.work, line.wait) for x in lists for line in x.lines), default=0.0) or 1.0
    return {'name': m.mode, 'colour': MODES[m.mode], 'findings': _finding(c, m), 'launches': len(launches), 'blocks': launch.blocks,
            'us': f'{m.cost.microseconds:.2f}', 'cycles': f'{launch.timeline.cycles:.0f}', 'listings': lists, 'most': most,
            'timeline': _script(data(launch)), 'slices': len(launch.timeline.slices), 'memories': memories(launch),
            'pipes': _pipes(m), 'bound': m.limits.bound, 'roof': roof_text(m.limits.roofline), 'roofs': _roofs(m),
            'outside': share(m.limits.outside), 'helps': [help_text(x) for x in m.limits.helps]}


def page(c: Comparison, launches: Mapping[str, Sequence[Launch]], sizes: Mapping[str, int], beside: Beside) -> str:
    """One HTML document; the same bytes for the same kernels, case and chip."""
    ran = [m for m in c.modes if m.ran]
    modes = [_mode(c, m, launches[m.mode]) for m in ran]
    word, tone = verdict(c)
    return render(
        'page.html', script=asset('timeline.js'), operator=c.operator, case=c.case, chip=chip_of(c.chip).title, arch=c.chip,
        sizes=', '.join(f'{k} = {v}' for k, v in sizes.items()), word=word, tone=tone, answers=answers(c), modes=modes,
        absent=[{'name': m.mode, 'why': m.missing or m.left_out or str(m.refusal)} for m in c.modes if not m.ran],
        problems=c.problems, claims=claims(c), twins=twins_text(c), table=_sections(details(c)),
        roofline=roofline([(m.mode, m.limits) for m in ran], c.chip),
        legend=list(dict.fromkeys(WORK[p.name.rpartition(' ')[2]] for m in ran for p in m.limits.pipes)),
        whys=[(WHYS[w], STALL[w]) for w in WHYS if any(p.stalls.get(w, 0.0) > _SMALL for m in ran for p in m.limits.pipes)],
        mutations=beside.mutations, fidelity=beside.fidelity)
