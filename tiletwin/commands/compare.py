"""`tiletwin compare`: the two modes of operators side by side."""

from __future__ import annotations

import argparse

from ..errors import EnvironmentError_
from .common import CLEAN, FOUND, document, ended, json_option

ABOUT = 'run the modes of operators on the same cases and lay them side by side'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', nargs='*', metavar='OP', help='operators of `tiletwin list`')
    parser.add_argument('--all', action='store_true', help='every operator, on every chip it is written for')
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3, a5 or all; default a3, or the first chip of the operator')
    parser.add_argument('--mode', default='developer,expert', metavar='MODES', help='default developer,expert')
    parser.add_argument('--case', metavar='NAME', help='only the case of this name')
    parser.add_argument('--quick', action='store_true', help='leave out the cases marked slow')
    parser.add_argument('--strict', action='store_true', help='missing modes fail as well')
    form = parser.add_mutually_exclusive_group()
    json_option(form)
    form.add_argument('--markdown', action='store_true', help='tables for a page or a pull request')


def run(args: argparse.Namespace) -> int:
    from ..harness.compare import MODES, Request, comparisons
    from ..harness.pool import cores
    from ..report.compare import comparison, markdown, print_comparisons
    from ..report.console import make_console

    modes = tuple(args.mode.split(','))
    if not set(modes) <= set(MODES) or len(set(modes)) < len(modes):
        raise EnvironmentError_(f'--mode {args.mode}', instead='developer, expert or developer,expert')
    if args.all == bool(args.what):
        raise EnvironmentError_('compare takes operators, or --all', instead='`tiletwin compare softmax`, or `tiletwin compare --all`')
    done = comparisons(Request(('all',) if args.all else tuple(args.what), modes, args.arch, args.case, args.quick, cores()))
    found = list(done)
    status = ended(done, FOUND if any(c.problems or args.strict and c.missing for c in found) else CLEAN)
    full = not args.all
    if args.json:
        document('compare', status=status, comparisons=[comparison(c) for c in found])
    elif args.markdown:
        print(markdown(found, full))
    else:
        print_comparisons(make_console(), found, full)
    return status
