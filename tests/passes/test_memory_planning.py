"""Addresses: linear, as the compiler plans, and as the sound planner does (dialect 8.19)."""

from dataclasses import replace

import pytest

from tiletwin.errors import CapacityError
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Instr, walk
from tiletwin.machine.chip import Memory, chip
from tiletwin.passes import memory_planning
from tiletwin.passes.addresses import footprint
from tiletwin.passes.context import MEMORY_PLANNING, PassContext

from ..hazards.kernels import Kernel, at, buffer

KB = 1024
UB = 196352


class Plan(Kernel):
    """Tiles by size in KB: `use('a', 'b')` touches both in one statement."""

    def __init__(self, **sizes):
        super().__init__()
        self.G = self.alloc('G', 'GM', (4096, 64), 'float32')
        for name, size in sizes.items():
            self.tile(name, size)

    def tile(self, name, size, space='UB', **more):
        return self.alloc(name, space, (int(size * 4), 64), 'float32', **more)

    def use(self, *names):
        """Reads every named tile and writes none of them whole."""
        return self.instr('add', *(at(self.buffers[n], (0, 0), (1, 64)) for n in (names * 3)[:3]))

    def load(self, name):
        b = self.buffers[name]
        return self.copy(at(self.G, (0, 0), b.dims), b)

    def save(self, name):
        b = self.buffers[name]
        return self.copy(b, at(self.G, (0, 0), b.dims))


def addresses(k, body, configs=(MEMORY_PLANNING,), profile='fork', on=None):
    done = memory_planning.run(k.program(vector=body), PassContext(on or chip('a3'), configs=frozenset(configs), profile=profile))
    return {n: b.address for n, b in done.buffers.items() if b.space != 'GM'}


def loop(k, *body):
    return k.loop('i', 4, *body)


LINEAR = {
    'first_use_not_declaration': (dict(a=1, b=2, c=4), lambda k: [k.use('c'), k.use('a'), k.use('b')], {'c': 0, 'a': 4, 'b': 5}),
    'an_allocation_sinks_into_the_loop_that_holds_its_uses': (dict(a=1, b=2), lambda k: [loop(k, k.use('a'), k.use('b')), k.use('b')], {'b': 0, 'a': 2}),
    'loops_in_order': (dict(a=1, b=2, c=4), lambda k: [loop(k, k.use('b')), loop(k, k.use('a')), k.use('c')], {'c': 0, 'b': 4, 'a': 6}),
}


@pytest.mark.parametrize('rule', LINEAR)
def test_linear(rule):
    sizes, build, expected = LINEAR[rule]
    k = Plan(**sizes)
    assert addresses(k, build(k), ()) == {n: a * KB for n, a in expected.items()}


def test_linear_ub_starts_behind_annotated_and_l1_does_not():
    k = Plan()
    k.tile('f', 1, address=4 * KB, annotated=True)
    k.tile('a', 1)
    k.tile('g', 1, 'L1', address=0, annotated=True)
    k.tile('b', 1, 'L1')
    assert addresses(k, [k.use('a'), k.use('f'), k.use('b'), k.use('g')], ()) == {'f': 4 * KB, 'a': 5 * KB, 'g': 0, 'b': 0}


def test_linear_checks_no_limit():
    k = Plan(a=150, b=150)
    assert addresses(k, [k.use('a'), k.use('b')], ()) == {'a': 0, 'b': 150 * KB}


# sizes in KB, statements, addresses in KB; the limit is 191.75 KB
FORK = {
    'fresh_memory_first': (dict(a=64, b=64, c=32), lambda k: [k.use('a'), k.use('b'), k.use('c')], {'a': 0, 'b': 64, 'c': 128}),
    'then_the_first_free_block_that_fits': (dict(a=32, b=64, c=64, d=64), lambda k: [k.use('a'), k.use('b'), k.use('c'), k.use('d')], {'a': 0, 'b': 32, 'c': 96, 'd': 0}),
    'free_blocks_merge_and_the_rest_is_kept': (dict(a=64, b=64, c=40, d=96, e=32),
                                               lambda k: [k.use('a'), k.use('b'), k.use('c'), k.use('d'), k.use('d', 'e')], {'a': 0, 'b': 64, 'c': 128, 'd': 0, 'e': 96}),
    'the_last_statement_of_a_life_still_holds_it': (dict(a=96, b=90, c=48), lambda k: [k.use('a'), k.use('b'), k.use('b', 'c')], {'a': 0, 'b': 96, 'c': 0}),
    'last_touch_in_a_loop_lasts_to_the_next_statement_outside': (
        dict(w=48, a=48, b=48, t=48), lambda k: [k.use('w'), loop(k, k.use('a', 'w'), k.use('b')), k.use('t')], {'w': 0, 'a': 48, 'b': 96, 't': 48}),
    'the_last_free_block_grows_into_fresh_memory': (dict(a=64, b=64, c=100), lambda k: [k.use('a'), k.use('b'), k.use('c')], {'a': 0, 'b': 64, 'c': 0}),
}


@pytest.mark.parametrize('rule', FORK)
@pytest.mark.parametrize('name', ['a3', 'a5'])
def test_fork_planning_has_one_set_of_limits(rule, name):
    sizes, build, expected = FORK[rule]
    k = Plan(**sizes)
    assert addresses(k, build(k), on=chip(name)) == {n: a * KB for n, a in expected.items()}


def test_fork_annotated_buffer_moves_the_pointer_and_frees_the_gap_below():
    k = Plan(a=32, c=32, d=100, e=30)
    k.tile('f', 16, address=64 * KB, annotated=True)
    found = addresses(k, [k.use('a'), k.use('f'), k.use('f', 'c'), k.use('f', 'e')])
    assert found['c'] == 80 * KB and found['e'] == 112 * KB
    k = Plan(a=32, d=100, e=30)
    k.tile('f', 16, address=64 * KB, annotated=True)
    found = addresses(k, [k.use('a'), k.use('a', 'f'), k.use('f', 'd'), k.use('d', 'e')])
    assert found['d'] == 80 * KB and found['e'] == 0


REFUSED = {
    'no_gap_is_large_enough': (dict(d=8, a=64, b=64, c=64), lambda k: [k.use('d'), k.use('a'), k.use('a', 'b'), k.use('a', 'b', 'c')], 'rejects',
                               'Memory allocation failed for: c required: 65536, new memory available: 57088'),
    'overflow_before_anything_has_ended': (dict(a=64, b=64, c=64, d=8), lambda k: [k.use('a'), k.use('a', 'b'), k.use('a', 'b', 'c'), k.use('a', 'b', 'c')], 'crashes', 'no room for c'),
}


@pytest.mark.parametrize('rule', REFUSED)
def test_fork_refusals_name_the_fate_and_print_the_byte_map(rule):
    sizes, build, fate, fragment = REFUSED[rule]
    k = Plan(**sizes)
    with pytest.raises(CapacityError) as caught:
        addresses(k, build(k))
    message = str(caught.value)
    assert caught.value.compiler == fate and fragment in message and 'in use' in message and 'lines' in message


def test_fork_annotated_conflict_is_rejected():
    k = Plan(a=32)
    k.tile('f', 16, address=16 * KB, annotated=True)
    with pytest.raises(CapacityError) as caught:
        addresses(k, [k.use('a'), k.use('f'), k.use('a', 'f')])
    assert caught.value.compiler == 'crashes'  # the collision of `a` with the coming range sends it to free blocks that do not exist
    k = Plan(a=32)
    k.tile('f', 16, address=16 * KB, annotated=True)
    k.tile('g', 16, address=24 * KB, annotated=True)
    with pytest.raises(CapacityError, match='memory allocate conflict with: f'):
        addresses(k, [k.use('f'), k.use('f', 'g')])


def test_fork_names_the_buffers_whose_order_the_compiler_leaves_open():
    k = Plan(a=1, b=1, c=1)
    program = k.program(vector=[k.use('c'), k.use('b', 'c', 'a')])
    assert memory_planning.run(program, PassContext(chip('a3'), configs=frozenset([MEMORY_PLANNING]))).attrs['address_ties'] == (('a', 'b'),)


@pytest.mark.parametrize('shape, dtype, bytes_', [((64, 40), 'float16', 6144), ((16, 8), 'uint8', 512), ((32, 1), 'float32', 128), ((12,), 'float32', 64), ((1,), 'float32', 32),
                                                  ((2, 16, 8), 'uint8', 1024)])
def test_rows_of_a_ub_tile_take_whole_blocks_and_a_column_is_a_row(shape, dtype, bytes_):
    assert footprint(buffer('x', 'UB', shape, dtype)) == bytes_


# -- sound ------------------------------------------------------------------------------------------------------------------------
def sound(k, body, size=64, reuse=True):
    memories = {s: Memory(size * KB, m.align) for s, m in chip('a3').memories.items()}
    return addresses(k, body, (MEMORY_PLANNING,) if reuse else (), 'sound', replace(chip('a3'), memories=memories))


def together(k, found, a, b):
    x, y = k.buffers[a], k.buffers[b]
    return found[a] < found[b] + y.bytes and found[b] < found[a] + x.bytes


SOUND = {
    'nothing_shares_while_there_is_room': (dict(a=30, b=30), lambda k: [k.load('a'), k.save('a'), k.load('b'), k.save('b')], False),
    'lives_that_follow_one_another_share': (dict(a=40, b=40), lambda k: [k.load('a'), k.save('a'), k.load('b'), k.save('b')], True),
    'an_iteration_that_begins_by_overwriting_shares': (dict(a=40, b=40), lambda k: [loop(k, k.load('a'), k.save('a'), k.load('b'), k.save('b'))], True),
}
HELD = {
    'a_value_carried_to_the_next_iteration': lambda k: [loop(k, k.save('a'), k.load('a'), k.load('b'), k.save('b'))],
    'read_in_the_loop_written_before': lambda k: [k.load('a'), loop(k, k.save('a'), k.load('b'), k.save('b'))],
    'written_in_the_loop_read_behind': lambda k: [loop(k, k.load('b'), k.save('b'), k.load('a')), k.save('a')],
    'overwritten_in_part': lambda k: [loop(k, k.use('a'), k.save('a'), k.load('b'), k.save('b'))],
    'overwritten_in_a_branch': lambda k: [loop(k, k.when(E.Bin('<', E.Var('i'), E.Const(2), 'bool'), k.load('a')), k.save('a'), k.load('b'), k.save('b'))],
    'overwritten_in_a_loop_that_may_not_run': lambda k: [loop(k, k.loop('j', E.Var('n'), k.load('a')), k.save('a'), k.load('b'), k.save('b'))],
}


@pytest.mark.parametrize('rule', SOUND)
def test_sound_shares_only_dead_memory_and_only_when_short(rule):
    sizes, build, shared = SOUND[rule]
    k = Plan(**sizes)
    assert together(k, sound(k, build(k)), 'a', 'b') == shared


@pytest.mark.parametrize('rule', HELD)
def test_sound_keeps_over_the_loop(rule):
    k = Plan(a=40, b=40)
    with pytest.raises(CapacityError, match='(?s)UB overflow.*in use.*line'):
        sound(k, HELD[rule](k))


def test_sound_without_planning_never_shares():
    k = Plan(a=40, b=40)
    with pytest.raises(CapacityError):
        sound(k, [k.load('a'), k.save('a'), k.load('b'), k.save('b')], reuse=False)


def test_sound_uses_the_limits_and_alignment_of_the_chip():
    k = Plan(a=100, b=100)
    body = [k.load('a'), k.load('b'), k.use('a', 'b')]
    with pytest.raises(CapacityError):
        addresses(k, body, profile='sound')
    assert addresses(k, body, profile='sound', on=chip('a5')) == {'a': 0, 'b': 100 * KB}
    k = Kernel()
    x, y = k.alloc('x', 'L0A', (1, 16), 'float16'), k.alloc('y', 'L0A', (1, 16), 'float16')
    t = k.alloc('t', 'L1', (1, 16), 'float16')
    done = memory_planning.run(k.program(cube=[k.copy(t, x), k.copy(t, y)]), PassContext(chip('a3'), profile='sound'))
    assert done.buffers['y'].address == chip('a3').memories['L0A'].align


def test_sound_places_around_annotated_and_around_what_gemm_v0_uses():
    k = Plan(a=20)
    k.tile('f', 16, address=8 * KB, annotated=True)
    assert sound(k, [k.load('a'), k.load('f'), k.use('a', 'f')])['a'] == 24 * KB
    k = Kernel()
    l1, l0 = k.alloc('l1', 'L1', (64, 64)), k.alloc('l0', 'L0A', (64, 64))
    b0, acc = k.alloc('b0', 'L0B', (64, 64)), k.alloc('acc', 'L0C', (64, 64), 'float32')
    gemm = k.mma(l1, l1, acc, op='gemm_v0', transpose_A=False, transpose_B=False)
    program = k.program(cube=[k.copy(l1, l0), k.copy(l1, b0), gemm, k.mma(l0, b0, acc)])
    done = memory_planning.run(program, PassContext(chip('a3'), profile='sound'))
    assert done.buffers['l0'].address >= 64 * 64 * 2 and sum(isinstance(s, Instr) for s in walk(done.body)) == 4
