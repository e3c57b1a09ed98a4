"""initcheck: reads of on-chip memory nothing has written, and of GM tensors the launch allocated empty."""

from __future__ import annotations

import bisect

from ..sim.access import Access, Span2D
from ..sim.pipes import CoreState
from ..sim.steps import Step
from .cells import home
from .findings import Finding
from .racecheck import CACHE_OP
from .source import At, Sites


class Written:
    """Byte ranges written so far: sorted, disjoint."""

    def __init__(self):
        self.starts: list[int] = []
        self.stops: list[int] = []

    def add(self, lo: int, hi: int) -> bool:
        """False when all of it was written before."""
        if self.covers(lo, hi):
            return False
        i = bisect.bisect_left(self.stops, lo)
        j = bisect.bisect_right(self.starts, hi)
        if i < j:
            lo, hi = min(lo, self.starts[i]), max(hi, self.stops[j - 1])
        self.starts[i:j], self.stops[i:j] = [lo], [hi]
        return True

    def covers(self, lo: int, hi: int) -> bool:
        i = bisect.bisect_right(self.starts, lo) - 1
        return i >= 0 and self.stops[i] >= hi

    def missing(self, lo: int, hi: int) -> tuple[int, int]:
        """First stretch of [lo, hi) not written."""
        i = bisect.bisect_right(self.starts, lo) - 1
        if i >= 0 and self.stops[i] > lo:
            lo = self.stops[i]
            i += 1
        else:
            i += 1
        return lo, min(hi, self.starts[i]) if i < len(self.starts) else hi


def _runs(span: Span2D):
    return ((span.start + r * span.pitch, span.start + r * span.pitch + span.row_bytes) for r in range(span.rows))


class InitCheck:
    """On-chip memory is followed in issue order of its core; GM, and tiles other cores write, in the order of the simulation."""

    def __init__(self, sites: Sites, poisoned: frozenset[str], bridged: frozenset[str], lonely: frozenset[Access] = frozenset()):
        self.sites, self.bridged, self.lonely = sites, bridged, lonely
        self.poisoned = {f'GM:{name}' for name in poisoned}
        self.memories: dict[tuple, Written] = {}
        self.seen: set[tuple[int, int]] = set()
        self.found: dict[tuple, list] = {}
        self.grown = 0  # writes that reached bytes not written before

    def issued(self, core: CoreState, step: Step, event: int) -> None:
        self.check(core, step, event, on_chip=True)

    def executed(self, core: CoreState, pipe: int, know: list, seq: int, step: Step, event: int, order: int) -> None:
        self.check(core, step, event, on_chip=False)

    def check(self, core: CoreState, step: Step, event: int, on_chip: bool) -> None:
        if step.op == CACHE_OP:
            return  # it moves lines of the cache, whatever they hold
        key = (core.index, id(step), on_chip)
        if key in self.seen:
            return
        self.seen.add(key)
        reads = [a for a in step.accesses if a.mode != 'w' and self.followed(a, on_chip)]
        for a in reads:
            written = self.memory(core, a.span.memory)
            for lo, hi in _runs(a.span):
                if not written.covers(lo, hi):
                    self.seen.discard(key)
                    self.report(core, step, event, a, written.missing(lo, hi))
                    break
        for a in step.accesses:
            if a.mode != 'r' and self.followed(a, on_chip):
                written = self.memory(core, a.span.memory)
                for lo, hi in _runs(a.span):
                    self.grown += written.add(lo, hi)

    def followed(self, a: Access, on_chip: bool) -> bool:
        if a.span.memory.startswith('GM:'):
            return not on_chip and a.span.memory in self.poisoned and a not in self.lonely
        return on_chip != (a.buffer in self.bridged)

    def memory(self, core: CoreState, name: str) -> Written:
        return self.memories.setdefault(home(core, name), Written())

    def report(self, core: CoreState, step: Step, event: int, access, gap: tuple[int, int]) -> None:
        key = (core.events.sid(event), step.op, access.buffer, core.name)
        if key in self.found:
            self.found[key][0] += 1
        else:
            self.found[key] = [1, core, step, event, access, gap]

    def visit(self, v) -> None:
        """`state.visit`: what is written must not grow while a stretch repeats."""
        v.same((self.grown, len(self.found)))
        for entry in self.found.values():
            entry[0] = v.total(entry[0])

    def findings(self, racing: set[str]) -> list[Finding]:
        """Reads of a GM tensor that also races are left to racecheck: whether they see a value is what the race decides."""
        out = []
        for count, core, step, event, access, (lo, hi) in self.found.values():
            if access.span.memory in racing:
                continue
            side = self.sites.side('reads', At(core.events, event), step.op, step.pipe, core.name, core.block, access)
            gm = access.span.memory.startswith('GM:')
            why = ('the launch allocates outputs and workspaces with torch.empty: they hold anything' if gm
                   else 'on-chip memory holds whatever the last kernel left')
            if access.mode == 'a':
                fix = 'pass the destination of an accumulation in as a zeroed input instead of out_idx'
            elif step.op in ('mma', 'gemm_v0') and access.mode == 'm':
                fix = 'pass init=(k == 0), so that the first slice overwrites the accumulator'
            else:
                fix = f'write {access.buffer} before this line: a load, T.tile.fill, or a slice that stays inside what was loaded'
            out.append(Finding('initcheck', 'uninit', 'error', f'{core.name} {step.op} reads {hi - lo} bytes of {access.buffer} that nothing has written',
                               (side,), why, fix, f'{access.span.memory.replace("GM:", "GM ")} bytes [{lo}, {hi})', count))
        return out
