"""Sound synchronisation where the shape of the answer matters: slots of a ring, early exits, ids that run out."""

import pytest

from tiletwin.backends.analysis import Analyser
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Break, If, Instr, While, walk
from tiletwin.machine.chip import chip
from tiletwin.passes import memory_planning, sync_insert
from tiletwin.passes.context import AUTO_SYNC, PassContext
from tiletwin.passes.hoist_loads import hoist_loads

from ..hazards.kernels import Kernel, at, c

N = E.Var('n')


class Ring(Kernel):
    def __init__(self, slots=2):
        super().__init__(form='threads1')
        self.slots = slots
        self.A, self.C = (self.alloc(x, 'GM', (16 * 16, 64), 'float32') for x in 'AC')
        self.ring, self.t = self.alloc('ring', 'UB', (slots, 16, 64), 'float32'), self.alloc('t', 'UB', (16, 64), 'float32')
        self.i = E.Var('i')

    def slot(self, ahead=0):
        return at(self.ring, (E.Bin('%', E.add(self.i, ahead), c(self.slots)), 0, 0), (1, 16, 64))

    def gm(self, tensor, ahead=0):
        return at(tensor, (E.mul(E.add(self.i, ahead), 16), 0), (16, 64))

    def fill_all(self):
        return [self.instr('fill', at(self.ring, (s, 0, 0), (1, 16, 64)), E.Const(0.0, 'float32')) for s in range(self.slots)]


def lowered(k, body, profile='sound'):
    ctx = PassContext(chip('a3'), configs=frozenset([AUTO_SYNC]), profile=profile)
    program = k.program(vector=body)
    return sync_insert.run(memory_planning.run(program, ctx), ctx)


def clean(program, trips=range(6)):
    for n in trips:
        found = Analyser(hoist_loads(program), chip('a3'), 'ascendc', {'n': n}, True).run(frozenset()).findings
        assert not found, f'n={n}: {found[0].message}'
    return [s for s in walk(program.body) if isinstance(s, Instr) and s.origin == 'sync_insert']


def count(syncs, op, src=None, dst=None):
    return sum(s.op == op and (src is None or s.args[:2] == (src, dst)) for s in syncs)


@pytest.mark.parametrize('slots', [2, 3])
def test_a_slot_waits_for_its_own_last_reader_only(slots):
    k = Ring(slots)
    syncs = clean(lowered(k, [k.loop('i', N, k.copy(k.gm(k.A), k.slot()), k.instr('exp', k.slot(), k.slot()), k.copy(k.slot(), k.gm(k.C)))]))
    assert count(syncs, 'set_flag', 'MTE3', 'MTE2') == slots + 1  # each slot before the loop, one in the body
    assert count(syncs, 'pipe_barrier') == 0


def test_a_load_ahead_of_its_use_does_not_hold_the_use():
    k = Ring(2)
    body = k.loop('i', N, k.copy(k.gm(k.A, 1), k.slot(1)), k.instr('exp', k.t, k.slot()))
    program = lowered(k, [*k.fill_all(), body])
    clean(program)
    loop = program.body[1].body
    inside = [s for x in loop if hasattr(x, 'body') for s in x.body]
    waits = [s for s in inside if s.op == 'wait_flag' and s.args[:2] == ('MTE2', 'V')]
    sets = [s for s in inside if s.op == 'set_flag' and s.args[:2] == ('MTE2', 'V')]
    assert len(waits) == len(sets) == 1 and waits[0].args[2] != sets[0].args[2]  # one iteration apart


def test_a_break_leaves_no_flag_behind():
    k = Ring(2)
    stop = If(E.Bin('==', k.i, c(2), 'bool'), (Break(),))
    syncs = clean(lowered(k, [*k.fill_all(), k.loop('i', N, k.copy(k.gm(k.A), k.t), stop, k.instr('exp', k.t, k.t)), k.copy(k.t, at(k.C, (0, 0), (16, 64)))]), range(1, 6))
    assert count(syncs, 'set_flag') == count(syncs, 'wait_flag')


def test_a_while_loop_is_ordered_like_any_other():
    k = Ring(2)
    k.alloc('x', 'VAR', (1,), 'int32', init=0)
    step = k.store(k.buffers['x'], (0,), E.add(E.Load('x', (c(0),), 'int32'), 1))
    body = While(E.Bin('<', E.Load('x', (c(0),), 'int32'), N, 'bool'), (k.copy(at(k.A, (0, 0), (16, 64)), k.t), k.instr('exp', k.t, k.t), step))
    clean(lowered(k, [body]))


def test_out_of_ids_a_full_barrier_takes_over():
    k = Ring(1)
    tiles = [k.alloc(f'u{i}', 'UB', (16, 64), 'float32') for i in range(12)]
    loads = [k.copy(at(k.A, (0, 0), (16, 64)), t) for t in tiles]
    # Last loaded, first used: twelve flags would be on their way at once.
    uses = [k.instr('exp', t, t) for t in tiles]
    syncs = clean(lowered(k, loads + uses))
    assert {s.args[2].value for s in syncs if s.op == 'set_flag'} <= set(range(8))
    assert any(s.op == 'pipe_barrier' and s.args == ('ALL',) for s in syncs)


def test_flags_of_the_user_are_seen_and_their_ids_left_alone():
    k = Ring(1)
    body = [k.copy(at(k.A, (0, 0), (16, 64)), k.t), k.set('MTE2', 'V', 0), k.wait('MTE2', 'V', 0), k.instr('exp', k.t, k.t)]
    assert clean(lowered(k, body)) == []


@pytest.mark.parametrize('profile, level', [('fork', 'race'), ('sound', None)])
def test_a_hazard_the_compiler_misses_and_correctness_needs(profile, level):
    """Carried by an outer loop into an inner one."""
    k = Ring(1)
    inner = k.loop('j', 2, k.copy(at(k.A, (0, 0), (16, 64)), k.t))
    program = lowered(k, [k.loop('i', 2, inner, k.copy(k.t, k.gm(k.C)))], profile)
    found = {f.word for f in Analyser(program, chip('a3'), 'ascendc', {'n': 0}, True).run(frozenset()).findings}
    assert found == ({level} if level else set())
