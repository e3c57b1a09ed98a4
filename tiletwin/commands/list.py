"""`tiletwin list`: the operators."""

from __future__ import annotations

import argparse

from .common import CLEAN, document, json_option

ABOUT = 'operators with their modes, chips and cases'


def options(parser: argparse.ArgumentParser) -> None:
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from ..harness.registry import operators

    rows = [{'name': o.name, 'modes': list(o.modes), 'chips': list(o.chips), 'cases': [c.name for c in o.cases]} for o in operators().values()]
    if args.json:
        document('list', operators=rows)
        return CLEAN
    for row in rows:
        print(f'{row["name"]}  modes: {", ".join(row["modes"])}  chips: {", ".join(row["chips"])}')
        for case in row['cases']:
            print(f'  {case}')
    return CLEAN
