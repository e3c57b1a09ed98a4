"""The front door: `tiletwin run | check | compare | lint | new | lower | trace | doctor | list`.

Exit status: 0 clean, 1 findings or wrong numbers, 2 usage or environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

from .errors import CallError, EnvironmentError_, TileTwinError
from .run_command import ABOUT as ABOUT_RUN, add_options as add_run_options, run as run_script, split as split_run

if TYPE_CHECKING:
    from .harness.gather import Result

CLEAN, FOUND, USAGE = 0, 1, 2
FORMAT = 1  # of the JSON documents; grows when a key changes its meaning


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog='tiletwin', description='Check and time Ascend tile kernels without an NPU.',
                                  epilog='exit status: 0 clean, 1 findings or wrong numbers, 2 usage or environment')
    commands = top.add_subparsers(dest='command', required=True, metavar='COMMAND')
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--arch', metavar='CHIP', help='a2, a3 or a5; check also takes all. Default a3, or what a script asks for itself')
    common.add_argument('--target', choices=('ascendc', 'pto'), help='code generator of kernels that leave it open (default ascendc)')
    common.add_argument('--json', action='store_true', help='one JSON document on standard output')
    common.add_argument('--case', metavar='NAME', help='only the case of this name')
    common.add_argument('--mode', choices=('expert', 'developer'), default='expert', help='which form of an operator (default expert)')

    def add(name: str, what: str, **kwargs: Any) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=what, **kwargs)

    add_run_options(add('run', ABOUT_RUN))
    check = add('check', 'run operators or scripts and judge every kernel', parents=[common])
    check.add_argument('what', nargs='+', metavar='OP|FILE', help='an operator of `tiletwin list`, a Python file, or all')
    check.add_argument('--strict', action='store_true', help='review findings fail as well')
    check.add_argument('--slow', action='store_true', help='run the cases marked slow as well')
    check.add_argument('--limit', type=int, default=20, metavar='N', help='print at most N findings (default 20)')
    compare = add('compare', 'run the modes of operators on the same cases and lay them side by side')
    compare.add_argument('what', nargs='*', metavar='OP', help='operators of `tiletwin list`')
    compare.add_argument('--all', action='store_true', help='every operator, on every chip it is written for')
    compare.add_argument('--arch', metavar='CHIP', help='a2, a3, a5 or all; default a3, or the first chip of the operator')
    compare.add_argument('--mode', default='developer,expert', metavar='MODES', help='default developer,expert')
    compare.add_argument('--case', metavar='NAME', help='only the case of this name')
    compare.add_argument('--slow', action='store_true', help='run the cases marked slow as well')
    compare.add_argument('--strict', action='store_true', help='missing modes fail as well')
    form = compare.add_mutually_exclusive_group()
    form.add_argument('--json', action='store_true', help='one JSON document on standard output')
    form.add_argument('--markdown', action='store_true', help='tables for a page or a pull request')
    lint = add('lint', 'check kernel files against the rules of their mode, without running them')
    lint.add_argument('what', nargs='*', metavar='OP|FILE', help='operators or Python files; default everything in ops')
    lint.add_argument('--fork', action='store_true', help="also what the Ascend fork's own parser refuses, and names it does not have")
    lint.add_argument('--json', action='store_true', help='one JSON document on standard output')
    new = add('new', 'write the contract and both kernels of a new operator, ready to run')
    new.add_argument('name', metavar='NAME', help='its name: ops/contracts/NAME.py, ops/developer/NAME.py, ops/expert/NAME.py')
    lower = add('lower', 'print the tile program of every kernel', parents=[common])
    lower.add_argument('what', nargs='*', metavar='OP|FILE', help='an operator (its first case) or a Python file')
    lower.add_argument('--oracle', metavar='KERNELS_DIR', help='instead: lower every kernel file of a folder to the normal form, for comparison with the real compiler')
    lower.add_argument('--out', metavar='DIR', help='where --oracle writes one JSON file a kernel')
    lower.add_argument('--after', metavar='PASS', help='the program after this pass; `source` is what the passes start from')
    lower.add_argument('--diff', action='store_true', help='what each pass changed, or with --after that pass')
    lower.add_argument('--profile', choices=('fork', 'sound', 'both'),
                       help='passes of the real compiler, or of one that inserts all that correctness needs; both, with --diff, compares them')
    trace = add('trace', 'write the modelled timeline of the longest launch as Chrome JSON', parents=[common])
    trace.add_argument('what', nargs=1, metavar='OP|FILE', help='an operator (its first case) or a Python file')
    trace.add_argument('-o', '--output', default='trace.json', metavar='FILE', help='default trace.json')
    doctor = add('doctor', 'what is installed here and what works; with --configs what the passes do with a kernel')
    doctor.add_argument('--json', action='store_true', help='one JSON document on standard output')
    doctor.add_argument('--configs', dest='what', metavar='OP|FILE', nargs=1, help='instead: the pass configs of its kernels, and what each pass did with them')
    doctor.add_argument('--mode', choices=('expert', 'developer'), help='with --configs only this form of the operator')
    doctor.add_argument('--arch', metavar='CHIP', help='with --configs the chip; default a3, or the first of the operator')
    doctor.add_argument('--dialect', action='store_true', help='instead: every name of the dialect and whether it is supported, as Markdown')
    doctor.set_defaults(target=None, case=None)
    add('list', 'operators with their modes, chips and cases').add_argument('--json', action='store_true', help='one JSON document on standard output')
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    rest: list[str] = []
    if given[:1] == ['run']:
        # What stands behind the script is the script's.
        options, rest = split_run(given[1:])
        given = ['run', *options]
    try:
        args = parser().parse_args(given)
    except SystemExit as end:  # argparse has printed the help or the error
        return int(end.code or 0)
    try:
        status = run_script(args, rest) if args.command == 'run' else _COMMANDS[args.command](args)
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


def _document(command: str, **parts: Any) -> None:
    print(json.dumps({'format': FORMAT, 'command': command, **parts}, indent=1))


def _gather(args: argparse.Namespace, first_only: bool = False) -> list['Result']:
    from .harness.gather import Request, gather

    return gather(Request(tuple(args.what), args.arch, args.mode, args.case, first_only, getattr(args, 'slow', False),
                          quiet=args.json or args.command != 'check', target=args.target))


# -- check --------------------------------------------------------------------------------------------------------------
def _check(args: argparse.Namespace) -> int:
    results = _gather(args)
    status = _status(results, args.strict)
    if args.json:
        _document('check', status=status, results=[_json(r) for r in results])
    else:
        _print_results(results, args.limit)
    return status


def _status(results: list['Result'], strict: bool) -> int:
    levels = {launch.verdict.level for r in results for launch in r.launches}
    bad = {'incomplete', 'error'} | ({'review'} if strict else set())
    return FOUND if levels & bad or not all(r.ok for r in results) else CLEAN


def _json(r: 'Result') -> dict[str, Any]:
    from .report.jsonout import launch

    return {'name': r.name, 'chip': r.chip, 'case': r.case, 'mode': r.mode, 'ok': r.ok, 'message': r.message, 'skipped': r.skipped,
            'refusal': None if r.refusal is None else {'class': r.refusal.word, 'text': str(r.refusal)},
            'launches': [launch(record) for record in r.launches]}


def _print_results(results: list['Result'], limit: int) -> None:
    from .report.console import Row, make_console, merged, print_launches
    from .report.findings import print_findings, verdict_line
    from .sanitize.findings import Verdict

    console = make_console()
    findings, also = merged((f'{r.title} on {launch.chip}', launch) for r in results for launch in r.launches)
    print_findings(console, findings, also, limit)
    for r in results:
        if r.refusal is not None:
            console.print(f'tiletwin: error[{r.refusal.word}] {r.refusal}\n', soft_wrap=True)
    rows = [Row(r.name, r.case if r.case and len(r.launches) == 1 else f'{r.case} {launch.program.name}'.lstrip(), launch, _numbers(r))
            for r in results for launch in r.launches]
    if rows:
        print_launches(console, rows)
    for reason in dict.fromkeys(r.skipped for r in results if r.skipped):
        console.print(f'skipped: {reason}', soft_wrap=True)
    for r in results:
        if r.skipped:
            continue
        if r.message and not r.ok:
            console.print(f'{r.title}: {r.message.rstrip()}', soft_wrap=True)
        elif not r.launches and r.refusal is None:
            console.print(f'{r.title}: no kernel was launched', soft_wrap=True)
    wrong = sum(not r.ok for r in results)
    outcome = f'{len(rows)} launch{"" if len(rows) == 1 else "es"}' + (f', {wrong} of {len(results)} results wrong' if wrong else '')
    console.print(verdict_line(Verdict(tuple(findings)), outcome, failed=wrong > 0))


def _numbers(r: 'Result') -> str:
    """Only operators have a reference to compare with."""
    return '' if not r.mode else 'ok' if r.ok else 'WRONG'


# -- compare ------------------------------------------------------------------------------------------------------------
def _compare(args: argparse.Namespace) -> int:
    from .harness.compare import MODES, Request, comparisons
    from .report.compare import comparison, markdown, print_comparisons
    from .report.console import make_console

    modes = tuple(args.mode.split(','))
    if not set(modes) <= set(MODES) or len(set(modes)) < len(modes):
        raise EnvironmentError_(f'--mode {args.mode}', instead='developer, expert or developer,expert')
    if args.all == bool(args.what):
        raise EnvironmentError_('compare takes operators, or --all', instead='`tiletwin compare softmax`, or `tiletwin compare --all`')
    found = list(comparisons(Request(('all',) if args.all else tuple(args.what), modes, args.arch, args.case, args.slow)))
    status = FOUND if any(c.problems or args.strict and c.missing for c in found) else CLEAN
    full = not args.all
    if args.json:
        _document('compare', status=status, comparisons=[comparison(c) for c in found])
    elif args.markdown:
        print(markdown(found, full))
    else:
        print_comparisons(make_console(), found, full)
    return status


# -- lint and new -------------------------------------------------------------------------------------------------------
def _lint(args: argparse.Namespace) -> int:
    from .harness.lint.run import lint
    from .report.lint import document, text

    found = lint(args.what, args.fork)
    status = FOUND if found else CLEAN
    if args.json:
        _document('lint', status=status, findings=document(found))
    else:
        print(text(found))
    return status


def _new(args: argparse.Namespace) -> int:
    from .harness.scaffold import create

    written = create(args.name, Path())
    print('\n'.join(f'wrote {path}' for path in written))
    print(f'next: tiletwin compare {args.name}')
    return CLEAN


# -- lower and trace ----------------------------------------------------------------------------------------------------
def _launches(args: argparse.Namespace) -> list:
    """Launches of an operator's first case, or of the case named; every launch of a script."""
    if args.arch == 'all' or args.what == ['all']:
        raise EnvironmentError_(f'{args.command} takes one kernel at a time', instead='an operator or a file, and --arch a2, a3 or a5')
    (result,) = _gather(args, first_only=True)
    if result.refusal is not None:
        raise result.refusal
    if not result.launches:
        raise CallError(f'{result.title} launched no kernel' + (f'\n{result.message}' if result.message else ''))
    return result.launches


def _lower(args: argparse.Namespace) -> int:
    if args.oracle or args.out:
        return _oracle(args)
    from .report.lowering import known, render

    if args.after is not None:
        known(args.after)
    if len(args.what) != 1:
        raise EnvironmentError_('lower takes one kernel', instead='tiletwin lower OP, or tiletwin lower --oracle KERNELS_DIR --out DIR')
    programs: dict[str, Any] = {}
    for launch in _launches(args):
        programs.setdefault(render(launch, args.after, args.diff, args.profile), launch)
    if args.json:
        _document('lower', kernels=[{'kernel': launch.program.name, 'chip': launch.chip, 'text': body} for body, launch in programs.items()])
    else:
        print('\n\n'.join(programs))
    return CLEAN


def _oracle(args: argparse.Namespace) -> int:
    from .passes.oracle import write

    if not (args.oracle and args.out) or args.what:
        raise EnvironmentError_('--oracle and --out go together, without an operator', instead='tiletwin lower --oracle KERNELS_DIR --out DIR')
    written = write(args.oracle, args.out)
    if args.json:
        _document('lower', folder=args.out, files=written)
    else:
        print(f'{len(written)} files in {args.out}')
    return CLEAN


def _trace(args: argparse.Namespace) -> int:
    from .report.trace import dumps

    path = Path(args.output)
    if not path.parent.is_dir():
        raise EnvironmentError_(f'no folder {str(path.parent)!r}', instead='an existing folder for -o')
    launches = _launches(args)
    launch = max(launches, key=lambda record: record.cycles)
    path.write_text(dumps(launch), encoding='utf-8')
    if args.json:
        _document('trace', kernel=launch.program.name, chip=launch.chip, modelled_us=round(launch.microseconds, 3), launches=len(launches),
                  file=str(path))
    else:
        chosen = f', the longest of {len(launches)} launches' if len(launches) > 1 else ''
        print(f'{path}: {launch.program.name} on {launch.chip}, {launch.microseconds:.2f} us modelled{chosen}')
    return CLEAN


# -- doctor and list ----------------------------------------------------------------------------------------------------
def _doctor(args: argparse.Namespace) -> int:
    if args.dialect:
        from .compat.support import page

        print(page(), end='')
        return CLEAN
    if args.what:
        return _configs(args)
    from .report.doctor import checks

    rows = checks()
    if args.json:
        _document('doctor', checks=[vars(c) for c in rows])
    else:
        for c in rows:
            print(f'{"ok" if c.ok else "--":<3}{c.name:<14}{c.text}' + ('' if c.ok or not c.fix else f'  ({c.fix})'))
    return CLEAN if all(c.ok for c in rows if c.needed) else USAGE


def _forms(args: argparse.Namespace) -> tuple[tuple[str | None, ...], str | None]:
    """The modes to look at and the chip: all modes of an operator, its first chip if it is not written for the default one."""
    from .harness.gather import DEFAULT_CHIP, is_file, operators_named

    if is_file(args.what[0]):
        return (None,), args.arch
    (operator,) = operators_named(args.what[0])
    chip = args.arch or (DEFAULT_CHIP if DEFAULT_CHIP in operator.chips else operator.chips[0])
    return (args.mode,) if args.mode else operator.modes, chip


def _configs(args: argparse.Namespace) -> int:
    from .report.lowering import configs_document, configs_text

    modes, chip = _forms(args)
    lowerings = {}
    for mode in modes:
        for launch in _launches(argparse.Namespace(**{**vars(args), 'mode': mode or 'expert', 'arch': chip})):
            lowerings[(f'{mode}: ' if mode else '') + configs_text(launch.lowering)] = (mode, launch.lowering)
    if args.json:
        _document('doctor', configs=[{'mode': mode, **configs_document(found)} for mode, found in lowerings.values()])
    else:
        print('\n\n'.join(lowerings))
    return CLEAN


def _list(args: argparse.Namespace) -> int:
    from .harness.registry import operators

    rows = [{'name': o.name, 'modes': list(o.modes), 'chips': list(o.chips), 'cases': [c.name for c in o.cases]} for o in operators().values()]
    if args.json:
        _document('list', operators=rows)
        return CLEAN
    for row in rows:
        print(f'{row["name"]}  modes: {", ".join(row["modes"])}  chips: {", ".join(row["chips"])}')
        for case in row['cases']:
            print(f'  {case}')
    return CLEAN


_COMMANDS = {'check': _check, 'compare': _compare, 'lint': _lint, 'new': _new, 'lower': _lower, 'trace': _trace, 'doctor': _doctor, 'list': _list}


if __name__ == '__main__':
    raise SystemExit(main())
