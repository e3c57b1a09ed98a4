"""The record of a launch as JSON: stable keys, no wall times, the same bytes for the same kernel, case and chip."""

from __future__ import annotations

from typing import Any

from ..errors import Span
from ..sanitize.findings import Finding, Side
from ..sim.result import Launch
from .findings import ordered, show_path
from .tracks import shares

FORMAT = 1  # grows when a key changes its meaning


def _span(span: Span | None) -> dict[str, Any] | None:
    return None if span is None else {'file': show_path(span.file), 'line': span.line}


def _side(s: Side) -> dict[str, Any]:
    return {'role': s.role, 'op': s.op, 'pipe': s.pipe, 'core': s.core, 'where': _span(s.span), 'loop': s.loop, 'region': s.region,
            'block': s.block, 'origin': s.origin}


def finding(f: Finding) -> dict[str, Any]:
    return {'id': f.id, 'tool': f.tool, 'class': f.word, 'severity': f.severity, 'message': f.message, 'sides': [_side(s) for s in f.sides],
            'overlap': f.overlap, 'why': f.why, 'fix': f.fix, 'count': f.count}


def launch(record: Launch) -> dict[str, Any]:
    busy: dict[str, dict[str, float]] = {}
    for (core, row), share in shares(record.timeline).items():
        busy.setdefault(core, {})[row] = round(share, 4)
    return {
        'kernel': record.program.name,
        'chip': record.chip,
        'target': record.target,
        'blocks': record.blocks,
        'modelled': {'cycles': round(record.cycles, 3), 'us': round(record.microseconds, 3), 'busy': busy},
        'memory': dict(record.memory),
        'gm': {'read': record.gm_read, 'written': record.gm_written},
        'syncs': dict(record.syncs),
        'prints': list(record.prints),
        'verdict': record.verdict.level,
        'findings': [finding(f) for f in ordered(record.verdict.findings)],
    }
