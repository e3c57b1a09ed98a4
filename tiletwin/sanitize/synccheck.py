"""synccheck: flags set twice or left set, counters that overflow, and deadlocks with their witness."""

from __future__ import annotations

from ..ir.nodes import Instr, walk
from ..ir.ops import PIPES
from ..sim.pipes import CoreState
from ..sim.schedule import Wait
from ..sim.steps import Step
from .findings import Finding, Side
from .source import At, Sites


class SyncCheck:
    def __init__(self, sites: Sites, chip):
        self.sites, self.chip = sites, chip
        self.out: dict[tuple, Finding] = {}

    def add(self, key: tuple, finding: Finding) -> None:
        self.out.setdefault(key, finding)

    def set_twice(self, core: CoreState, step: Step, event: int, earlier: int | None) -> None:
        name = _name(step.pipe, step.other, step.ident)
        at = At(core.events, event)
        sides = [self.sites.side('sets', at, 'set_flag', step.pipe, core.name, core.block)]
        if earlier is not None:
            sides.insert(0, self.sites.side('sets', At(core.events, earlier), 'set_flag', step.pipe, core.name, core.block))
        self.add(('twice', at.sid, core.name, name), Finding(
            'synccheck', 'flag', 'error', f'flag {name} on {core.name} is set again before anything waited for it', tuple(sides),
            'an event is one bit: a second set without a wait between them is undefined',
            f"a T.wait_flag('{PIPES[step.pipe].lower()}', '{PIPES[step.other].lower()}', {step.ident}) between the two, or another event id"))

    def left_set(self, core: CoreState, key: tuple, event: int) -> None:
        name = _name(*key)
        at = At(core.events, event)
        self.add(('left', at.sid, core.name, name), Finding(
            'synccheck', 'flag', 'error', f'flag {name} on {core.name} is still set when the kernel ends',
            (self.sites.side('sets', at, 'set_flag', key[0], core.name, core.block),),
            'the flag leaks into the next kernel on this core, whose first wait then passes too early',
            f"T.wait_flag('{PIPES[key[0]].lower()}', '{PIPES[key[1]].lower()}', {key[2]}) after the loop that uses it"))

    def overflow(self, core: CoreState, step: Step, sender: CoreState, event: int) -> None:
        at = At(sender.events, event)
        self.add(('overflow', at.sid, core.name), Finding(
            'synccheck', 'flag', 'error', f'cross flag {step.ident} is set more than {self.chip.cross_counter} times ahead of its wait',
            (self.sites.side('sets', at, 'set_cross_flag', step.pipe, sender.name, sender.block),),
            f'a cross flag counts to {self.chip.cross_counter}', 'let the producer wait for a flag the consumer sets back'))

    def stuck(self, waits: list[Wait]) -> None:
        sides: list[Side] = []
        lines = []
        for w in waits:
            what = _blocked_on(w.step)
            sides.append(self.sites.side('waits', At(w.core.events, w.event), w.step.op, w.pipe, w.core.name, w.core.block))
            if w.last_set is None:
                lines.append(f'{w.core.name} {PIPES[w.pipe]} waits for {what}, which nothing has set')
            else:
                setter, event = w.last_set if isinstance(w.last_set, tuple) else (w.core, w.last_set)
                at = At(setter.events, event)
                sides.append(self.sites.side('last set by', at, self.sites.static(at).instr.op, w.step.other if w.step.kind == 'wait' else w.pipe,
                                             setter.name, w.core.block))
                lines.append(f'{w.core.name} {PIPES[w.pipe]} waits for {what}, last set by {setter.name} and already consumed')
        key = tuple((w.core.events.sid(w.event), w.core.name, w.pipe) for w in waits)
        self.add(('deadlock', *key), Finding('synccheck', 'deadlock', 'error', 'deadlock: no core can go on: ' + '; '.join(lines[:6]), tuple(sides[:12]),
                                             'every pipe below waits for a flag that no running instruction will set',
                                             'give each wait exactly one set that can run before it, also for zero-trip loops and for both vector cores'))

    def too_many_blocks(self, blocks: int, program) -> None:
        """Blocks that wait for one another must all be on the chip at once."""
        for s in walk(program.body):
            if isinstance(s, Instr) and (s.op == 'sync_all' or s.op == 'set_cross_flag' and s.attrs.get('mode', 2) == 0):
                side = Side('waits', s.op, 'S', 'AIC', s.span, '', '', None, s.origin)
                self.add(('blocks', s.span), Finding(
                    'synccheck', 'deadlock', 'error', f'deadlock: {s.op} joins {blocks} blocks, the chip runs {self.chip.cube_cores} at a time', (side,),
                    'blocks of the second wave start only when one of the first has ended, which waits for them',
                    f'T.Kernel with at most {self.chip.cube_cores} blocks and a loop over the work inside'))

    def findings(self) -> list[Finding]:
        return list(self.out.values())


def _name(src: int, dst: int, ident) -> str:
    return f'{PIPES[src]}->{PIPES[dst]} {ident}'


def _blocked_on(step: Step) -> str:
    if step.kind == 'wait':
        return f'flag {_name(step.other, step.pipe, step.ident)}'
    if step.kind == 'cwait':
        return f'cross flag {step.ident}'
    if step.kind == 'sync_all':
        return 'the other cores at sync_all'
    return 'its pipes to drain'
