"""The order relation of mutants: hand-made kernels whose answer is known beforehand."""

import pytest

from tests.hazards.kernels import Kernel, at, placed
from tiletwin.backends.analysis import Analyser
from tiletwin.harness.mutants import mutants
from tiletwin.harness.same_order import Order, lost, needs
from tiletwin.ir import expr as E
from tiletwin.machine.chip import chip as chip_of

TRIPS = 6


class Stream:
    """Tiles through a ring: MTE2 fills, V works into a second buffer, MTE3 stores; one idle buffer beside them."""

    def __init__(self, slots=2, rows=16, stored=None):
        k, self.slots, self.rows, self.stored = Kernel(), slots, rows, stored or rows
        self.k = k
        self.X, self.Y = k.alloc('X', 'GM', (TRIPS, rows, 64), 'float32'), k.alloc('Y', 'GM', (TRIPS, rows, 64), 'float32')
        self.x = k.alloc('x', 'UB', (slots, rows, 64), 'float32')
        self.y, self.z = k.alloc('y', 'UB', (rows, 64), 'float32'), k.alloc('z', 'UB', (16, 64), 'float32')

    def program(self):
        k, t = self.k, E.Var('t')
        slot = E.Bin('%', t, E.Const(self.slots)) if self.slots > 1 else E.Const(0)
        tile, row = at(self.x, (slot, 0, 0), (1, self.rows, 64)), (1, self.rows, 64)
        self.lines = {}

        def named(name, s):
            self.lines[name] = s.span.line
            return s

        body = [
            named('take slot', k.wait('V', 'MTE2', slot)), k.copy(at(self.X, (t, 0, 0), row), tile), named('filled', k.set('MTE2', 'V', slot)),
            named('await filled', k.wait('MTE2', 'V', slot)), named('await stored', k.wait('MTE3', 'V')), k.instr('exp', self.y, tile),
            named('give slot', k.set('V', 'MTE2', slot)), named('idle barrier', k.barrier('V')), k.instr('fill', self.z, 0.0),
            named('worked', k.set('V', 'MTE3')), named('await worked', k.wait('V', 'MTE3')), k.copy(at(self.y, (0, 0), (self.stored, 64)), at(self.Y, (t, 0, 0), (1, self.stored, 64))),
            named('stored', k.set('MTE3', 'V')),
        ]
        first = [*(k.set('V', 'MTE2', i) for i in range(self.slots)), k.set('MTE3', 'V')]
        last = [*(k.wait('V', 'MTE2', i) for i in range(self.slots)), k.wait('MTE3', 'V')]
        return placed(k.program(vector=[*first, k.loop('t', TRIPS, *body), *last]))


def order(program):
    return Order(Analyser(program, chip_of('a3'), 'ascendc', {}, False))


def verdict(original, mutant):
    (before,), (after,) = order(original).runs(), order(mutant).runs()
    return lost(needs(before), before, after)


# change, statement -> whether every two conflicting accesses keep their order
KNOWN = [
    ('delete', 'take slot', False), ('delete', 'await filled', False), ('delete', 'await stored', False), ('delete', 'await worked', False),
    ('delete', 'filled', False), ('delete', 'worked', False),
    # The fill behind it touches a buffer of its own; in the next turn it is overwritten behind a flag V itself waited for.
    ('duplicate', 'idle barrier', True), ('duplicate', 'filled', False), ('duplicate', 'await filled', False),
    ('move up', 'filled', False), ('move down', 'take slot', False), ('move up', 'await worked', True), ('move down', 'worked', True),
    ('move up', 'give slot', False), ('move down', 'give slot', True), ('move down', 'await stored', False),
    ('reverse', 'filled', False), ('reverse', 'await worked', False),
]


@pytest.mark.parametrize('change, name, same', KNOWN, ids=[f'{c}-{n}'.replace(' ', '-') for c, n, _ in KNOWN])
def test_hand_made_kernel(change, name, same):
    s = Stream()
    program = s.program()
    (mutant,) = [m for m in mutants(program, chip_of('a3')) if m.change == change and m.span.line == s.lines[name]]
    assert (not verdict(program, mutant.program)) == same


def test_the_original_has_its_own_order():
    program = Stream().program()
    assert verdict(program, program) == ''


def turned(late):
    """V reads what MTE2 loads before it; or, with the same statements in the same place, MTE2 waits until V has read."""
    k = Kernel()
    X, u, v = k.alloc('X', 'GM', (16, 64), 'float32'), k.alloc('u', 'UB', (16, 64), 'float32'), k.alloc('v', 'UB', (16, 64), 'float32')
    load, work = k.copy(X, u), k.instr('exp', v, u)
    flags = (k.wait('V', 'MTE2'), k.set('V', 'MTE2')) if late else (k.set('MTE2', 'V'), k.wait('MTE2', 'V'))
    body = [flags[0], load, work, flags[1]] if late else [load, *flags, work]
    return placed(k.program(vector=body))


def test_order_the_other_way_round_is_not_the_same_order():
    assert 'no longer waits' in verdict(turned(False), turned(True))


def test_a_cross_flag_with_two_setters_is_never_proven():
    k = Kernel()
    l0c, W = k.alloc('l0c', 'L0C', (16, 16), 'float32'), k.alloc('W', 'GM', (16, 16), 'float32')
    u = k.alloc('u', 'UB', (8, 16), 'float32')
    program = placed(k.program(cube=[k.copy(l0c, W), k.cset('FIX', 0), k.cset('M', 0)],
                               vector=[k.cwait(0), k.cwait(0), k.copy(at(W, (0, 0), (8, 16)), u)]))
    assert 'several pipes' in verdict(program, program)


def test_a_pipe_sees_nothing_of_a_move_past_another_pipe():
    s = Stream()
    program = s.program()
    (over, past) = [next(m for m in mutants(program, chip_of('a3')) if m.change == change and m.span.line == s.lines[name])
                    for change, name in (('move up', 'await worked'), ('move up', 'give slot'))]
    assert order(over.program).queues() == order(program).queues()
    assert order(past.program).queues() != order(program).queues()
