"""`tiletwin emit`: what mainline's compiler makes of an operator on Ascend 950."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import EnvironmentError_
from .common import CLEAN, FOUND, document, json_option

ABOUT = "operators through mainline tilelang's Ascend 950 compiler to AscendC source: does it compile, or the compiler's reason"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', nargs='+', metavar='OP', help='operators of `tiletwin list`, or all')
    parser.add_argument('--target', choices=('ascend950',), default='ascend950', help='default ascend950')
    parser.add_argument('--form', choices=('automatic', 'manual'), help='only the form scheduled by the compiler, or the one with flags by hand')
    parser.add_argument('--case', metavar='NAME', help='the case whose shapes are compiled; default the first source shape')
    parser.add_argument('-o', '--output', metavar='DIR', help='write the sources here')
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    from ..backends.ascend950 import emit, forms, reason_for_none
    from ..harness.gather import operators_named

    named = [op for name in args.what for op in operators_named(name)]
    jobs = [(op, _case(op, args.case, args.what == ['all']), form) for op in named for form in forms(op.name) if args.form in (None, form)]
    folder = Path(args.output) if args.output else None
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise EnvironmentError_(f'{folder} is not a folder', instead='a folder for -o')
        folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for op, case, form in jobs:
        found = emit(op.name, form, case.sizes, op.variant.settings(case.attributes), case.dtypes or tuple(o.dtypes[0] for o in op.variant.inputs))
        file = None
        if found.ok and folder is not None:
            file = folder / f'{op.name}.{case.name}.{form}.cpp'
            file.write_text(found.source, encoding='utf-8')
        rows.append((case, found, file))
    missing = [op.name for op in named if not forms(op.name)]
    if args.json:
        document('emit', target=args.target, emitted=[{'operator': f.operator, 'case': c.name, 'form': f.form, 'compiles': f.ok, 'reason': f.reason,
                                                       'lines': f.source.count('\n'), 'file': str(file) if file else None} for c, f, file in rows],
                 without=[{'operator': n, 'reason': reason_for_none(n)} for n in missing])
    else:
        for case, f, file in rows:
            what = f'compiles, {f.source.count(chr(10))} lines of AscendC' if f.ok else f'the compiler refuses: {f.reason}'
            print(f'{f.operator} {case.name}, {f.form}: {what}' + (f'  {file}' if file else ''))
        for name in missing:
            print(f'{name}: no form in the mainline dialect: {reason_for_none(name)}')
    return CLEAN if all(f.ok for _, f, _ in rows) else FOUND


def _case(op: object, name: str | None, everything: bool):
    from ..harness.registry import Operator

    assert isinstance(op, Operator)
    if name is None or everything and all(c.name != name for c in op.cases):
        return next((c for c in op.cases if c.purpose == 'source' and not c.slow), op.cases[0])
    for case in op.cases:
        if case.name == name:
            return case
    raise EnvironmentError_(f'{op.name} has no case {name!r}', instead='one of ' + ', '.join(c.name for c in op.cases))
