"""`tiletwin lower`: the tile program after the passes."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import EnvironmentError_
from .common import CLEAN, document, kernel_options, launched

ABOUT = 'print the tile program of every kernel'


def options(parser: argparse.ArgumentParser) -> None:
    kernel_options(parser)
    parser.add_argument('what', nargs='*', metavar='OP|FILE', help='an operator (its first case) or a Python file')
    parser.add_argument('--oracle', metavar='KERNELS_DIR', help='instead: lower every kernel file of a folder to the normal form, for comparison with the real compiler')
    parser.add_argument('--out', metavar='DIR', help='where --oracle writes one JSON file a kernel')
    parser.add_argument('--after', metavar='PASS', help='the program after this pass; `source` is what the passes start from')
    parser.add_argument('--diff', action='store_true', help='what each pass changed, or with --after that pass')
    parser.add_argument('--profile', choices=('fork', 'sound', 'both'),
                       help='passes of the real compiler, or of one that inserts all that correctness needs; both, with --diff, compares them')


def run(args: argparse.Namespace) -> int:
    if args.oracle or args.out:
        return _oracle(args)
    from ..report.lowering import known, render

    if args.after is not None:
        known(args.after)
    if len(args.what) != 1:
        raise EnvironmentError_('lower takes one kernel', instead='tiletwin lower OP, or tiletwin lower --oracle KERNELS_DIR --out DIR')
    programs: dict[str, Any] = {}
    for launch in launched(args):
        programs.setdefault(render(launch, args.after, args.diff, args.profile), launch)
    if args.json:
        document('lower', kernels=[{'kernel': launch.program.name, 'chip': launch.chip, 'text': body} for body, launch in programs.items()])
    else:
        print('\n\n'.join(programs))
    return CLEAN


def _oracle(args: argparse.Namespace) -> int:
    from ..passes.oracle import write

    if not (args.oracle and args.out) or args.what:
        raise EnvironmentError_('--oracle and --out go together, without an operator', instead='tiletwin lower --oracle KERNELS_DIR --out DIR')
    written = write(args.oracle, args.out)
    if args.json:
        document('lower', folder=args.out, files=written)
    else:
        print(f'{len(written)} files in {args.out}')
    return CLEAN
