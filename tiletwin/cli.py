"""The front door: the commands are the modules of `tiletwin.commands`.

Exit status: 0 clean, 1 findings or wrong numbers, 2 usage or environment.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from types import ModuleType
from typing import Sequence

from .commands.common import CLEAN, FOUND, USAGE
from .errors import EnvironmentError_, TileTwinError

COMMANDS = ('run', 'check', 'time', 'compare', 'bench', 'diff', 'mutate', 'whatif', 'fidelity', 'lint', 'new', 'lower', 'emit', 'trace', 'report', 'doctor', 'list')


def command(name: str) -> ModuleType:
    return importlib.import_module(f'.commands.{name}', __package__)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog='tiletwin', description='Check and time Ascend tile kernels without an NPU.',
                                  epilog='exit status: 0 clean, 1 findings or wrong numbers, 2 usage or environment')
    commands = top.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name in COMMANDS:
        about = command(name).ABOUT
        command(name).options(commands.add_parser(name, help=about, description=about))
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    rest: list[str] = []
    if given[:1] == ['run']:
        # What stands behind the script is the script's.
        options, rest = command('run').split(given[1:])
        given = ['run', *options]
    try:
        args = parser().parse_args(given, argparse.Namespace(rest=rest))
    except SystemExit as end:  # argparse has printed the help or the error
        return int(end.code or 0)
    try:
        status = command(args.command).run(args)
        sys.stdout.flush()
        return status
    except TileTwinError as error:
        _complain(error)
        return USAGE if isinstance(error, EnvironmentError_) else FOUND
    except ModuleNotFoundError as missing:
        if missing.name not in ('torch', 'tilelang'):
            raise
        _complain(EnvironmentError_(f'{missing.name} is not installed', why='kernels are read with tilelang and computed with torch',
                                    instead='pip install "tiletwin[sim]"'))
        return USAGE
    except BrokenPipeError:
        # The reader has left; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLEAN
    except KeyboardInterrupt:
        print('tiletwin: interrupted', file=sys.stderr)
        return USAGE


def _complain(error: TileTwinError) -> None:
    label = 'error' if error.word == 'error' else f'error[{error.word}]'
    print(f'tiletwin: {label} {error}', file=sys.stderr)


if __name__ == '__main__':
    raise SystemExit(main())
