"""`tiletwin new`: the skeleton of an operator."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import CLEAN

ABOUT = 'write the contract and both kernels of a new operator, ready to run'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', metavar='NAME', help='its name: ops/contracts/NAME.py, ops/developer/NAME.py, ops/expert/NAME.py')


def run(args: argparse.Namespace) -> int:
    from ..harness.scaffold import create

    written = create(args.name, Path())
    print('\n'.join(f'wrote {path}' for path in written))
    print(f'next: tiletwin compare {args.name}')
    return CLEAN
