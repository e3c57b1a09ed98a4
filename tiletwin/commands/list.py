"""`tiletwin list`: the operators."""

from __future__ import annotations

import argparse

from ..errors import EnvironmentError_
from .common import CLEAN, document, json_option

ABOUT = 'operators with their modes, chips and cases'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--arch', metavar='CHIP', help='only operators written for a2, a3 or a5')
    parser.add_argument('--topology', metavar='UNITS', 
                        help="only operators whose data meets these units in this order, such as vec-only or 'cube->vec'")
    parser.add_argument('--formula', metavar='TEXT', help='only operators whose formula holds this text, whatever its case')
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from ..harness.registry import operators
    from ..machine.chip import chip

    known = list(operators().values())
    topologies = sorted({o.variant.topology for o in known} - {''})
    if args.topology is not None and args.topology not in topologies:
        raise EnvironmentError_(f'no operator has the topology {args.topology!r}', instead='one of ' + ', '.join(topologies))
    arch = args.arch and chip(args.arch).name
    chosen = [o for o in known if (arch is None or arch in o.chips) and args.topology in (None, o.variant.topology)
              and (args.formula or '').lower() in o.variant.formula.lower()]
    rows = [{'name': o.name, 'formula': o.variant.formula, 'topology': o.variant.topology, 'priority': o.variant.priority, 'modes': list(o.modes),
             'chips': list(o.chips), 'cases': [c.name for c in o.cases]} for o in chosen]
    if args.json:
        document('list', operators=rows)
        return CLEAN
    for row in rows:
        about = '  '.join(filter(None, (row['name'], row['formula'], row['topology'])))
        print(f'{about}  modes: {", ".join(row["modes"])}  chips: {", ".join(row["chips"])}')
        for case in row['cases']:
            print(f'  {case}')
    return CLEAN
