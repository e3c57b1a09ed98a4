"""`tiletwin diff`: the figures of the working tree against a baseline or a revision."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import EnvironmentError_
from .common import CLEAN, FOUND, USAGE, document, json_option

ABOUT = 'what a change does to modelled figures, verdicts and synchronisation: before against after, developer against expert'


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('before', nargs='?', default='baseline', metavar='REV|baseline',
                        help='a revision whose committed baselines are before; default the baselines of the working tree')
    parser.add_argument('--op', action='append', default=[], metavar='OP', help='only this operator; may be given again')
    parser.add_argument('--changed-since', metavar='REV', help='run only operators that a change since this revision touches')
    parser.add_argument('--baselines', metavar='DIR', help='default bench/baselines beside ops')
    parser.add_argument('--junit', metavar='FILE', help='also write one JUnit test case a record')
    form = parser.add_mutually_exclusive_group()
    json_option(form)
    form.add_argument('--markdown', action='store_true', help='for a pull request')


def run(args: argparse.Namespace) -> int:
    from ..harness.baseline import at_revision, default_folder, read, refuse_damage, write_atomically
    from ..harness.bench import Request, jobs, run as run_jobs
    from ..harness.drift import drifts
    from ..report import drift as changes
    from ..report.console import make_console

    folder = Path(args.baselines) if args.baselines else default_folder()
    if args.junit and not Path(args.junit).resolve().parent.is_dir():
        raise EnvironmentError_(f'no folder {str(Path(args.junit).parent)!r}', instead='an existing folder for --junit')
    recorded = read(folder)
    refuse_damage(recorded)
    before = recorded if args.before == 'baseline' else at_revision(args.before, folder)
    refuse_damage(before)
    if not before.records:
        raise EnvironmentError_(f'no baselines in {folder}', why='there is nothing to compare with', instead='tiletwin bench --refresh-baseline')
    request = Request(tuple(args.op), since=args.changed_since)
    done = run_jobs(jobs(request))
    after = {r.key: r for r in done}
    old = before.records if request.whole and not done.left else {k: v for k, v in before.records.items() if k in after}
    found = drifts(old, after, None if args.before == 'baseline' else recorded.records)
    status = FOUND if any(d.unexpected for d in found) else CLEAN
    if args.junit:
        write_atomically(Path(args.junit), changes.junit(found))
    if args.json:
        document('diff', status=status, before=args.before, records=[changes.document(d) for d in found])
    elif args.markdown:
        print(changes.markdown(found))
    else:
        changes.print_drifts(make_console(), found)
        if status == FOUND:
            print('If this is what the change should do: tiletwin bench --refresh-baseline')
    if done.left:
        print(f'tiletwin: {done.note}', file=sys.stderr)
        return USAGE
    return status
