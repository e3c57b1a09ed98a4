"""Claims about the modelled timeline of the longest block, and about what was counted."""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

from ...errors import Span
from ...ir.nodes import Program
from ...sim.result import Launch, Slice, Timeline
from .claim import Claim
from .programs import instructions

# The steady state is the middle of the block: neither the first loads nor the last stores.
STEADY = (0.2, 0.8)


def longest(launches: Sequence[Launch]) -> Timeline:
    return max((x.timeline for x in launches), key=lambda t: t.cycles)


def steady(timeline: Timeline, pipe: str) -> list[tuple[float, float]]:
    """Intervals in which a pipe ('AIC M') works, inside the steady state."""
    low, high = (share * timeline.cycles for share in STEADY)
    spans = ((max(s.start, low), min(s.end, high)) for s in timeline.slices if s.kind == 'op' and f'{s.core} {s.pipe}' == pipe)
    return sorted((a, b) for a, b in spans if a < b)


def length(spans: Sequence[tuple[float, float]]) -> float:
    """Of the union of sorted intervals."""
    total, end = 0.0, float('-inf')
    for a, b in spans:
        total += max(0.0, b - max(a, end))
        end = max(end, b)
    return total


def common(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> float:
    return length(one) + length(other) - length(sorted([*one, *other]))


def overlap(rule: str, second: str, first: str, share: float, *cases: str) -> Claim:
    """Of the time `first` works, `second` works too for at least `share`."""
    def instead(launches: Sequence[Launch]) -> str:
        timeline = longest(launches)
        a, b = steady(timeline, first), steady(timeline, second)
        found = common(a, b) / length(a) if a else 0.0
        return '' if found >= share else f'{found:.0%}'
    return Claim(rule, f'{second} busy while {first} busy, at least {share:.0%} of the steady state', 'timeline', instead, cases)


def kept_busy(rule: str, pipe: str, share: float, *cases: str) -> Claim:
    def instead(launches: Sequence[Launch]) -> str:
        timeline = longest(launches)
        found = length(steady(timeline, pipe)) / ((STEADY[1] - STEADY[0]) * timeline.cycles or 1.0)
        return '' if found >= share else f'{found:.0%}'
    return Claim(rule, f'{pipe} busy at least {share:.0%} of the steady state', 'timeline', instead, cases)


def started(timeline: Timeline, pipe: str, text: str = '') -> list[Slice]:
    """Operations of a pipe in the order they start; `text` stands in their source line."""
    found = [s for s in timeline.slices if s.kind == 'op' and f'{s.core} {s.pipe}' == pipe and (not text or s.span and text in s.span.excerpt())]
    return sorted(found, key=lambda s: s.start)


def products(rule: str, says: str, names: Mapping[str, str], wanted: Sequence[str], *cases: str) -> Claim:
    """The order in which products start, each called by what `names` says of the L1 tile its second operand came from."""
    def instead(launches: Sequence[Launch]) -> str:
        lines = {span: names.get(tile, tile) for span, tile in product_sources(launches[0].program).items()}
        found = [lines[s.span] for s in started(longest(launches), 'AIC M') if s.span in lines]
        return '' if found == list(wanted) else ' '.join(f'{n} x {k}' for k, n in _runs(found)) or 'no product'
    return Claim(rule, says, 'timeline', instead, cases)


def product_sources(p: Program) -> dict[Span | None, str]:
    """By the line of a product: the tile that was copied to its second operand before it."""
    loaded: dict[str, str] = {}
    found = {}
    for s in instructions(p, 'copy', 'mma'):
        if s.op == 'copy':
            loaded[s.args[1].buffer] = s.args[0].buffer
        else:
            found[s.span] = loaded.get(s.args[1].buffer, s.args[1].buffer)
    return found


def _runs(items: Iterable[str]) -> list[tuple[str, int]]:
    runs: list[tuple[str, int]] = []
    for item in items:
        runs[-1:] = [(item, runs[-1][1] + 1)] if runs and runs[-1][0] == item else runs[-1:] + [(item, 1)]
    return runs


def in_flight(rule: str, says: str, stores: tuple[str, str, int], loads: tuple[str, str, int], most: int, *cases: str) -> Claim:
    """Tiles between their first store and their last load: at least two, at most `most`. (pipe, text of the line, operations per tile)"""
    def instead(launches: Sequence[Launch]) -> str:
        timeline = longest(launches)
        pipe, text, n = stores
        into = started(timeline, pipe, text)[::n]
        pipe, text, n = loads
        out = started(timeline, pipe, text)[n - 1::n]
        now = peak = 0
        for _, step in sorted([(s.start, 1) for s in into] + [(s.end, -1) for s in out]):
            now += step
            peak = max(peak, now)
        return '' if into and len(into) == len(out) and 2 <= peak <= most else f'{len(into)} stored, {len(out)} read, {peak} at once'
    return Claim(rule, says, 'timeline', instead, cases)


def one_by_one(rule: str, says: str, chain: Sequence[tuple[str, str]], *cases: str) -> Claim:
    """Operations (pipe, text of the line) take turns: each starts when the one before it has ended, round after round."""
    def instead(launches: Sequence[Launch]) -> str:
        found = [started(longest(launches), *link) for link in chain]
        if not found[0] or len({len(f) for f in found}) > 1:
            return ', '.join(f'{len(f)} x {link[1]}' for f, link in zip(found, chain))
        turns = [s for turn in zip(*found) for s in turn]
        early = [b for a, b in zip(turns, turns[1:]) if b.start < a.end]
        return f'{early[0].span.excerpt()} before its turn' if early else ''
    return Claim(rule, says, 'timeline', instead, cases)


def peak(rule: str, space: str, size: int, *cases: str) -> Claim:
    """The allocator's report."""
    def instead(launches: Sequence[Launch]) -> str:
        found = max(x.memory.get(space, 0) for x in launches)
        return '' if found == size else f'{found / 1024:g} KiB'
    return Claim(rule, f'{space} holds {size / 1024:g} KiB', 'counts', instead, cases)


def written(rule: str, size: int, *cases: str) -> Claim:
    """Every byte that leaves the cores, once."""
    def instead(launches: Sequence[Launch]) -> str:
        found = sum(x.gm_written for x in launches)
        return '' if found == size else f'{found} bytes'
    return Claim(rule, f'{size} bytes are written to GM, none of them twice', 'counts', instead, cases)
