"""`tiletwin whatif`: what a kernel would gain without one synchronisation, or with one more slot."""

from __future__ import annotations

import argparse

from ..errors import EnvironmentError_
from .common import CLEAN, document, ended, json_option

ABOUT = 'what each flag, barrier and buffer slot of a kernel costs or would bring, in modelled time'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', nargs='*', metavar='OP', help='operators of `tiletwin list`')
    parser.add_argument('--all', action='store_true', help='every operator')
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3, a5 or all; default a3, or the first chip of the operator')
    parser.add_argument('--mode', choices=('expert', 'developer'), default='expert', help='which form (default expert)')
    parser.add_argument('--case', metavar='NAME', help='the case to look at; default the longest quick case with a source shape, `all` takes each of them')
    parser.add_argument('--least', type=float, default=0.1, metavar='PERCENT', help='print changes that move the time by at least this (default 0.1)')
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from ..harness.whatif import Request, whatifs
    from ..report.console import make_console
    from ..report.whatif import document as as_json, print_all

    if args.all == bool(args.what):
        raise EnvironmentError_('whatif takes operators, or --all', instead='`tiletwin whatif softmax`, or `tiletwin whatif --all`')
    done = whatifs(Request(('all',) if args.all else tuple(args.what), args.mode, args.arch, args.case))
    found = [w for members in done for w in members]
    status = ended(done, CLEAN)
    if args.json:
        document('whatif', status=status, kernels=[as_json(w) for w in found])
    else:
        print_all(make_console(), found, args.least)
    return status
