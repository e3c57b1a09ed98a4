"""Cross-core flags and sync_all: who waits for whom, counters, and what they order (dialect 6.3, 6.4)."""

import pytest

from tiletwin.ir import expr as E

from .kernels import CID, VID, Kernel, at, verdict, words


class Bridge:
    """A tile goes cube -> GM -> both vector cores, or the other way."""

    def __init__(self, slots=1, trips=1, blocks=1):
        k = self.k = Kernel(blocks)
        self.slots, self.trips = slots, trips
        self.W = k.alloc('W', 'GM', (slots, 64, 64), 'float32')
        self.H = k.alloc('H', 'GM', (slots, 64, 64))
        self.A = k.alloc('A', 'GM', (64, 64))
        self.l1, self.l0a, self.l0b = k.alloc('l1', 'L1', (64, 64)), k.alloc('l0a', 'L0A', (64, 64)), k.alloc('l0b', 'L0B', (64, 64))
        self.l0c = k.alloc('l0c', 'L0C', (64, 64), 'float32')
        self.u = k.alloc('u', 'UB', (32, 64), 'float32')
        self.h = k.alloc('h', 'UB', (32, 64))

    def slot(self, trip):
        return E.fold(E.Bin('%', E.Var(trip), E.Const(self.slots))) if self.slots > 1 else E.Const(0)

    def half(self, b):
        return at(b, (self.slot('tv'), E.mul(VID, 32), 0), (1, 32, 64))

    def tile(self, b):
        return at(b, (self.slot('tc'), 0, 0), (1, 64, 64))

    def prepare(self):
        k = self.k
        return [k.copy(self.A, self.l1), k.barrier(), k.copy(self.l1, self.l0a), k.copy(self.l1, self.l0b), k.barrier(),
                k.mma(self.l0a, self.l0b, self.l0c), k.barrier()]

    def cube_to_vector(self, ready=True, wait=True, back=True, wait_back=True, ready_pipe='FIX', ready_id=0, guard=None):
        k = self.k
        cube = [*([k.cwait(1)] if wait_back else []), k.copy(self.l0c, self.tile(self.W)), *([k.cset(ready_pipe, ready_id)] if ready else [])]
        reader = [*([k.cwait(0)] if wait else []), k.copy(self.half(self.W), self.u), *([k.cset('MTE2', 1)] if back else []), k.barrier()]
        first = [k.cset('MTE2', 1) for _ in range(self.slots)] if wait_back else []
        vector = [*first, k.loop('tv', self.trips, *([k.when(guard, *reader)] if guard else reader))]
        return k.program(cube=[*self.prepare(), k.loop('tc', self.trips, *cube)], vector=vector)

    def vector_to_cube(self, ready=True, wait=True):
        k = self.k
        vector = [k.instr('fill', self.h, 0.0), k.barrier(), k.copy(self.h, self.half(self.H)), *([k.cset('MTE3', 2)] if ready else [])]
        cube = [*([k.cwait(2)] if wait else []), k.copy(self.tile(self.H), self.l1)]
        return k.program(cube=[k.loop('tc', 1, *cube)], vector=[k.loop('tv', 1, *vector)])


# change to the right protocol -> expected class words
ONE_WAY = {
    'right': ({}, set()),
    'no_ready_flag': ({'ready': False}, {'deadlock'}),
    'no_wait_for_ready': ({'wait': False}, {'race'}),
    'ready_on_wrong_pipe': ({'ready_pipe': 'MTE2'}, {'race'}),
    'ready_with_wrong_id': ({'ready_id': 3}, {'deadlock'}),
    'no_wait_for_free_slot': ({'wait_back': False}, {'race'}),
    'free_slot_never_set': ({'back': False}, {'deadlock'}),
}


@pytest.mark.parametrize('row', ONE_WAY)
def test_cube_to_vector_ring_needs_both_directions(row):
    changes, want = ONE_WAY[row]
    v = verdict(Bridge(trips=4).cube_to_vector(**changes))
    assert words(v) == want, [f.message for f in v.findings]


@pytest.mark.parametrize('slots,trips,back,want', [(1, 1, False, set()), (1, 2, False, {'race'}), (2, 2, False, set()), (4, 4, False, set()),
                                                   (2, 3, False, {'race'}), (2, 5, True, set()), (1, 3, True, set())])
def test_reverse_flag_is_needed_once_a_slot_is_reused(slots, trips, back, want):
    v = verdict(Bridge(slots, trips).cube_to_vector(back=back, wait_back=back))
    assert words(v) == want, [f.message for f in v.findings]


@pytest.mark.parametrize('ready,wait,want', [(True, True, set()), (True, False, {'race'}), (False, True, {'deadlock'}), (False, False, {'race'})])
def test_vector_to_cube_waits_for_both_vector_cores(ready, wait, want):
    v = verdict(Bridge().vector_to_cube(ready, wait))
    assert words(v) == want, [f.message for f in v.findings]


def test_mode_2_set_by_one_vector_core_only_starves_the_cube():
    b = Bridge()
    k = b.k
    vector = [k.instr('fill', b.h, 0.0), k.barrier(), k.copy(b.half(b.H), b.h), k.when(E.Bin('==', VID, E.Const(0), 'bool'), k.cset('MTE3', 2))]
    v = verdict(k.program(cube=[k.loop('tc', 1, k.cwait(2))], vector=vector))
    (f,) = v.of('deadlock')
    assert 'AIC' in f.message and 'cross flag 2' in f.message


def test_deadlock_witness_names_waiter_and_last_setter():
    v = verdict(Bridge(trips=4).cube_to_vector(back=False))
    (f,) = v.of('deadlock')
    roles = {s.role for s in f.sides}
    assert roles == {'waits', 'last set by'} and all(s.span for s in f.sides)


def test_cross_flag_left_set_at_the_end_is_no_finding():
    b = Bridge()
    assert verdict(b.cube_to_vector(wait_back=False, back=True)).clean


def test_cross_flag_counter_overflows_at_sixteen_outstanding_sets():
    for sets, want in ((15, set()), (16, {'flag'})):
        k = Kernel()
        k.alloc('u', 'UB')
        k.alloc('l1', 'L1')
        v = verdict(k.program(cube=[k.cset('FIX', 0) for _ in range(sets)], vector=[k.cwait(0)]))
        assert words(v) == want


@pytest.mark.parametrize('mode,kind', [(1, 'V'), (0, 'V'), (0, 'C')])
@pytest.mark.parametrize('wait', [True, False])
def test_modes_0_and_1_join_cores_of_one_kind(mode, kind, wait):
    k = Kernel(blocks=2 if mode == 0 else 1)
    G = k.alloc('G', 'GM', (4, 16, 64), 'float32')
    u = k.alloc('u', 'UB', (16, 64), 'float32')
    l1 = k.alloc('l1', 'L1', (16, 64), 'float32')
    l0c = k.alloc('l0c', 'L0C', (16, 64), 'float32')
    me = E.add(E.mul(CID, 2 if kind == 'V' else 1), VID)
    peer = E.fold(E.Bin('^', me, E.Const(1)))
    mine, other = at(G, (me, 0, 0), (1, 16, 64)), at(G, (peer, 0, 0), (1, 16, 64))
    join = [k.cset('MTE3' if kind == 'V' else 'FIX', 0, mode), *([k.cwait(0)] if wait else [])]
    if kind == 'V':
        program = k.program(vector=[k.instr('fill', u, 0.0), k.barrier(), k.copy(u, mine), *join, k.barrier(), k.copy(other, u), k.barrier()])
    else:
        program = k.program(cube=[k.copy(l0c, mine), *join, k.copy(other, l1)])
    found = words(verdict(program)) - {'uninit'}
    assert found == (set() if wait else {'race'})


@pytest.mark.parametrize('drain,join,want', [(True, True, set()), (False, True, {'race'}), (True, False, {'race'})])
def test_sync_all_orders_blocks_only_after_their_pipes_are_drained(drain, join, want):
    k = Kernel(blocks=3)
    G = k.alloc('G', 'GM', (3, 16, 64))
    u = k.alloc('u', 'UB')
    peer = E.fold(E.Bin('%', E.add(CID, 1), E.Const(3)))
    first = [k.instr('fill', u, 0.0), k.barrier(), k.when(E.Bin('==', VID, E.Const(0), 'bool'), k.copy(u, at(G, (CID, 0, 0), (1, 16, 64))))]
    vector = [*first, *([k.barrier()] if drain else []), *([k.instr('sync_all')] if join else []), k.copy(at(G, (peer, 0, 0), (1, 16, 64)), u), k.barrier()]
    v = verdict(k.program(cube=[k.instr('sync_all')] if join else [], vector=vector))
    assert words(v) - ({'race'} if not drain else set()) == want - ({'race'} if not drain else set())
    assert ('race' in words(v)) == ('race' in want), [f.message for f in v.findings]


def test_sync_all_on_one_kind_of_core_only_never_returns():
    k = Kernel(blocks=2)
    k.alloc('u', 'UB')
    k.alloc('l1', 'L1')
    assert words(verdict(k.program(vector=[k.instr('sync_all')]))) == {'deadlock'}


@pytest.mark.parametrize('blocks,want', [(24, set()), (25, {'deadlock'})])
def test_sync_all_needs_every_block_resident(blocks, want):
    k = Kernel(blocks=blocks)
    k.alloc('u', 'UB')
    k.alloc('l1', 'L1')
    assert words(verdict(k.program(both=[k.instr('sync_all')]))) == want


def test_wait_cross_flag_blocks_the_whole_core_on_a3_and_one_pipe_on_a5():
    """On a5 only the named pipe waits, so a load that does not depend on the flag still races nothing and may start early."""
    starts = {}
    for chip in ('a3', 'a5'):
        b = Bridge()
        k = b.k
        from tiletwin.backends.analysis import Analyser
        from tiletwin.machine.chip import chip as chip_of
        from tiletwin.passes.pipeline import lower

        program = k.program(cube=[*b.prepare(), k.copy(b.l0c, at(b.W, (0, 0, 0), (1, 64, 64))), k.cset('FIX', 0)],
                            vector=[k.instr('wait_cross_flag', 0, 'V'), k.copy(at(b.A, (0, 0), (32, 64)), b.h)])
        found = Analyser(lower(program, {}, 'pto', chip), chip_of(chip), 'pto', {}, True).run(frozenset())
        load = next(s for s in found.streams[0].timeline.slices if s.core == 'AIV0' and s.pipe == 'MTE2')
        store = next(s for s in found.streams[0].timeline.slices if s.pipe == 'FIX')
        starts[chip] = load.start < store.end
    assert starts == {'a3': False, 'a5': True}
