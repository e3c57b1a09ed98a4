"""Gains: of hand-made kernels next to the kernel someone would write instead."""

import pytest

from tests.hazards.kernels import Kernel, placed
from tests.harness.test_mutate import setting
from tests.harness.test_same_order import Stream
from tiletwin import cli
from tiletwin.backends.analysis import Analyser
from tiletwin.harness.whatif import edges, of_setting
from tiletwin.machine.chip import chip as chip_of


def cycles(program):
    return Analyser(program, chip_of('a3'), 'ascendc', {}, False).run(frozenset({'Y'})).cycles


def gains(program):
    found = of_setting(setting(program, dict, 'Y', None))
    return found, {(g.change, g.what.split(',')[0]): g for g in found.gains}


def test_a_flag_is_one_synchronisation_with_all_its_sets_and_waits():
    found = {e.name: len(e.sites) for e in edges(Stream().program())}
    assert found == {'flag V->MTE2 0,1': 6, 'flag MTE3->V 0': 4, 'flag MTE2->V 0,1': 2, 'flag V->MTE3 0': 2, 'pipe_barrier V': 1}


def test_an_idle_barrier_can_be_had():
    program = Stream().program()
    found, by = gains(program)
    barrier = by['remove', 'pipe_barrier V']
    assert barrier.verdict == 'clean' and barrier.cycles > 0 and not barrier.bound


def test_a_flag_that_is_needed_is_only_a_bound():
    _, by = gains(Stream().program())
    assert by['remove', 'flag MTE2->V 0'].verdict != 'clean' and by['remove', 'flag MTE2->V 0'].bound


def test_a_second_slot_gains_what_the_ring_of_two_gains():
    one, two = (Stream(slots, rows=64, stored=8).program() for slots in (1, 2))
    _, by = gains(one)
    slot = by['slot', 'one more for UB x (1 slot)']
    assert slot.verdict == 'fits' and slot.cycles == cycles(one) - cycles(two) > 0


def test_a_slot_that_does_not_fit_says_what_is_missing():
    _, by = gains(Stream(1, rows=320).program())
    assert 'UB lacks' in by['slot', 'one more for UB x (1 slot)'].verdict


def test_most_gain_comes_first():
    found, _ = gains(Stream().program())
    assert [g.cycles for g in found.gains] == sorted((g.cycles for g in found.gains), reverse=True)


@pytest.mark.parametrize('late, gain', [(True, True), (False, False)])
def test_a_flag_set_late_moves_up(late, gain):
    """Over an instruction of the same pipe that has nothing to do with it."""
    k = Kernel()
    X, u = k.alloc('X', 'GM', (64, 64), 'float32'), k.alloc('u', 'UB', (64, 64), 'float32')
    Y, w = k.alloc('Y', 'GM', (64, 64), 'float32'), k.alloc('w', 'UB', (64, 64), 'float32')
    set_, other = k.set('MTE2', 'V'), k.copy(X, w)
    body = [k.copy(X, u), *((other, set_) if late else (set_, other)), k.wait('MTE2', 'V'), k.instr('exp', u, u),
            k.set('V', 'MTE3'), k.wait('V', 'MTE3'), k.copy(u, Y)]
    found, _ = gains(placed(k.program(vector=body)))
    assert any(g.change == 'move' and 'set_flag MTE2 V' in g.what for g in found.gains) == gain


@pytest.mark.parametrize('given', [[], ['softmax', '--all'], ['nosuch'], ['softmax', '--case', 'nosuch'], ['softmax', '--arch', 'a9']])
def test_bad_calls_are_refused(given, capsys):
    assert cli.main(['whatif', *given]) == 2
    assert 'write instead' in capsys.readouterr().err
