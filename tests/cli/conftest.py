"""A registry of made-up operators and a made-up simulator: the command line alone is under test."""

import sys
from contextlib import contextmanager, nullcontext
from types import ModuleType, SimpleNamespace

import pytest

from tiletwin.errors import CapacityError
from tiletwin.harness.contract import Form
from tiletwin.harness.precision import Comparison
from tiletwin.ir.nodes import Launch as Frame, Program
from tiletwin.ir.expr import Const, Var
from tiletwin.passes.pipeline import Lowering
from tiletwin.sanitize.findings import Finding, Verdict
from tiletwin.sim.result import Launch, Stream, Timeline


def finding(severity, word='race'):
    return Finding('racecheck', word, severity, f'a {severity}')


def launch(*findings, chip='a3', name='k', cycles=1850.0):
    timeline = Timeline([], [], cycles, {('AIV0', 'V'): cycles / 2})
    program = Program(name, (), {}, Frame(Var('cid', 'int32'), Var('vid', 'int32'), Const(1), 'cid_vid'), ())
    return Launch(program, chip, 'ascendc', 1, [Stream((0,), timeline)], cycles, cycles / 1850, Verdict(tuple(findings)),
                  lowering=Lowering(program, {}, 'ascendc', chip, 'fork'))


class Operator:
    def __init__(self, name, outcome, chips=('a2', 'a3'), modes=('expert',), cases=('small', 'big'), waivers=()):
        self.name, self.outcome, self.chips, self.modes = name, outcome, chips, modes
        self.variant = SimpleNamespace(twins='bitwise', reviews={}, waivers=waivers,
                                       formula='y = x', topology='vec-only', priority='P0', form=lambda mode: Form(),
                                       accepts=lambda f: any(w.covers(f) for w in waivers))
        self.cases = [SimpleNamespace(name=c.rstrip('*'), purpose='source', chips=('a2',) if c == 'old' else (), slow=c.endswith('*')) for c in cases]
        self.ran = []

    def run_case(self, case, mode, arch):
        self.ran.append((case.name, mode, arch))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        ok, findings = self.outcome
        numbers = Comparison('bitwise', ok, *[0.0 if ok else 0.5] * 4, 0 if ok else 1, 4, None, {'0': 4})
        return SimpleNamespace(case=case, launches=[launch(*findings, chip=arch, cycles=1850.0 if mode == 'expert' else 3700.0)], ok=ok,
                               message='' if ok else 'max abs error 0.5', seconds=0.1, metrics={'output 0': numbers}, outputs=(), variant=self.variant,
                               shown=())


@pytest.fixture
def operators(monkeypatch):
    known = {o.name: o for o in (
        Operator('clean', (True, ())), Operator('wrong', (False, ())), Operator('racy', (True, (finding('error'),))),
        Operator('doubtful', (True, (finding('review'),))), Operator('partial', (True, (finding('incomplete', 'unmodelled'),))),
        Operator('big', CapacityError('UB overflow on a3')), Operator('new', (True, ()), chips=('a5',)),
        Operator('mixed', (True, ()), cases=('quick', 'huge*', 'old')),
        Operator('vouched', (True, (finding('error'),)),
                 waivers=(SimpleNamespace(name='gu', reason='it is idempotent', covers=lambda f: f.word == 'race'),)),
        Operator('automatic', (True, ()), modes=('developer',)), Operator('both', (True, ()), modes=('developer', 'expert'), cases=('small',)),
    )}
    registry = ModuleType('tiletwin.harness.registry')
    registry.operators = lambda: known
    registry.platform = registry.quiet_kernels = nullcontext
    registry.CaseResult = SimpleNamespace
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    # Processes of their own would not know these operators.
    monkeypatch.setattr('tiletwin.harness.pool.cores', lambda: 1)
    return known


@pytest.fixture
def simulator(monkeypatch):
    """`launch(...)` in a script counts as a kernel launch."""
    jit = ModuleType('tiletwin.jit')
    watching = []

    @contextmanager
    def observe(callback):
        watching.append(callback)
        yield
        watching.remove(callback)

    def run(*args, **kwargs):
        for callback in watching:
            callback(launch(*args, **kwargs))

    jit.observe, jit.run, jit.finding, jit.jit = observe, run, finding, None
    monkeypatch.setitem(sys.modules, jit.__name__, jit)
