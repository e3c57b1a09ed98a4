"""`tiletwin time`: modelled time and hazards without data, at any size."""

from __future__ import annotations

import argparse

from .common import CLEAN, FOUND, document, json_option

ABOUT = 'modelled time and findings of an operator or a script without computing anything, also at sizes no host memory holds'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', metavar='OP|FILE', help='an operator of `tiletwin list`, or a Python file whose launches are timed')
    parser.add_argument('--shape', metavar='NAME=N,...', default='', help='sizes of the dimensions, and attributes, of one call; default the cases of the operator')
    parser.add_argument('--dtype', metavar='TYPE,...', default='', help='types of the inputs where the operator takes several (default the first)')
    parser.add_argument('--case', metavar='NAME', help='only the case of this name')
    parser.add_argument('--mode', choices=('expert', 'developer'), default='expert', help='which form of an operator (default expert)')
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3 or a5 (default a3)')
    parser.add_argument('--target', choices=('ascendc', 'pto'), help='code generator of kernels that leave it open (default ascendc)')
    parser.add_argument('--no-sanitize', action='store_true', help='times only')
    parser.add_argument('--limit', type=int, default=20, metavar='N', help='print at most N findings (default 20)')
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from contextlib import redirect_stdout
    import sys

    from ..harness.timing import Request, shape_of, timed
    from ..report.timing import document as described, print_timed

    request = Request(args.what, shape_of(args.shape), tuple(filter(None, args.dtype.split(','))), args.case, args.mode, args.arch, args.target,
                      not args.no_sanitize)
    # What a script prints is not part of the table.
    with redirect_stdout(sys.stderr):
        results = timed(request)
    if args.json:
        document('time', results=described(results))
    else:
        from ..report.console import make_console

        print_timed(make_console(), results, args.limit)
    return FOUND if any(r.bad for r in results) else CLEAN
