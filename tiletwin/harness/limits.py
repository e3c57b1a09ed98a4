"""What limits a call: the pipe or the memory that is busiest, what keeps that pipe from working, and what would help."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Sequence

from ..errors import Span
from ..machine.chip import chip as chip_of
from ..sim.result import Launch, Timeline
from .critical import pipe_name
from .roofline import Roofline, roofline
from .stalls import Stall, gaps, percentile, stalls

SCALAR = ' S'
# Of the way of data through a core: a flag against this order says that a buffer is free again.
_FLOW = {'MTE2': 0, 'MTE1': 1, 'V': 1, 'M': 2, 'MTE3': 2, 'FIX': 3}
_ROUTES = {'AIC MTE2': 'gm_to_l1', 'AIV MTE2': 'gm_to_ub', 'AIV MTE3': 'ub_to_gm', 'AIC FIX': 'l0c_to_gm'}
ELSEWHERE = 'another launch'  # a pipe without work in one launch of a call
_WORKING = 0.5  # a pipe that works less than this share of the block does not limit it, waiting does


@dataclass(frozen=True, slots=True)
class Pipe:
    """One pipe over the longest blocks of the launches; of two vector cores the busier one. Shares of the time of the blocks."""

    name: str  # 'AIC MTE2'
    busy: float
    stalls: dict[str, float]  # WHYS -> share
    gaps: tuple[float, float, float]  # p50, p90, p99 of the pauses between two operations, in cycles


@dataclass(frozen=True, slots=True)
class Lost:
    """Stalls of one pipe with one cause on one line."""

    pipe: str
    why: str
    name: str
    at: Span | None
    by: Span | None
    source: str
    cycles: float
    share: float  # of the time of the blocks
    count: int

    @property
    def advice(self) -> str:
        return _advice(self)


@dataclass(frozen=True, slots=True)
class Limits:
    bound: str  # 'AIC MTE2, HBM bandwidth'
    roofline: Roofline
    pipes: tuple[Pipe, ...]  # busiest first, the scalar units last
    helps: tuple[Lost, ...]  # the three largest losses of the pipe that limits
    outside: float  # share of the launches that lies before and behind the blocks


def limits(launches: Sequence[Launch]) -> Limits:
    total = sum(launch.timeline.cycles for launch in launches) or 1.0
    busy: dict[str, float] = defaultdict(float)
    found: dict[str, list[Stall]] = defaultdict(list)
    between: dict[str, list[float]] = defaultdict(list)
    parts = [_pipes(launch.timeline) for launch in launches]
    names = dict.fromkeys(name for part in parts for name in part)
    for launch, part in zip(launches, parts):
        for name in names:
            idle = Stall(*name.split(), 0.0, launch.timeline.cycles, 'done', ELSEWHERE)
            cycles, own, apart = part.get(name, (0.0, [idle], []))
            busy[name] += cycles
            found[name] += own
            between[name] += apart
    pipes = [Pipe(name, busy[name] / total, _by_cause(found[name], total), tuple(percentile(sorted(between[name]), p) for p in (50, 90, 99)))
             for name in busy]
    pipes.sort(key=lambda p: (p.name.endswith(SCALAR), -p.busy, p.name))
    top = max(pipes, key=lambda p: (p.busy, p.name), default=None)
    outside = max(0.0, 1 - sum(_inside(launch) for launch in launches) / (sum(launch.cycles for launch in launches) or 1.0))
    roofs = roofline(launches)
    return Limits(_bound(top, launches, roofs, outside), roofs, tuple(pipes), _largest(top.name, found[top.name], total) if top else (), outside)


def _pipes(timeline: Timeline) -> dict[str, tuple[float, list[Stall], list[float]]]:
    """Of two vector cores the one that does more."""
    out: dict[str, tuple] = {}
    between = gaps(timeline)
    for (core, pipe), own in stalls(timeline).items():
        # What the scalar unit does besides waiting is to issue.
        cycles = timeline.busy.get((core, pipe), 0.0) if pipe != 'S' else timeline.cycles - sum(x.cycles for x in own)
        name = pipe_name(core, pipe)
        if name not in out or cycles > out[name][0]:
            out[name] = (cycles, own, between.get((core, pipe), []))
    return out


def _by_cause(found: list[Stall], total: float) -> dict[str, float]:
    sums: Counter = Counter()
    for x in found:
        sums[x.why] += x.cycles
    return {why: cycles / total for why, cycles in sorted(sums.items(), key=lambda kv: (-kv[1], kv[0]))}


def _largest(name: str, found: list[Stall], total: float, wanted: int = 3) -> tuple[Lost, ...]:
    groups: dict[tuple, list[Stall]] = defaultdict(list)
    for x in found:
        if x.why != 'sync':
            # One wait passes through several causes: the other pipe works, its data land, the flag travels.
            why = 'flag' if x.why in ('flag', 'landing', 'travel') else x.why
            groups[why, x.name if x.why != 'issue' else '', x.at, x.by, pipe_name(*x.source.split()) if x.source else ''].append(x)
    lost = []
    for (why, what, at, by, source), own in groups.items():
        parts: Counter = Counter()
        for x in own:
            parts[x.why] += x.cycles
        cycles = sum(parts.values())
        most = min(parts, key=lambda w: (-parts[w], w))
        # The parts of one wait follow one another without a gap.
        count = len(own) - sum(a.end == b.start and why == 'flag' for a, b in zip(own, own[1:]))
        lost.append(Lost(name, most, what, at, by, source, cycles, cycles / total, count))
    return tuple(sorted(lost, key=lambda x: (-x.cycles, x.why, str(x.at)))[:wanted])


def _inside(launch: Launch) -> float:
    """Cycles of the blocks on the core that has most; blocks go round the cores."""
    cores = chip_of(launch.chip).cube_cores
    load = [0.0] * cores
    for stream in launch.streams:
        for block in stream.blocks:
            load[block % cores] += stream.timeline.cycles
    return max(load)


# -- the bound -----------------------------------------------------------------------------------------------------------
def _bound(top: Pipe | None, launches: Sequence[Launch], roofs: Roofline, outside: float) -> str:
    if outside > _WORKING:
        return 'the launch itself: more time passes before and behind the blocks than in them'
    if top is None:
        return 'nothing: no pipe has work'
    if top.busy < _WORKING:
        return f'waiting: no pipe works half of the time, {top.name} works most'
    if top.name.endswith(SCALAR):
        return f'{top.name}, issue by the scalar unit'
    reason = _memory(top.name, launches, roofs)
    return f'{top.name}, {reason}' if reason else top.name


def _memory(name: str, launches: Sequence[Launch], roofs: Roofline) -> str:
    """What holds a pipe that moves GM bytes."""
    route = _ROUTES.get(name)
    if route is None or not roofs.bytes:
        return ''
    shared = {'HBM bandwidth': ('HBM',), 'L2 bandwidth': ('L2 read', 'L2 write')}
    used = {reason: sum(r.microseconds for r in roofs.roofs if r.name in names) / roofs.microseconds for reason, names in shared.items()}
    reason = max(used, key=lambda r: used[r])
    if used[reason] >= _WORKING:
        return reason
    chip = chip_of(launches[0].chip)
    moved = busy = 0.0
    for launch in launches:
        moved += sum(s.bytes * times for s, times in launch.timeline.weighted if pipe_name(s.core, s.pipe) == name)
        busy += sum(cycles for (core, pipe), cycles in launch.timeline.busy.items() if pipe_name(core, pipe) == name)
    reads = sum(launch.traffic.hbm_read + launch.traffic.l2_read for launch in launches) or 1.0
    missed = sum(launch.traffic.hbm_read for launch in launches) / reads if name.endswith('MTE2') else 0.0
    fastest = moved * ((1 - missed) / chip.constants[f'{route}.cap'] + missed / min(chip.constants['gm.hbm_core'], chip.constants[f'{route}.cap']))
    return 'what one core can move' if fastest >= 0.7 * busy else 'short rows or small transfers: their fixed cost'


# -- what would help -----------------------------------------------------------------------------------------------------
def _advice(x: Lost) -> str:
    core, _, pipe = x.pipe.partition(' ')
    if x.name == ELSEWHERE:
        return f'{pipe} has no work in another launch of this call: look at what limits that one'
    if x.why == 'flag' and '->' in x.name:
        source, target = x.name.split(' ')[0].split('->')
        if _FLOW.get(source, 0) >= _FLOW.get(target, 0):
            return f'{pipe} waits until {source} has freed a buffer: one more slot of that buffer lets {pipe} run ahead'
        return f'{pipe} waits for data of {source}: start that {source} work earlier (prefetch one more step), or make it shorter'
    if x.why in ('flag', 'travel', 'held') and x.name.startswith('cross'):
        return f'{core} waits for the other core of the block: hand over earlier, or keep one more tile in flight between them'
    return {
        'flag': f'{pipe} waits for {x.source or "another pipe"}: give it independent work before the wait',
        'landing': 'the last bytes of a transfer are still under way: work on another buffer meanwhile',
        'travel': 'a cross flag is under way: hand over more work per flag',
        'barrier': f'{x.name} stops the scalar unit and with it every pipe: flags between the pipes that need the order let the others go on',
        'held': f'{x.name} stops the scalar unit and with it every pipe: flags between the pipes that need the order let the others go on',
        'issue': f'the scalar unit has not got to the next {pipe} instruction: fewer and larger instructions, or issue this one earlier',
        'done': f'{pipe} has finished and the block waits for {x.source}: smaller last steps, or the next tile started meanwhile',
    }[x.why]
