"""`tiletwin bench`: modelled figures of operators on the shapes they were written for, and their baselines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import EnvironmentError_
from .common import CLEAN, FOUND, USAGE, document, ended, json_option

ABOUT = 'model every operator on its source shapes; compare with the committed baselines, or write them'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('what', nargs='*', metavar='OP', help='operators of `tiletwin list`; default all')
    parser.add_argument('--arch', metavar='CHIP', help='a2, a3 or a5; default every chip of an operator')
    parser.add_argument('--mode', default='developer,expert', metavar='MODES', help='default developer,expert')
    parser.add_argument('--changed-since', metavar='REV', help='only operators that a change since this revision touches, imports followed')
    parser.add_argument('--refresh-baseline', action='store_true', help='write what changed into the baselines, and show it')
    parser.add_argument('--baselines', metavar='DIR', help='default bench/baselines beside ops')
    parser.add_argument('--backend', choices=('simulator', 'ascend'), default='simulator',
                        help='ascend: run on the NPU of this machine and write measured records; default the simulator')
    parser.add_argument('--measured', metavar='FILE', help='where measured records are added; default bench/measured.jsonl beside ops')
    parser.add_argument('--repeat', type=int, default=50, metavar='N', help='with --backend ascend: timed launches of a case (default 50)')
    form = parser.add_mutually_exclusive_group()
    json_option(form)
    form.add_argument('--markdown', action='store_true', help='tables for a page or a pull request')


def modes_of(text: str) -> tuple[str, ...]:
    from ..harness.bench import MODES

    modes = tuple(text.split(','))
    if not set(modes) <= set(MODES) or len(set(modes)) < len(modes):
        raise EnvironmentError_(f'--mode {text}', instead='developer, expert or developer,expert')
    return modes


def _measure(args: argparse.Namespace) -> int:
    from ..harness.baseline import default_folder, read
    from ..harness.bench import Request
    from ..harness.measured import default_file, run as run_measured
    from ..report import measured as show
    from ..report.console import make_console

    if args.refresh_baseline:
        raise EnvironmentError_('--refresh-baseline with --backend ascend', why='baselines hold modelled figures', instead='one of the two')
    if args.repeat < 1:
        raise EnvironmentError_(f'--repeat {args.repeat}', instead='a positive number')
    path = Path(args.measured) if args.measured else default_file()
    done = run_measured(Request(tuple(args.what), modes_of(args.mode), args.arch, args.changed_since), path, args.repeat)
    if args.json:
        document('bench', measured=[show.record_document(m) for m in done], written=str(path))
    else:
        folder = Path(args.baselines) if args.baselines else default_folder()
        show.print_measured(make_console(), list(done), {k: r.figures['us'] for k, r in read(folder).records.items() if 'us' in r.figures})
        print(f'added to {path}')
    return ended(done, FOUND if any(m.ok is False for m in done) else CLEAN)


def run(args: argparse.Namespace) -> int:
    if args.backend == 'ascend':
        return _measure(args)
    from ..backends.choose import simulated

    simulated('tiletwin bench without --backend ascend')
    from ..harness.baseline import default_folder, read, refresh, refuse_damage
    from ..harness.bench import Request, jobs, run as run_jobs
    from ..harness.drift import drifts
    from ..report import bench as show, drift as changes
    from ..report.console import make_console

    request = Request(tuple(args.what), modes_of(args.mode), args.arch, args.changed_since)
    folder = Path(args.baselines) if args.baselines else default_folder()
    work = jobs(request)
    before = read(folder)
    # Before anything runs: a long benchmark must not end in a file that cannot be written.
    if args.refresh_baseline:
        refuse_damage(before)
    done = run_jobs(work)
    records = {r.key: r for r in done}
    # Of a whole benchmark, what has a baseline and no longer runs is gone.
    known = before.records if request.whole and not done.left else {k: v for k, v in before.records.items() if k in records}
    found = drifts(known, records)
    written = refresh(folder, records.values(), [d.key for d in found if d.state == 'gone']) if args.refresh_baseline else []
    console = make_console()
    if args.json:
        document('bench', records=[show.document(r) for r in records.values()], drift=[changes.document(d) for d in found if d.state != 'same'],
                 damage=[str(d) for d in before.damage], written=[str(p) for p in written])
    elif args.markdown:
        print(show.markdown(list(records.values())) + '\n\n' + changes.markdown(found))
    else:
        show.print_records(console, list(records.values()))
        console.print()
        changes.print_drifts(console, found)
        for path in written:
            console.print(f'wrote {path}', soft_wrap=True, markup=False)
    for damage in before.damage:
        print(f'tiletwin: damaged baseline {damage}', file=sys.stderr)
    if done.left:
        print(f'tiletwin: {done.note}', file=sys.stderr)
        return USAGE
    bad = any('refused' in r.figures or r.figures.get('numbers.ok') == 'no' or r.figures.get('verdict') in ('error', 'incomplete') for r in records.values())
    differs = not args.refresh_baseline and (before.damage or any(d.state != 'same' for d in found))
    return FOUND if bad or differs else CLEAN
