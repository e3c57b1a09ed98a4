"""`tiletwin lint`: the rules of the modes, without running a kernel."""

from __future__ import annotations

import argparse

from .common import CLEAN, FOUND, document, json_option

ABOUT = 'check kernel files against the rules of their mode, without running them'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', nargs='*', metavar='OP|FILE', help='operators or Python files; default everything in ops')
    parser.add_argument('--fork', action='store_true', help="also what the Ascend fork's own parser refuses, and names it does not have")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from ..harness.lint.run import lint
    from ..report.lint import document as rows, text

    found = lint(args.what, args.fork)
    status = FOUND if found else CLEAN
    if args.json:
        document('lint', status=status, findings=rows(found))
    else:
        print(text(found))
    return status
