"""Fates of mutants on kernels whose answer is known, the score over them, and its record."""

import functools

import pytest
import torch

from tests.hazards.kernels import Kernel, at, placed
from tests.harness.test_same_order import TRIPS, Stream
from tiletwin import cli
from tiletwin.errors import TileTwinError
from tiletwin.harness import mutate
from tiletwin.harness.mutants import mutants
from tiletwin.harness.mutants_data import rings
from tiletwin.harness.mutate import AGAIN, QUEUES, Outcome, Score, outcomes
from tiletwin.harness.mutation_cases import Setting
from tiletwin.harness.mutation_record import read, write
from tiletwin.ir import expr as E
from tiletwin.machine.chip import chip as chip_of


def setting(program, tensors, out, right):
    """A launch of a Program; `right` computes the output from the inputs."""
    def fresh():
        torch.manual_seed(0)
        return tensors()

    return Setting('only', program, 'a3', 'ascendc', {}, frozenset({out}), fresh, lambda t: '' if torch.allclose(t[out], right(t)) else 'wrong')


def stream(program):
    return setting(program, lambda: {'X': torch.rand(TRIPS, 16, 64), 'Y': torch.empty(TRIPS, 16, 64)}, 'Y', lambda t: torch.exp(t['X']))


@functools.cache
def fates():
    s = Stream()
    found = outcomes([stream(s.program())], 1)
    at = {line: name for name, line in s.lines.items()}
    return {(o.change, at.get(o.line, o.name)): o for o in found}, found


def test_no_mutant_of_a_hand_made_kernel_survives():
    assert [o.name for o in fates()[1] if o.fate == 'survived'] == []


KNOWN = [
    ('delete', 'take slot', 'caught', 'synccheck'), ('delete', 'await filled', 'caught', 'racecheck'), ('delete', 'filled', 'caught', 'synccheck'),
    ('duplicate', 'filled', 'caught', 'synccheck'), ('duplicate', 'idle barrier', 'redundant', AGAIN), ('reverse', 'filled', 'caught', 'synccheck'),
    ('move up', 'await worked', 'redundant', QUEUES), ('ring', 'ring x turns at 1 of 2 slots (line 1)', 'caught', 'racecheck'),
]


@pytest.mark.parametrize('change, name, fate, by', KNOWN, ids=[f'{k[0]}-{k[1]}'.replace(' ', '-') for k in KNOWN])
def test_known_fates(change, name, fate, by):
    found = fates()[0][change, name]
    # A wait that is gone also leaves its flag set: which checker speaks first is not what the table is about.
    assert found.fate == fate and (found.by == by or fate == 'caught' and found.by in ('racecheck', 'synccheck'))


def test_two_processes_find_what_one_finds():
    assert outcomes([stream(Stream().program())], 2) == fates()[1]


def test_ids_become_the_next_the_free_and_a_used_one():
    found = [m for m in mutants(Stream().program(), chip_of('a3')) if m.change == 'renumber' and m.kind == 'wait_flag' and 'V MTE2 t%2' in m.name]
    assert [m.name.split(' to ')[1].partition(' (')[0] for m in found] == ['the next id', 'the free id 2', 'the used id 0']


def test_a_ring_nothing_fills_ahead_has_a_slot_to_spare():
    k = Kernel()
    X, Y = k.alloc('X', 'GM', (TRIPS, 16, 64), 'float32'), k.alloc('Y', 'GM', (TRIPS, 16, 64), 'float32')
    x, y = k.alloc('x', 'UB', (2, 16, 64), 'float32'), k.alloc('y', 'UB', (16, 64), 'float32')
    t = E.Var('t')
    tile, row = at(x, (E.Bin('%', t, E.Const(2)), 0, 0), (1, 16, 64)), (1, 16, 64)
    body = [k.copy(at(X, (t, 0, 0), row), tile), k.barrier(), k.instr('exp', y, tile), k.barrier(), k.copy(y, at(Y, (t, 0, 0), row)), k.barrier()]
    program = placed(k.program(vector=[k.loop('t', TRIPS, *body)]))
    assert rings(program) == {'x': (2,)}
    (ring,) = [o for o in outcomes([stream(program)], 1) if o.change == 'ring']
    assert ring.fate == 'redundant'


def test_an_accumulator_that_starts_wrong_is_caught_by_initcheck_and_by_the_numbers():
    k = Kernel()
    A, C = k.alloc('A', 'GM', (16, 16)), k.alloc('C', 'GM', (16, 16), 'float32')
    l1, a, b = k.alloc('l1', 'L1', (16, 16)), k.alloc('a', 'L0A', (16, 16)), k.alloc('b', 'L0B', (16, 16))
    c = k.alloc('c', 'L0C', (16, 16), 'float32')
    body = [k.copy(A, l1), k.barrier(), k.copy(l1, a), k.copy(l1, b), k.barrier(), k.mma(a, b, c, E.Bin('==', E.Var('i'), E.Const(0), 'bool')), k.barrier()]
    program = placed(k.program(cube=[k.loop('i', 3, *body), k.copy(c, C)]))
    s = setting(program, lambda: {'A': torch.eye(16, dtype=torch.float16), 'C': torch.empty(16, 16)}, 'C', lambda t: 3 * torch.eye(16))
    assert {o.name.split(' for ')[0]: o.by for o in outcomes([s], 1) if o.change == 'init'} == {
        'mma with init=False': 'initcheck', 'mma with init=True': 'numbers'}


# -- the score and its record -----------------------------------------------------------------------------------------------
def made(*fates_, operator='softmax.x', chip='a3'):
    return Score(operator, 'expert', chip, ('only',), tuple(Outcome(f'delete {i}', 'delete', '', i, '', f, 'racecheck') for i, f in enumerate(fates_)))


@pytest.mark.parametrize('given, percent', [((), 100.0), (('redundant',), 100.0), (('caught', 'redundant'), 100.0), (('caught', 'survived'), 50.0)])
def test_the_score_leaves_out_what_is_redundant(given, percent):
    assert made(*given).percent == percent


def test_a_record_takes_the_place_of_its_predecessor_only(tmp_path):
    write([made('caught'), made('caught', chip='a2')], tmp_path)
    assert write([made('caught', 'survived')], tmp_path) == [tmp_path / 'softmax.mutations.jsonl']
    found = read(tmp_path / 'softmax.mutations.jsonl')
    assert {key[2]: row['survived'] for key, row in found.items()} == {'a2': 0, 'a3': 1}
    assert write([made('caught', 'survived')], tmp_path) == []


def test_a_damaged_record_is_named_and_left(tmp_path):
    (file,) = write([made('caught')], tmp_path)
    file.write_text(file.read_text() + '{"operator"\n')
    before = file.read_text()
    with pytest.raises(TileTwinError, match=':2: no mutation record'):
        write([made('caught', 'caught')], tmp_path)
    assert file.read_text() == before


@pytest.mark.parametrize('fate, status', [('survived', 1), ('redundant', 0), ('caught', 0)])
def test_a_survivor_fails_the_command(monkeypatch, capsys, fate, status):
    monkeypatch.setattr(mutate, 'score', lambda operator, mode, chip: made(fate, operator=operator.name))
    assert cli.main(['mutate', 'softmax']) == status
    assert '1 mutants of 1 kernel' in capsys.readouterr().out


@pytest.mark.parametrize('given', [[], ['softmax', '--all'], ['nosuch'], ['softmax', '--arch', 'a9'], ['nosuch.py'], ['x.py', '--record']])
def test_bad_calls_are_refused(given, capsys):
    assert cli.main(['mutate', *given]) == 2
    assert 'write instead' in capsys.readouterr().err
