"""Every pair of pipes of a core that can touch the same bytes, with every choice of synchronisation.

Rule (hardware.md 2.1, 2.2): queues are asynchronous. Only a set_flag behind the first access and a wait_flag before the
second, on the right pair and id, or a barrier of all pipes, orders them.
"""

import pytest

from tiletwin.ir.expr import Bin, Const

from .kernels import COLS, ROWS, VID, Kernel, at, verdict, words

_ONE = Const(1.0, 'float16')
_FIRST_VECTOR = Bin('==', VID, Const(0), 'bool')


class Setup:
    """Operands of the table below, initialised and drained."""

    def __init__(self):
        k = self.k = Kernel()
        self.A, self.B, self.W = (k.alloc(n, 'GM', (64, 64)) for n in 'ABW')
        self.C = k.alloc('C', 'GM', (64, 64), 'float32')
        self.W32 = k.alloc('W32', 'GM', (64, 64), 'float32')
        self.u, self.v, self.w = (k.alloc(n, 'UB') for n in 'uvw')
        self.l1 = k.alloc('l1', 'L1', (64, 64))
        self.l1b = k.alloc('l1b', 'L1', (64, 64))
        self.l0a, self.l0b = k.alloc('l0a', 'L0A', (64, 64)), k.alloc('l0b', 'L0B', (64, 64))
        self.l0a2 = k.alloc('l0a2', 'L0A', (64, 64))
        self.l0c = k.alloc('l0c', 'L0C', (64, 64), 'float32')
        self.tiny = k.alloc('tiny', 'L0C', (16, 16), 'float32')
        self.ta, self.tb = k.alloc('ta', 'L0A', (16, 16)), k.alloc('tb', 'L0B', (16, 16))
        self.l16 = k.alloc('l16', 'L1', (16, 16))

    def gm(self, b, row=0):
        return at(b, (row, 0), (ROWS, COLS))

    def prelude(self, core):
        k = self.k
        if core == 'V':
            return [k.copy(self.gm(self.A), t) for t in (self.u, self.v, self.w)] + [k.barrier()]
        loads = [k.copy(self.A, self.l1), k.copy(self.A, self.l1b), k.copy(at(self.A, (0, 0), (16, 16)), self.l16), k.barrier()]
        loads += [k.copy(self.l1, self.l0a), k.copy(self.l1, self.l0a2), k.copy(self.l1, self.l0b), k.copy(self.l16, self.ta), k.copy(self.l16, self.tb),
                  k.barrier(), k.mma(self.l0a, self.l0b, self.l0c), k.mma(self.ta, self.tb, self.tiny), k.barrier()]
        return loads


# name: core, first pipe, second pipe, first access, second access, hazard
PAIRS = {
    'load_then_compute': ('V', 'MTE2', 'V', lambda s: s.k.copy(s.gm(s.A), s.u), lambda s: s.k.instr('exp', s.v, s.u), 'RAW'),
    'compute_then_reload': ('V', 'V', 'MTE2', lambda s: s.k.instr('exp', s.v, s.u), lambda s: s.k.copy(s.gm(s.A), s.u), 'WAR'),
    'fill_then_load': ('V', 'V', 'MTE2', lambda s: s.k.instr('fill', s.u, 0.0), lambda s: s.k.copy(s.gm(s.A), s.u), 'WAW'),
    'compute_then_store': ('V', 'V', 'MTE3', lambda s: s.k.instr('exp', s.v, s.u), lambda s: s.k.copy(s.v, s.gm(s.B)), 'RAW'),
    'store_then_compute': ('V', 'MTE3', 'V', lambda s: s.k.copy(s.v, s.gm(s.B)), lambda s: s.k.instr('exp', s.v, s.u), 'WAR'),
    'load_then_store': ('V', 'MTE2', 'MTE3', lambda s: s.k.copy(s.gm(s.A), s.u), lambda s: s.k.copy(s.u, s.gm(s.B)), 'RAW'),
    'store_then_load': ('V', 'MTE3', 'MTE2', lambda s: s.k.copy(s.u, s.gm(s.B)), lambda s: s.k.copy(s.gm(s.A), s.u), 'WAR'),
    'gm_store_then_load': ('V', 'MTE3', 'MTE2', lambda s: s.k.copy(s.u, s.gm(s.W)), lambda s: s.k.copy(s.gm(s.W), s.v), 'RAW'),
    'gm_load_then_store': ('V', 'MTE2', 'MTE3', lambda s: s.k.copy(s.gm(s.W), s.v), lambda s: s.k.copy(s.u, s.gm(s.W)), 'WAR'),
    'scalar_after_compute': ('V', 'V', 'S', lambda s: s.k.instr('exp', s.v, s.u), lambda s: s.k.store(s.v, (0, 0), _ONE), 'WAW'),
    'scalar_after_load': ('V', 'MTE2', 'S', lambda s: s.k.copy(s.gm(s.A), s.u), lambda s: s.k.store(s.u, (0, 0), _ONE), 'WAW'),
    'scalar_after_store': ('V', 'MTE3', 'S', lambda s: s.k.copy(s.u, s.gm(s.B)), lambda s: s.k.store(s.u, (0, 0), _ONE), 'WAR'),
    'load_then_l0': ('C', 'MTE2', 'MTE1', lambda s: s.k.copy(s.A, s.l1), lambda s: s.k.copy(s.l1, s.l0a), 'RAW'),
    'l0_then_reload': ('C', 'MTE1', 'MTE2', lambda s: s.k.copy(s.l1, s.l0a), lambda s: s.k.copy(s.A, s.l1), 'WAR'),
    'l0_then_mma': ('C', 'MTE1', 'M', lambda s: s.k.copy(s.l1, s.l0a), lambda s: s.k.mma(s.l0a, s.l0b, s.l0c), 'RAW'),
    'mma_then_l0': ('C', 'M', 'MTE1', lambda s: s.k.mma(s.l0a, s.l0b, s.l0c), lambda s: s.k.copy(s.l1, s.l0a), 'WAR'),
    'mma_then_store': ('C', 'M', 'FIX', lambda s: s.k.mma(s.l0a, s.l0b, s.l0c), lambda s: s.k.copy(s.l0c, s.C), 'RAW'),
    'store_then_mma': ('C', 'FIX', 'M', lambda s: s.k.copy(s.l0c, s.C), lambda s: s.k.mma(s.l0a, s.l0b, s.l0c), 'WAR'),
    'gm_result_then_reload': ('C', 'FIX', 'MTE2', lambda s: s.k.copy(s.l0c, s.W), lambda s: s.k.copy(s.W, s.l1), 'RAW'),
    'gm_read_then_result': ('C', 'MTE2', 'FIX', lambda s: s.k.copy(s.W, s.l1), lambda s: s.k.copy(s.l0c, s.W), 'WAR'),
}


# choice: statements around the two accesses, expected class words
CHOICES = {
    'none': (lambda k, p, q: ([], [], []), {'race'}),
    'right': (lambda k, p, q: ([], [k.set(p, q), k.wait(p, q)], []), set()),
    'barrier_all': (lambda k, p, q: ([], [k.barrier()], []), set()),
    'wrong_id': (lambda k, p, q: ([], [k.set(p, q, 0), k.wait(p, q, 1)], []), {'deadlock'}),
    'wrong_direction': (lambda k, p, q: ([], [k.set(q, p), k.wait(q, p)], []), {'race'}),
    'set_too_early': (lambda k, p, q: ([k.set(p, q)], [k.wait(p, q)], []), {'race'}),
    'wait_too_late': (lambda k, p, q: ([], [k.set(p, q)], [k.wait(p, q)]), {'race'}),
    'no_wait': (lambda k, p, q: ([], [k.set(p, q)], []), {'race', 'flag'}),
    'no_set': (lambda k, p, q: ([], [k.wait(p, q)], []), {'deadlock'}),
    'barrier_of_first_pipe': (lambda k, p, q: ([], [k.barrier(p)], []), {'race'}),
    'set_twice': (lambda k, p, q: ([], [k.set(p, q), k.set(p, q), k.wait(p, q), k.wait(p, q)], []), {'flag'}),
}


def judge(pair, choice, chip='a3'):
    core, p, q, first, second, _ = PAIRS[pair]
    s = Setup()
    before, between, after = CHOICES[choice][0](s.k, p, q)
    body = [*s.prelude(core), *before, first(s), *between, second(s), *after, s.k.barrier()]
    program = s.k.program(cube=body) if core == 'C' else s.k.program(vector=[s.k.when(_FIRST_VECTOR, *body)])
    return verdict(program, chip)




@pytest.mark.parametrize('choice', CHOICES)
@pytest.mark.parametrize('pair', PAIRS)
def test_verdict_follows_the_synchronisation(pair, choice):
    v = judge(pair, choice)
    assert words(v) == CHOICES[choice][1], [f.message for f in v.findings]


@pytest.mark.parametrize('pair', PAIRS)
def test_race_names_kind_pipes_and_both_lines(pair):
    core, p, q, _, _, kind = PAIRS[pair]
    (f,) = judge(pair, 'none').of('race')
    assert f.message.startswith(kind) and [s.pipe for s in f.sides] == [p, q]
    assert f.sides[0].span.line < f.sides[1].span.line and f.overlap and f'{p.lower()}' in f.fix


# Same pipe: kind of instruction, needs a barrier on a2/a3, on a5, severity.
SAME = {
    'V_raw': ('V', 'V', lambda s: [s.k.instr('exp', s.v, s.u), s.k.instr('exp', s.w, s.v)], True, False, 'review'),
    'V_war': ('V', 'V', lambda s: [s.k.instr('exp', s.v, s.u), s.k.instr('exp', s.u, s.w)], True, False, 'review'),
    'V_waw': ('V', 'V', lambda s: [s.k.instr('exp', s.v, s.u), s.k.instr('exp', s.v, s.w)], True, False, 'review'),
    'V_independent': ('V', 'V', lambda s: [s.k.instr('exp', s.v, s.u), s.k.instr('exp', s.w, s.u)], False, False, None),
    'V_in_place_alone': ('V', 'V', lambda s: [s.k.instr('exp', s.u, s.u)], False, False, None),
    'MTE2_waw': ('V', 'MTE2', lambda s: [s.k.copy(s.gm(s.A), s.u), s.k.copy(s.gm(s.A, 16), s.u)], True, True, 'error'),
    'MTE2_two_tiles': ('V', 'MTE2', lambda s: [s.k.copy(s.gm(s.A), s.u), s.k.copy(s.gm(s.A, 16), s.v)], False, False, None),
    'MTE3_waw': ('V', 'MTE3', lambda s: [s.k.copy(s.u, s.gm(s.B)), s.k.copy(s.v, s.gm(s.B))], True, True, 'error'),
    'MTE3_same_source': ('V', 'MTE3', lambda s: [s.k.copy(s.u, s.gm(s.B)), s.k.copy(s.u, s.gm(s.B, 16))], False, False, None),
    'MTE1_waw': ('C', 'MTE1', lambda s: [s.k.copy(s.l1, s.l0a), s.k.copy(s.l1b, s.l0a)], True, True, 'error'),
    'FIX_waw': ('C', 'FIX', lambda s: [s.k.copy(s.l0c, s.C), s.k.copy(s.l0c, s.C)], True, True, 'error'),
    'M_large_accumulate': ('C', 'M', lambda s: [s.k.mma(s.l0a, s.l0b, s.l0c), s.k.mma(s.l0a, s.l0b, s.l0c, False)], False, False, None),
    'M_small_accumulate': ('C', 'M', lambda s: [s.k.mma(s.ta, s.tb, s.tiny), s.k.mma(s.ta, s.tb, s.tiny, False)], True, True, 'error'),
}


@pytest.mark.parametrize('chip', ['a2', 'a3', 'a5'])
@pytest.mark.parametrize('barrier', ['none', 'pipe', 'all', 'other_pipe'])
@pytest.mark.parametrize('row', SAME)
def test_same_pipe_needs_its_barrier_where_the_hardware_does_not_order(row, barrier, chip):
    core, pipe, build, needed, needed_a5, severity = SAME[row]
    s = Setup()
    body = build(s)
    other = {'V': 'MTE2', 'MTE2': 'V', 'MTE3': 'V', 'MTE1': 'M', 'FIX': 'M', 'M': 'FIX'}[pipe]
    between = {'none': [], 'pipe': [s.k.barrier(pipe)], 'all': [s.k.barrier()], 'other_pipe': [s.k.barrier(other)]}[barrier]
    body = [*s.prelude(core), body[0], *between, *body[1:], s.k.barrier()]
    program = s.k.program(cube=body) if core == 'C' else s.k.program(vector=[s.k.when(_FIRST_VECTOR, *body)])
    v = verdict(program, chip)
    want = (needed_a5 if chip == 'a5' else needed) and barrier in ('none', 'other_pipe')
    assert words(v) == ({'race'} if want else set()), [f.message for f in v.findings]
    assert v.level == (severity if want else 'clean')


def test_an_order_against_the_text_is_a_race():
    """The flag makes MTE2 wait for the V instruction that stands below the load and is meant to read what it loads."""
    k = Kernel()
    X, u, v = k.alloc('X', 'GM', (16, 64)), k.alloc('u', 'UB', (16, 64)), k.alloc('v', 'UB', (16, 64))
    body = [k.wait('V', 'MTE2'), k.copy(X, u), k.instr('exp', v, u), k.set('V', 'MTE2')]
    (f,) = verdict(k.program(vector=body)).of('race')
    assert 'V exp reads u before MTE2' in f.message and f.severity == 'error' and [s.role for s in f.sides] == ['writes', 'reads']
