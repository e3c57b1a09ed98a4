"""`tiletwin trace`: the modelled timeline as Chrome JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import EnvironmentError_
from .common import CLEAN, document, kernel_options, launched

ABOUT = 'write the modelled timeline of the longest launch as Chrome JSON'


def options(parser: argparse.ArgumentParser) -> None:
    kernel_options(parser)
    parser.add_argument('what', nargs=1, metavar='OP|FILE', help='an operator (its first case) or a Python file')
    parser.add_argument('-o', '--output', default='trace.json', metavar='FILE', help='default trace.json')


def run(args: argparse.Namespace) -> int:
    from ..report.trace import dumps

    path = Path(args.output)
    if not path.parent.is_dir():
        raise EnvironmentError_(f'no folder {str(path.parent)!r}', instead='an existing folder for -o')
    launches = launched(args)
    launch = max(launches, key=lambda record: record.cycles)
    path.write_text(dumps(launch), encoding='utf-8')
    if args.json:
        document('trace', kernel=launch.program.name, chip=launch.chip, modelled_us=round(launch.microseconds, 3), launches=len(launches),
                  file=str(path))
    else:
        chosen = f', the longest of {len(launches)} launches' if len(launches) > 1 else ''
        print(f'{path}: {launch.program.name} on {launch.chip}, {launch.microseconds:.2f} us modelled{chosen}')
    return CLEAN
