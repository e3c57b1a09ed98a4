"""`tiletwin check`: every kernel of operators or scripts, judged."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .common import CLEAN, FOUND, document, ended, gather_results, kernel_options

if TYPE_CHECKING:
    from ..harness.gather import Result

ABOUT = 'run operators or scripts and judge every kernel'


def options(parser: argparse.ArgumentParser) -> None:
    kernel_options(parser)
    parser.add_argument('what', nargs='+', metavar='OP|FILE', help='an operator of `tiletwin list`, a Python file, or all')
    parser.add_argument('--strict', action='store_true', help='review findings fail as well, unless the contract of the operator gives a reason')
    parser.add_argument('--slow', action='store_true', help='run the cases marked slow as well')
    parser.add_argument('--limit', type=int, default=20, metavar='N', help='print at most N findings (default 20)')


def run(args: argparse.Namespace) -> int:
    done = gather_results(args)
    results = list(done)
    status = ended(done, _status(results, args.strict))
    if args.json:
        document('check', status=status, results=[_json(r) for r in results])
    else:
        _print_results(results, args.limit)
    return status


def _status(results: list['Result'], strict: bool) -> int:
    levels = {f.severity for r in results for f in r.unaccepted}
    bad = {'incomplete', 'error'} | ({'review'} if strict else set())
    return FOUND if levels & bad or not all(r.ok for r in results) else CLEAN


def _json(r: 'Result') -> dict[str, Any]:
    from ..report.jsonout import launch

    return {'name': r.name, 'chip': r.chip, 'case': r.case, 'mode': r.mode, 'ok': r.ok, 'message': r.message, 'skipped': r.skipped,
            'accepted': [{'name': name, 'reason': reason, 'findings': n} for name, reason, n in r.accepted],
            'refusal': None if r.refusal is None else {'class': r.refusal.word, 'text': str(r.refusal)},
            'launches': [launch(record) for record in r.launches]}


def _print_results(results: list['Result'], limit: int) -> None:
    from ..report.console import Row, make_console, merged, print_launches
    from ..report.findings import print_findings, verdict_line
    from ..sanitize.findings import Verdict

    console = make_console()
    findings, also = merged((f'{r.title} on {launch.chip}', launch) for r in results for launch in r.launches)
    failing = {f.id for r in results for f in r.unaccepted}
    findings = [f for f in findings if f.id in failing]
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
        for name, reason, n in r.accepted:
            console.print(f'accepted: {r.title} on {r.chip}, {r.mode}: {n} finding{"" if n == 1 else "s"} of {name}: {reason}', soft_wrap=True)
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
