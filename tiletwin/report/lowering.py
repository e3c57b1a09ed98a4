"""A kernel pass by pass: the Program after each, what each changed, and what the pass configs of a kernel did."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterator

from ..errors import DialectError, EnvironmentError_
from ..ir.nodes import Instr, Program, walk
from ..ir.printer import text
from ..passes.context import AUTO_CV_COMBINE, AUTO_CV_SYNC, AUTO_SYNC, KEYS, MEMORY_PLANNING, PassWarning
from ..passes.pipeline import ORDER, Lowering
from ..sim.result import Launch

SOURCE = 'source'
# The pass a config switches; everything else runs in every mode.
SWITCHES = {AUTO_SYNC: 'sync_insert', MEMORY_PLANNING: 'memory_planning', AUTO_CV_COMBINE: 'combine_cv', AUTO_CV_SYNC: 'combine_cv'}
# Without its config memory planning still gives every tile an address, one behind the other.
LINEAR = 'addresses in order of declaration'


def stage_names() -> tuple[str, ...]:
    """Names of the passes in order; a pass that runs again is numbered: simplify, simplify:2."""
    seen: Counter[str] = Counter()
    out = []
    for step in ORDER:
        name = step.__name__.rpartition('.')[2]
        seen[name] += 1
        out.append(name if seen[name] == 1 else f'{name}:{seen[name]}')
    return tuple(out)


def known(name: str) -> str:
    if name != SOURCE and name not in stage_names():
        raise EnvironmentError_(f'no pass {name!r}', instead=f'{SOURCE} for what the passes start from, or one of ' + ', '.join(stage_names()))
    return name


@dataclass
class Stages:
    """The Programs of one lowering: (name, Program), the source first. `stopped` is the pass' refusal when there is one."""

    programs: list[tuple[str, Program]]
    warnings: list[PassWarning] = field(default_factory=list)
    stopped: DialectError | None = None

    def after(self, name: str) -> Program:
        for stage, program in self.programs:
            if stage == name:
                return program
        raise self.stopped or EnvironmentError_(f'the passes did not reach {name}')

    def steps(self) -> Iterator[tuple[str, str, Program, Program]]:
        """(name before, name, Program before, Program after) of each pass."""
        for (a, before), (b, program) in zip(self.programs, self.programs[1:]):
            yield a, b, before, program


def stages(lowering: Lowering, profile: str | None = None) -> Stages:
    """Every stage, up to the pass that refuses the kernel if one does."""
    trace: list[tuple[str, Program]] = []
    found: list[PassWarning] = []
    stopped = None
    try:
        lowering.lower(profile, trace, found)
    except DialectError as error:
        stopped = error
    return Stages([(SOURCE, lowering.source), *((name, program) for name, (_, program) in zip(stage_names(), trace))], found, stopped)


def shown(lowering: Lowering, after: str | None, profile: str | None) -> str:
    """The Program after a pass, or the one that runs."""
    name = known(after or stage_names()[-1])
    return text(stages(lowering, profile).after(name)).rstrip('\n')


def _unified(a: str, b: str, before: Program, program: Program) -> str:
    return '\n'.join(difflib.unified_diff(text(before).splitlines(), text(program).splitlines(), a, b, lineterm=''))


def changes(lowering: Lowering, after: str | None, profile: str | None) -> str:
    """What each pass changed, or only the pass `after`; passes that changed nothing are left out."""
    wanted = None if after is None else known(after)
    found = stages(lowering, profile)
    diffs = [_unified(a, b, before, program) for a, b, before, program in found.steps() if wanted in (None, b)]
    said = [f'warning: {w.message}' + (f' ({w.where})' if w.where else '') for w in found.warnings] if wanted is None else []
    stop = [f'stopped: {found.stopped}'] if found.stopped is not None else []
    nothing = f'{wanted} changed nothing' if wanted else 'no pass changed anything'
    return '\n'.join([*(d for d in diffs if d), *said, *stop]) or nothing


def profiles(lowering: Lowering, after: str | None) -> str:
    """Where the profiles differ: from what the real compiler makes to what correctness needs."""
    name = known(after or stage_names()[-1])
    fork, sound = (stages(lowering, p).after(name) for p in ('fork', 'sound'))
    return _unified(f'fork {name}', f'sound {name}', fork, sound) or f'fork and sound agree after {name}'


def render(launch: Launch, after: str | None = None, diff: bool = False, profile: str | None = None) -> str:
    """What `tiletwin lower` prints for a launched kernel."""
    if not (after or diff or profile):
        return text(launch.program).rstrip('\n')
    lowering = launch.lowering
    if profile == 'both':
        if not diff:
            raise EnvironmentError_('--profile both without --diff', instead='--diff --profile both, or one profile')
        return profiles(lowering, after)
    return changes(lowering, after, profile) if diff else shown(lowering, after, profile)


# -- pass configs -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Effect:
    """What one pass did to a kernel."""

    name: str
    config: str  # 'on', 'off', or '' for a pass no config switches
    changed: bool
    added: dict[str, int]  # kind -> how many more (or fewer) there are after it


def tally(program: Program) -> Counter[str]:
    """Statements and what the automatic passes add, counted over the text of the Program."""
    found: Counter[str] = Counter()
    for s in walk(program.body):
        found['statements'] += 1
        if isinstance(s, Instr):
            found['flags'] += s.op in ('set_flag', 'wait_flag')
            found['barriers'] += s.op in ('pipe_barrier', 'barrier_all', 'sync_all')
            found['cross flags'] += s.op in ('set_cross_flag', 'wait_cross_flag')
    found['workspaces'] = len(program.attrs.get('auto_gm', ()))
    found['buffers'] = len(program.buffers) - found['workspaces']
    found['addresses'] = sum(b.address is not None for b in program.buffers.values())
    return found


def effects(lowering: Lowering, profile: str | None = None) -> tuple[list[Effect], Stages]:
    found = stages(lowering, profile)
    out = []
    for _, name, before, program in found.steps():
        keys = [k for k, step in SWITCHES.items() if step == name]
        config = '' if not keys else 'on' if lowering.pass_configs.get(keys[0]) else 'off'
        a, b = tally(before), tally(program)
        out.append(Effect(name, config, text(before) != text(program), {k: b[k] - a[k] for k in b if b[k] != a[k]}))
    return out, found


def configs_document(lowering: Lowering, profile: str | None = None) -> dict[str, Any]:
    rows, found = effects(lowering, profile)
    return {'kernel': lowering.source.name, 'chip': lowering.chip, 'target': lowering.target, 'profile': profile or lowering.profile,
            'configs': {k: bool(lowering.pass_configs.get(k)) for k in KEYS}, 'passes': [vars(e) for e in rows],
            'warnings': [{'pass': w.pass_name, 'message': w.message, 'where': str(w.where) if w.where else '', 'changes_meaning': w.changes_meaning}
                         for w in found.warnings],
            'stopped': None if found.stopped is None else str(found.stopped)}


def configs_text(lowering: Lowering, profile: str | None = None) -> str:
    doc = configs_document(lowering, profile)
    lines = [f'{doc["kernel"]} on {doc["chip"]} ({doc["target"]}), profile {doc["profile"]}']
    lines += [f'  {"on" if on else "off":<4}{key}' for key, on in doc['configs'].items()]
    for e in doc['passes']:
        parts = [f'{n:+d} {kind}' for kind, n in e['added'].items()] or ['rewritten']
        what = ', '.join(parts) if e['changed'] else 'nothing'
        note = f'  ({LINEAR})' if e['name'] == 'memory_planning' and e['config'] == 'off' and e['changed'] else ''
        lines.append(f'  {e["name"]:<22}{what}{note}')
    lines += [f'  warning: {w["message"]}' + (f' ({w["where"]})' if w['where'] else '') for w in doc['warnings']]
    if doc['stopped']:
        lines.append(f'  stopped: {doc["stopped"]}')
    return '\n'.join(lines)
