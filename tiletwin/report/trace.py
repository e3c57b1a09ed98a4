"""A launch as a Chrome JSON trace, with the vendor profiler's row names; opens in Perfetto, chrome://tracing and MindStudio Insight.

Below the rows of the pipes stand their stalls by cause, and counters of the bytes moved and of the memories in use.
"""

from __future__ import annotations

import json
from typing import Any

from ..harness.stalls import stalls
from ..machine.chip import chip as chip_of
from ..sim.result import CORES, Launch, Slice
from .findings import show_path
from .trace_stalls import counters, stall_rows, stall_slices
from .tracks import ROWS, track

_PID = {core: i + 1 for i, core in enumerate(CORES)}
_TID = {row: i + 1 for i, row in enumerate(ROWS)}


def chrome(launch: Launch) -> dict[str, Any]:
    """The longest block of the launch: a process per core, a thread per pipe, an arrow per flag."""
    chip, timeline = chip_of(launch.chip), launch.timeline

    def us(cycles: float) -> float:
        return round(chip.microseconds(cycles), 6)

    events: list[dict[str, Any]] = []
    found = stalls(timeline)
    block = next(s.blocks[0] for s in launch.streams if s.timeline is timeline)
    for core in CORES:
        used = {track(s) for s in timeline.slices if s.core == core}
        if not used:
            continue
        pid = _PID[core]
        events.append({'ph': 'M', 'name': 'process_name', 'pid': pid, 'args': {'name': f'{core} (block {block})'}})
        events.append({'ph': 'M', 'name': 'process_sort_index', 'pid': pid, 'args': {'sort_index': pid}})
        for row in ROWS:
            if row in used:
                events.append({'ph': 'M', 'name': 'thread_name', 'pid': pid, 'tid': _TID[row], 'args': {'name': row}})
                events.append({'ph': 'M', 'name': 'thread_sort_index', 'pid': pid, 'tid': _TID[row], 'args': {'sort_index': _TID[row]}})
        events += stall_rows(found, core, pid)
    for s in timeline.slices:
        start = us(s.start)
        events.append({'ph': 'X', 'name': s.op, 'cat': s.kind, **_place(s), 'ts': start, 'dur': round(us(s.end) - start, 6), 'args': _args(s)})
    for i, arrow in enumerate(timeline.arrows):
        source, target = timeline.slices[arrow.source], timeline.slices[arrow.target]
        common = {'name': arrow.name, 'cat': 'flag', 'id': i}
        # A flow event belongs to the slice it lies in, so the tail lies just inside the slice that set the flag.
        events.append({'ph': 's', **common, **_place(source), 'ts': us(source.start + 0.999 * (source.end - source.start))})
        tip = target.end if target.kind == 'wait' else target.start
        events.append({'ph': 'f', 'bp': 'e', **common, **_place(target), 'ts': us(tip)})
    events += stall_slices(found, _PID, us)
    events += counters(timeline, _PID, us)
    return {
        'displayTimeUnit': 'ns',
        'otherData': {
            'timing': 'modelled', 'kernel': launch.program.name, 'chip': launch.chip, 'title': chip.title, 'clock_mhz': chip.clock_mhz,
            'target': launch.target, 'blocks': launch.blocks, 'block': block, 'block_cycles': timeline.cycles, 'launch_cycles': launch.cycles,
            'launch_us': round(launch.microseconds, 6), 'verdict': launch.verdict.level,
        },
        'traceEvents': events,
    }


def _place(s: Slice) -> dict[str, int]:
    return {'pid': _PID[s.core], 'tid': _TID[track(s)]}


def _args(s: Slice) -> dict[str, Any]:
    args: dict[str, Any] = {'cycles': round(s.end - s.start, 3)}
    if s.span is not None:
        args['source'] = f'{show_path(s.span.file)}:{s.span.line}'
        text = s.span.excerpt()
        if text:
            args['line'] = text
    if s.loop:
        args['loop'] = s.loop
    if s.bytes:
        args['bytes'] = s.bytes
    return args


def dumps(launch: Launch) -> str:
    """One event per line, so that two traces can be compared with diff."""
    trace = chrome(launch)
    head = json.dumps({k: v for k, v in trace.items() if k != 'traceEvents'}, sort_keys=True)
    lines = ',\n'.join(json.dumps(e, sort_keys=True) for e in trace['traceEvents'])
    return f'{head[:-1]}, "traceEvents": [\n{lines}\n]}}\n'
