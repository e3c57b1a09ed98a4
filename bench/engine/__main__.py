"""`python -m bench.engine`: the speed figures of the engine with their targets."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog='python -m bench.engine', description=__doc__)
    parser.add_argument('--rounds', type=int, default=5, help='measurements per figure; the median counts (default 5)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the figures there')
    parser.add_argument('--only', choices=('maths', 'frontend', 'timing'), help='one of the tables')
    args = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    out: dict[str, list] = {}
    console = Console(width=118)
    if args.only in (None, 'maths'):
        from . import maths

        table = Table('launch: data, sanitizer, clock', 'engine ms', 'kept ms', 'torch ms', 'ratio', 'kept', 'target', 'verdict',
                      title='engine, measured')
        out['maths'] = []
        for subject in maths.subjects():
            r = maths.measure(subject, args.rounds)
            out['maths'].append(asdict(r))
            met = 'met' if r.ratio <= r.target else 'missed'
            table.add_row(r.name, f'{r.engine_ms:.0f}', f'{r.again_ms:.0f}', f'{r.torch_ms:.0f}', f'{r.ratio:.2f}', f'{r.again:.2f}',
                          f'<= {r.target:g} {met}', r.verdict if r.right else 'WRONG')
        console.print(table)
        console.print("'kept': the launch reuses the analysis and the generated code of the launch before it.")
    if args.only in (None, 'frontend'):
        from . import frontend

        table = Table('build', 'ms', 'target', title='front end, measured')
        out['frontend'] = []
        for b in frontend.measure(args.rounds):
            out['frontend'].append(asdict(b))
            table.add_row(b.name, f'{b.ms:.1f}', f'<= {b.target_ms:g} {"met" if b.ms <= b.target_ms else "missed"}')
        console.print(table)
    if args.only in (None, 'timing'):
        from . import timing

        table = Table('launch: sanitizer, clock', 'seconds', 'target', 'simulated', 'of events', 'verdict', title='timing without data, measured')
        out['timing'] = []
        for subject in timing.subjects():
            row = timing.measure(subject)
            out['timing'].append(asdict(row))
            met = 'met' if row.seconds <= row.target_s else 'missed'
            table.add_row(row.name, f'{row.seconds:.1f}', f'<= {row.target_s:g} {met}', str(row.simulated), str(row.events), row.verdict)
        console.print(table)
        console.print('Seconds of the processor, which one thread takes.')
    if args.json:
        args.json.write_text(json.dumps(out, indent=1) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
