"""`tiletwin fidelity`: modelled times beside published measurements."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from ..errors import EnvironmentError_
from .common import CLEAN, document, ended, json_option

ABOUT = 'modelled times beside published measurements: the error of every row and category'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--rows', metavar='FILE', help='another table with the columns of bench/fidelity/measurements.csv')
    parser.add_argument('--category', metavar='CAT', action='append', help='only rows of this category; may be repeated')
    parser.add_argument('--scored', action='store_true', help='only rows whose schedule is known')
    parser.add_argument('--plot', metavar='FILE', help='also write the plot, an SVG')
    parser.add_argument('--measured', metavar='FILE', nargs='?', const='',
                        help='instead: operators measured by `tiletwin bench --backend ascend`, default bench/measured.jsonl beside ops')
    form = parser.add_mutually_exclusive_group()
    json_option(form)
    form.add_argument('--markdown', action='store_true', help='the page docs/fidelity.md')


def bench() -> ModuleType:
    """The reference kernels, which belong to a checkout and not to the wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / 'bench' / 'fidelity' / 'registry.py').is_file():
        raise EnvironmentError_('tiletwin fidelity needs a checkout of the project', 
                                why='the published rows and the kernels that stand for them are in bench/fidelity, which is not part of the wheel',
                                instead='git clone the project, then: python -m tiletwin fidelity')
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module('bench.fidelity.score')


def _measured(args: argparse.Namespace) -> int:
    """The operators of this package, on the machine they were measured on."""
    from ..backends.choose import simulated
    from ..harness.measured import compare, default_file, modelled, read
    from ..report.console import make_console
    from ..report.measured import fit_document, print_fit

    given = [f'--{name}' for name in ('rows', 'category', 'scored', 'plot', 'markdown') if getattr(args, name)]
    if given:
        raise EnvironmentError_(f'--measured with {", ".join(given)}', why='these are about the published rows', instead='one or the other')
    simulated('tiletwin fidelity')
    records = read(Path(args.measured) if args.measured else default_file())
    fit = compare(records, modelled(records))
    if args.json:
        document('fidelity', measured=fit_document(fit))
    else:
        print_fit(make_console(), fit)
    return CLEAN


def run(args: argparse.Namespace) -> int:
    if args.measured is not None:
        return _measured(args)
    found = bench()
    from ..backends.choose import simulated
    from ..report import fidelity as show
    from ..report.fidelity_plot import plot

    simulated('tiletwin fidelity')
    done = found.outcomes(found.chosen(args.rows, args.category, args.scored))
    outcomes = found.with_fit(list(done))
    if args.plot:
        Path(args.plot).write_text(plot(outcomes), encoding='utf-8')
    if args.json:
        document('fidelity', **show.json_document(outcomes))
    elif args.markdown:
        print(show.page(outcomes), end='')
    else:
        from ..report.console import make_console

        show.print_outcomes(make_console(), outcomes)
    return ended(done, CLEAN)
