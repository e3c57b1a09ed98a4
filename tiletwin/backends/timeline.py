"""The timeline of one block, spelled out from what the event simulation noted."""

from __future__ import annotations

import functools

from ..ir.ops import PIPES
from ..sim.issue import Static
from ..sim.repeat import spelled, weighed
from ..sim.result import Arrow, Slice, Timeline, Touch
from ..sim.schedule import Outcome, flag_name


def timeline(out: Outcome, block: int, statics: list[Static]) -> Timeline:
    mine = {c.index: c.name for c in out.cores if c.block == block}
    busy = {(c.name, PIPES[p]): c.busy[p] for c in out.cores if c.index in mine for p in range(len(PIPES)) if c.busy[p]}
    streams = {c.index: c.events for c in out.cores}

    @functools.cache
    def touched(core, accesses):
        places = ((a, a.span.memory.partition('@')) for a in accesses if not a.span.memory.startswith('GM:'))
        return tuple(Touch(f'{owner or core} {space}', a.span.start, a.span.stop, a.mode, a.buffer) for a, (space, _, owner) in places)

    def slice_of(raw: tuple, moves: tuple = ()) -> Slice:
        core, p, start, end, step, event, kind, issued, setter = raw
        for n, (later, longer, handed), events in moves:
            start, end, issued, event = start + n * later, end + n * longer, issued + n * handed, event + n * events[core]
        key, values = streams[core][event]
        static = statics[key[0]]
        loop = ', '.join(f'{n}={v}' for n, v in zip(static.loops, values))
        flag, set_at = '', None
        if kind == 'wait':
            # A cross flag also says which core set it.
            source, at = setter if isinstance(setter, tuple) else (out.cores[core], setter)
            flag, set_at = flag_name(step), statics[source.events.sid(at)].span
        return Slice(mine[core], PIPES[p], start, end, step.op, static.span, loop, kind, step.gm_read + step.gm_written, step.latency, issued,
                     flag, set_at, touched(mine[core], step.accesses) if step.accesses else ())

    def build() -> tuple[list[Slice], list[Arrow]]:
        slices, position = [], {}
        for i, (raw, moves) in enumerate(spelled(out.slices)):
            if raw[0] in mine:
                position[i] = len(slices)
                slices.append(slice_of(raw, moves))
        arrows = []
        for (source, target, name), moves in spelled(out.arrows):
            for n, (later, after), _ in moves:
                source, target = source + n * later, target + n * after
            if source in position and target in position:
                arrows.append(Arrow(position[source], position[target], name))
        return slices, arrows

    def weigh() -> list[tuple[Slice, int]]:
        return [(slice_of(raw), times) for raw, times in weighed(out.slices) if raw[0] in mine]

    def count() -> int:
        return sum(times for raw, times in weighed(out.slices) if raw[0] in mine)

    return Timeline(cycles=out.cycles, busy=busy, build=build, weigh=weigh, count=count)
