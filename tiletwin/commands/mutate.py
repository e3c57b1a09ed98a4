"""`tiletwin mutate`: what the checkers notice when the synchronisation of a kernel is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import EnvironmentError_
from .common import CLEAN, FOUND, document, ended, json_option

ABOUT = 'break every flag, barrier, ring and init of a kernel, and see that each break is noticed'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', nargs='*', metavar='OP|FILE', help='operators of `tiletwin list`, or Python files that launch kernels')
    parser.add_argument('--all', action='store_true', help='every operator')
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3, a5 or all; default a3, or the first chip of the operator')
    parser.add_argument('--mode', choices=('expert', 'developer'), default='expert', help='which form of an operator (default expert)')
    parser.add_argument('--record', metavar='FOLDER', nargs='?', const='', help='keep the scores of operators; default folder bench/baselines')
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from ..harness.baseline import default_folder
    from ..harness.gather import is_file
    from ..harness.mutate import Request, scores
    from ..harness.mutation_record import write
    from ..report.console import make_console
    from ..report.mutate import document as as_json, print_scores

    if args.all == bool(args.what):
        raise EnvironmentError_('mutate takes operators or files, or --all', instead='`tiletwin mutate softmax`, or `tiletwin mutate --all`')
    if args.record is not None and any(map(is_file, args.what)):
        raise EnvironmentError_('--record keeps the scores of operators', instead='operators of `tiletwin list`, without files')
    done = scores(Request(('all',) if args.all else tuple(args.what), args.mode, args.arch))
    found = [s for members in done for s in members]
    if args.record is not None:
        write(found, Path(args.record) if args.record else default_folder())
    status = ended(done, FOUND if any(s.survivors for s in found) else CLEAN)
    if args.json:
        document('mutate', status=status, scores=[as_json(s) for s in found])
    else:
        print_scores(make_console(), found)
    return status
