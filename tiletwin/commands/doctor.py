"""`tiletwin doctor`: what is installed here and what works."""

from __future__ import annotations

import argparse

from .common import CLEAN, USAGE, document, json_option, launched

ABOUT = 'what is installed here and what works; with --configs what the passes do with a kernel'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--configs', dest='what', metavar='OP|FILE', nargs=1, help='instead: the pass configs of its kernels, and what each pass did with them')
    parser.add_argument('--mode', choices=('expert', 'developer'), help='with --configs only this form of the operator')
    parser.add_argument('--arch', metavar='CHIP', help='with --configs the chip; default a3, or the first of the operator')
    parser.add_argument('--dialect', action='store_true', help='instead: every name of the dialect and whether it is supported, as Markdown')
    parser.set_defaults(target=None, case=None)
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    if args.dialect:
        from ..compat.support import page

        print(page(), end='')
        return CLEAN
    if args.what:
        return _configs(args)
    from ..report.doctor import checks, text

    rows = checks()
    if args.json:
        document('doctor', checks=[vars(c) for c in rows])
    else:
        print(text(rows))
    return CLEAN if all(c.ok for c in rows if c.needed) else USAGE


def _forms(args: argparse.Namespace) -> tuple[tuple[str | None, ...], str | None]:
    """The modes to look at and the chip: all modes of an operator, its first chip if it is not written for the default one."""
    from ..harness.gather import DEFAULT_CHIP, is_file, operators_named

    if is_file(args.what[0]):
        return (None,), args.arch
    (operator,) = operators_named(args.what[0])
    chip = args.arch or (DEFAULT_CHIP if DEFAULT_CHIP in operator.chips else operator.chips[0])
    return (args.mode,) if args.mode else operator.modes, chip


def _configs(args: argparse.Namespace) -> int:
    from ..report.lowering import configs_document, configs_text

    modes, chip = _forms(args)
    lowerings = {}
    for mode in modes:
        for launch in launched(argparse.Namespace(**{**vars(args), 'mode': mode or 'expert', 'arch': chip})):
            lowerings[(f'{mode}: ' if mode else '') + configs_text(launch.lowering)] = (mode, launch.lowering)
    if args.json:
        document('doctor', configs=[{'mode': mode, **configs_document(found)} for mode, found in lowerings.values()])
    else:
        print('\n\n'.join(lowerings))
    return CLEAN
