"""What a trace says beside the instructions: a row of stalls under each pipe, and counters."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Callable, Mapping

from ..harness.memory_map import in_use, lives
from ..harness.stalls import WHYS, Stall
from ..sim.result import Timeline
from .limits import place
from .tracks import ROWS, TRACKS

# Behind all rows of the pipes, in their order.
_TID = {pipe: len(ROWS) + 1 + i for i, pipe in enumerate(TRACKS)}
Stalls = Mapping[tuple[str, str], list[Stall]]


def stall_rows(found: Stalls, core: str, pid: int) -> list[dict[str, Any]]:
    out = []
    for pipe, row in TRACKS.items():
        if found.get((core, pipe)):
            out += [{'ph': 'M', 'name': 'thread_name', 'pid': pid, 'tid': _TID[pipe], 'args': {'name': f'{row} stalls'}},
                    {'ph': 'M', 'name': 'thread_sort_index', 'pid': pid, 'tid': _TID[pipe], 'args': {'sort_index': _TID[pipe]}}]
    return out


def stall_slices(found: Stalls, pids: Mapping[str, int], us: Callable[[float], float]) -> list[dict[str, Any]]:
    out = []
    for (core, pipe), own in found.items():
        for x in own:
            name = 'next' if x.why in ('issue', 'sync') else 'flag'
            args = {'cycles': round(x.cycles, 3), name: x.name, 'waits at': place(x.at), 'ends at' if x.why == 'done' else 'set at': place(x.by),
                    'behind it': x.source}
            start = us(x.start)
            out.append({'ph': 'X', 'name': WHYS[x.why], 'cat': 'stall', 'pid': pids[core], 'tid': _TID[pipe], 'ts': start,
                        'dur': round(us(x.end) - start, 6), 'args': {k: v for k, v in args.items() if v != ''}})
    return out


def counters(timeline: Timeline, pids: Mapping[str, int], us: Callable[[float], float]) -> list[dict[str, Any]]:
    """GM bytes a cycle of each core, and the bytes of each memory that hold something."""
    rates: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for s in timeline.slices:
        if s.bytes and s.end > s.start:
            rates[s.core][s.start] += s.bytes / (s.end - s.start)
            rates[s.core][s.end] -= s.bytes / (s.end - s.start)
    out = []
    for core, changes in rates.items():
        rate = 0.0
        for time in sorted(changes):
            rate += changes[time]
            out.append(_counter('GM bytes a cycle', pids[core], us(time), round(max(rate, 0.0), 3)))
    memories = defaultdict(list)
    for x in lives(timeline):
        memories[x.memory].append(x)
    for memory, own in memories.items():
        core, space = memory.split()
        out += [_counter(f'{space} bytes in use', pids[core], us(time), held) for time, held in in_use(own)]
    return out


def _counter(name: str, pid: int, ts: float, value: float) -> dict[str, Any]:
    return {'ph': 'C', 'name': name, 'pid': pid, 'ts': ts, 'args': {'value': value}}
