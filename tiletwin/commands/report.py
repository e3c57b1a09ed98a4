"""`tiletwin report`: one operator as a page for people."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import EnvironmentError_
from .common import CLEAN, FOUND

ABOUT = 'write one HTML page about an operator: verdict, both forms side by side, timelines, memories, roofline, stalls'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', metavar='OP', help='an operator of `tiletwin list`')
    parser.add_argument('-o', '--output', default='report.html', metavar='FILE', help='default report.html')
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3 or a5; default a3, or the first chip of the operator')
    parser.add_argument('--mode', default='developer,expert', metavar='MODES', help='default developer,expert')
    parser.add_argument('--case', metavar='NAME', help='default the first case with a source shape')


def run(args: argparse.Namespace) -> int:
    from ..backends.choose import simulated
    from ..harness.compare import MODES, compare
    from ..harness.gather import operators_named
    from ..report.html.page import page
    from ..report.html.records import beside

    modes = tuple(args.mode.split(','))
    if not set(modes) <= set(MODES) or len(set(modes)) < len(modes):
        raise EnvironmentError_(f'--mode {args.mode}', instead='developer, expert or developer,expert')
    if args.what == 'all':
        raise EnvironmentError_('report takes one operator at a time', instead='one of `tiletwin list`; `tiletwin compare --all` for all of them')
    path = Path(args.output)
    if not path.parent.is_dir():
        raise EnvironmentError_(f'no folder {str(path.parent)!r}', instead='an existing folder for -o')
    (operator,) = operators_named(args.what)
    simulated('tiletwin report')
    chip = _chip(operator, args.arch)
    case = _case(operator, chip, args.case)
    ran: dict[str, Any] = {}
    found = compare(operator, case, chip, modes, ran)
    text = page(found, {mode: r.launches for mode, r in ran.items()}, case.sizes, beside(operator.name, chip))
    path.write_text(text, encoding='utf-8')
    print(f'{path}: {operator.name} {case.name} on {chip}, {", ".join(ran) or "no mode"}, {len(text.encode()) / 1024:.0f} KiB')
    return FOUND if found.problems else CLEAN


def _chip(operator: Any, arch: str | None) -> str:
    from ..harness.gather import DEFAULT_CHIP
    from ..machine.chip import chip

    if arch is None:
        return DEFAULT_CHIP if DEFAULT_CHIP in operator.chips else operator.chips[0]
    name = chip(arch).name
    if name not in operator.chips:
        raise EnvironmentError_(f'{operator.name} is not written for {name}', instead=f'--arch {", ".join(operator.chips)}')
    return name


def _case(operator: Any, chip: str, name: str | None) -> Any:
    here = [c for c in operator.cases if not c.chips or chip in c.chips]
    if name is None:
        quick = [c for c in here if not c.slow] or here
        return next((c for c in quick if c.purpose == 'source'), quick[0])
    found = next((c for c in here if c.name == name), None)
    if found is None:
        raise EnvironmentError_(f'{operator.name} has no case {name!r} on {chip}', instead='one of ' + ', '.join(c.name for c in here))
    return found
