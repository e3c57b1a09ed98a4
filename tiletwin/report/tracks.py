"""Pipes under the names the vendor's profiler uses for its rows."""

from __future__ import annotations

from ..sim.result import CORES, Slice, Timeline

# Row order of the profiler; FLOWCTRL holds what stalls the scalar unit and with it every pipe.
TRACKS = {'S': 'SCALAR', 'V': 'VECTOR', 'M': 'CUBE', 'MTE1': 'MTE1', 'MTE2': 'MTE2', 'MTE3': 'MTE3', 'FIX': 'FIXP'}
FLOW = 'FLOWCTRL'
ROWS = (*TRACKS.values(), FLOW)


def track(s: Slice) -> str:
    """The row of a slice."""
    if s.kind != 'op' and s.pipe not in TRACKS or s.kind != 'op' and s.pipe == 'S':
        return FLOW
    return TRACKS[s.pipe]


def shares(timeline: Timeline) -> dict[tuple[str, str], float]:
    """(core, row) -> busy share of the block's time, for pipes that were busy at all."""
    total = timeline.cycles
    return {(core, TRACKS[pipe]): timeline.busy[core, pipe] / total for core in CORES for pipe in TRACKS
            if total and timeline.busy.get((core, pipe), 0.0) > 0}
