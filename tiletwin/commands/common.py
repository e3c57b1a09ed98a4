"""What several commands share: exit statuses, JSON documents, options that choose kernels, and how kernels are found."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from ..errors import CallError, EnvironmentError_

if TYPE_CHECKING:
    from ..harness.progress import Done

CLEAN, FOUND, USAGE = 0, 1, 2
FORMAT = 1  # of the JSON documents; grows when a key changes its meaning


def json_option(parser: Any) -> None:
    parser.add_argument('--json', action='store_true', help='one JSON document on standard output')


def kernel_options(parser: argparse.ArgumentParser) -> None:
    """Which chip, code generator, case and mode."""
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3 or a5; check also takes all. Default a3, or what a script asks for itself')
    parser.add_argument('--target', choices=('ascendc', 'pto'), help='code generator of kernels that leave it open (default ascendc)')
    json_option(parser)
    parser.add_argument('--case', metavar='NAME', help='only the case of this name')
    parser.add_argument('--mode', choices=('expert', 'developer'), default='expert', help='which form of an operator (default expert)')


def document(command: str, **parts: Any) -> None:
    print(json.dumps({'format': FORMAT, 'command': command, **parts}, indent=1))


def ended(done: 'Done', status: int) -> int:
    """The exit status of a command that may have been interrupted; what was finished is printed all the same."""
    if done.left:
        print(f'tiletwin: {done.note}', file=sys.stderr)
    return USAGE if done.left else status


def gather_results(args: argparse.Namespace, first_only: bool = False) -> 'Done':
    from ..harness.gather import Request, gather

    return gather(Request(tuple(args.what), args.arch, args.mode, args.case, first_only, getattr(args, 'slow', False),
                          quiet=args.json or args.command != 'check', target=args.target))


def launched(args: argparse.Namespace) -> list:
    """Launches of an operator's first case, or of the case named; every launch of a script."""
    if args.arch == 'all' or args.what == ['all']:
        raise EnvironmentError_(f'{args.command} takes one kernel at a time', instead='an operator or a file, and --arch a2, a3 or a5')
    done = gather_results(args, first_only=True)
    if done.left:
        raise KeyboardInterrupt
    (result,) = done
    if result.refusal is not None:
        raise result.refusal
    if not result.launches:
        raise CallError(f'{result.title} launched no kernel' + (f'\n{result.message}' if result.message else ''))
    return result.launches
