"""The four questions of the first screen, each with one word and a few sentences."""

from __future__ import annotations

from dataclasses import dataclass

from ...harness.compare import Comparison, ModeResult
from ..compare import level, twins_text
from ..findings import counts
from ..limits import place, share
from .colours import WORK


@dataclass(frozen=True)
class Answer:
    question: str
    word: str
    tone: str  # 'good', 'doubt', 'bad' or 'plain'
    said: tuple[str, ...]


def answers(c: Comparison) -> list[Answer]:
    return [_right(c), _safe(c), _limit(c), _differs(c)]


def verdict(c: Comparison) -> tuple[str, str]:
    """The page in one word, and its tone."""
    right, safe = _right(c).tone, _safe(c).tone
    if right == 'bad':
        return ('not right and not safe' if safe == 'bad' else 'not right'), 'bad'
    return {'bad': ('right, but not safe', 'bad'), 'doubt': ('right, with reservations', 'doubt'), 'good': ('right and clean', 'good'),
            'plain': ('not run', 'plain')}[safe]


def _ran(c: Comparison) -> list[ModeResult]:
    return [m for m in c.modes if m.ran]


def _right(c: Comparison) -> Answer:
    said, bad = [], False
    for m in c.modes:
        if m.refusal is not None:
            said.append(f'{m.mode}: refused, {m.refusal.what}')
            bad = True
        elif m.ran:
            worst = max(m.numbers.values(), key=lambda n: n.max_abs)
            bad |= not m.ok
            said.append(f'{m.mode}: {f"inside {worst.policy}, max abs {worst.max_abs:.1e}" if m.ok else m.message}')
    if c.twins is not None:
        bad |= not c.twins.ok
        budget = '' if c.twins.bitwise else f' ({"inside" if c.twins.ok else "OUTSIDE"} {c.twins.policy})'
        said.append(twins_text(c).split(';')[0] + budget)
    return Answer('Is it right?', 'No' if bad else 'Yes', 'bad' if bad else 'good', tuple(said))


def _safe(c: Comparison) -> Answer:
    said, tones = [], []
    for m in _ran(c):
        word = level(c, m)
        tones.append('good' if word == 'clean' else 'bad' if word == 'error' else 'doubt')
        found = counts(m.verdict.findings)
        said.append(f'{m.mode}: ' + ('no race, no missing flag, no byte out of place' if word == 'clean' else f'{word}, {found}'))
    tone = 'bad' if 'bad' in tones else 'doubt' if 'doubt' in tones else 'good'
    if not tones:
        return Answer('Is it safe?', 'Not run', 'plain', ())
    return Answer('Is it safe?', {'bad': 'No', 'doubt': 'With reservations', 'good': 'Yes'}[tone], tone, tuple(said))


def _limit(c: Comparison) -> Answer:
    said = []
    for m in _ran(c):
        roof = m.limits.roofline.tightest
        reach = f'; {share(m.limits.roofline.fraction)} of what {roof.name} allows' if roof else ''
        said.append(f'{m.mode}: {m.limits.bound}{reach} (modelled)')
        if m.limits.helps:
            x = m.limits.helps[0]
            where = place(x.at or x.by)
            said.append(f'largest loss, {100 * x.share:.0f} % of the time of {x.pipe}{f", {where}" if where else ""}: {x.advice}')
    best = next((m for m in reversed(_ran(c))), None)
    if best is None:
        return Answer('What limits it?', 'Not run', 'plain', ())
    word = best.limits.bound.split(':')[0].split(',')[0]
    does = WORK.get(word.rpartition(' ')[2], ('',))[0]
    return Answer('What limits it?', f'{word} ({does})' if does else word, 'plain', tuple(said))


def _differs(c: Comparison) -> Answer:
    developer, expert = c.of('developer'), c.of('expert')
    if not (developer and expert and developer.ran and expert.ran):
        return Answer('What differs between the modes?', 'One mode', 'plain', (twins_text(c),))
    a, b = developer.cost, expert.cost
    said = [f'modelled time {a.microseconds:.2f} µs against {b.microseconds:.2f} µs', f'lines of code {a.lines} against {b.lines}']
    syncs = [sum(x.syncs.values()) for x in (a, b)]
    said.append(f'flags and barriers in the program {syncs[0]} against {syncs[1]}')
    memory = [(s, a.memory.get(s, 0), b.memory.get(s, 0)) for s in dict.fromkeys((*a.memory, *b.memory))]
    apart = max(memory, key=lambda row: abs(row[2] - row[1]), default=None)
    if apart and apart[1] != apart[2]:
        said.append(f'peak of {apart[0]} {apart[1] / 1024:.0f} KiB against {apart[2] / 1024:.0f} KiB')
    if (a.workspace or 0) != (b.workspace or 0):
        said.append(f'workspace {(a.workspace or 0) / 1024:.0f} KiB against {(b.workspace or 0) / 1024:.0f} KiB')
    if (a.gm_read, a.gm_written) != (b.gm_read, b.gm_written):
        said.append(f'GM bytes {(a.gm_read + a.gm_written) / 2 ** 20:.1f} MiB against {(b.gm_read + b.gm_written) / 2 ** 20:.1f} MiB')
    faster = c.speedup or 1.0
    word = 'equally fast'
    if not 0.995 < faster < 1.005:
        word = f'expert is {faster:.2f} times as fast' if faster > 1 else f'expert takes {1 / faster:.2f} times as long'
    return Answer('What differs between the modes?', word, 'plain', tuple(said))
