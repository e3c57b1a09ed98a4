"""`tiletwin run [options] SCRIPT.py [args]` and `tiletwin run [options] -m MODULE [args]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from ..errors import EnvironmentError_

ABOUT = 'run a tilelang-ascend script, or -m a module such as pytest, unchanged, and judge every kernel it launches'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3 or a5, for kernels that leave it open (default a3)')
    parser.add_argument('--target', choices=('ascendc', 'pto'), help='code generator of kernels that leave it open (default ascendc)')
    how = parser.add_mutually_exclusive_group()
    how.add_argument('--strict', action='store_true', help='refuse what the real compiler lets pass, and fail on review findings')
    how.add_argument('--lenient', action='store_true', help='accept what the real compiler accepts, and report it (default)')
    parser.add_argument('--no-sanitize', action='store_true', help='numbers and modelled times only')
    parser.add_argument('--no-data', action='store_true', help='modelled times and findings only: kernels compute nothing, outputs hold NaN')
    parser.add_argument('--report', metavar='FILE', help='write the findings and the kernels as one HTML page')
    parser.add_argument('--traceback', action='store_true', help='errors with every frame, also those of the simulator')
    parser.add_argument('-m', dest='module', metavar='MODULE', help='run a module, such as pytest, instead of a file')
    parser.add_argument('script', nargs=argparse.REMAINDER, metavar='SCRIPT.py [ARGS]', help='the script, and what it is told')


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options of `run` up to the script or the module; the rest belongs to the script."""
    i = 0
    while i < len(argv):
        word = argv[i]
        if word == '-m':
            return list(argv[:i + 2]), list(argv[i + 2:])
        if not word.startswith('-'):
            return list(argv[:i]), list(argv[i:])
        i += 2 if word in ('--arch', '--target', '--report') else 1
    return list(argv), []


def run(args: argparse.Namespace) -> int:
    from ..compat.session import Setting, run as run_session

    rest = args.rest
    script, module = (None, args.module) if args.module else (rest[0] if rest else None, None)
    if script is None and module is None:
        raise EnvironmentError_('run takes a script or -m and a module', instead='tiletwin run SCRIPT.py, or tiletwin run -m pytest TESTS')
    if args.report and not Path(args.report).resolve().parent.is_dir():
        raise EnvironmentError_(f'no folder {str(Path(args.report).parent)!r}', instead='an existing folder for --report')
    if args.arch:
        from ..machine.chip import chip

        args.arch = chip(args.arch).name
    setting = Setting(args.arch, args.target, args.strict, not args.no_sanitize, args.traceback, not args.no_data)
    session = run_session(setting, script, module, rest if module else rest[1:])
    status = session.exit_status(args.strict)
    sys.stdout.flush()
    if session.kernels or session.failure or session.refusal is not None:
        from ..report.console import make_console
        from ..report.session import print_session

        print_session(make_console(sys.stderr), session, setting.sanitize)
    if args.report:
        from ..report.session import page

        Path(args.report).write_text(page(session, script or f'-m {module}', status, setting.sanitize), encoding='utf-8')
    return status
