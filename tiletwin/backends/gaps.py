"""When the compiler, not the kernel, is at fault.

A developer-mode kernel has no flags of its own: a hazard in its compiled form is either in what the kernel says or in
what the passes of the real compiler leave out. The `sound` profile tells the two apart: a finding it does not have is a
gap of the compiler, and says so, with the work-around that is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Iterable

from ..passes.context import PassWarning
from ..sanitize.findings import Finding, Side, Verdict

FLOW = 'the kernel is fine: with what correctness needs inserted (profile sound) this finding is gone. A gap of the compiler breaks it'
_WORKSPACE = ('work-arounds: a reverse flag (T.set_cross_flag behind the read, T.wait_cross_flag before the next write: hybrid flag), a single shot per block, '
              'at least as many workspace slots as trips, or a later step that sends something back')
_STALE = 'work-around: put an operation on the whole tile right behind the copy, outside of any if or loop, so that the copy-back lands there'
_LAST = 'work-around: T.barrier_all() between the two accesses, or an order in which the store directly follows the load'
_SCALAR = 'work-around: T.barrier_all() before the scalar store'
_CROSS = 'work-around: make both cores reach the copy under the same condition and equally often'
_OVERRUN = 'work-around: an even number of rows per tile, padded by the copy'


def _key(f: Finding) -> tuple:
    return f.tool, f.word, tuple(sorted({s.region.split('[')[0] for s in f.sides}))


def workaround(f: Finding) -> str:
    regions = ' '.join(s.region for s in f.sides)
    pipes = {s.pipe for s in f.sides}
    if f.word == 'race' and 'workspace' in regions:
        return _WORKSPACE
    if f.word == 'uninit':
        return _STALE
    if f.word == 'oob':
        return _OVERRUN
    if f.word in ('deadlock', 'flag'):
        return _CROSS
    return _SCALAR if 'S' in pipes else _LAST


def changed_meaning(warnings: Iterable[PassWarning]) -> tuple[Finding, ...]:
    """Rewrites of a pass after which the program no longer does what its source says."""
    return tuple(Finding('passes', 'meaning', 'review', w.message, (Side('rewrites', w.pass_name, 'S', 'AIC', w.where, origin=w.pass_name),),
                         'the kernel is fine: the compiler changes what it computes', 'profile sound keeps the meaning; see the message for the form that survives')
                 for w in warnings if w.changes_meaning)


def blame(fork: Verdict, sound: Callable[[], Verdict]) -> Verdict:
    """The verdict with every finding marked that a right compiler would not have left."""
    ideal = None if fork.clean else sound()
    if ideal is None:
        return fork
    kept = {_key(f) for f in ideal.findings}
    return Verdict(tuple(f if f.tool == 'passes' or _key(f) in kept else replace(f, why=f'{FLOW}. {f.why}', fix=workaround(f)) for f in fork.findings))
