"""memcheck and initcheck, rule by rule."""

import pytest

from tiletwin.errors import CapacityError, PathError
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Region

from .kernels import CID, VID, Kernel, at, verdict, words


def vector(build, chip='a3', target='ascendc', poisoned=frozenset(), blocks=1, both=False):
    k = Kernel(blocks)
    body = build(k)
    guard = [k.when(E.Bin('==', VID, E.Const(0), 'bool'), *body)]
    return verdict(k.program(vector=body if both else guard), chip, target, poisoned)


def load(k, name='u', shape=(16, 64), dtype='float16'):
    A = k.alloc(f'A_{name}', 'GM', shape, dtype)
    u = k.alloc(name, 'UB', shape, dtype)
    return u, [k.copy(A, u), k.barrier()]


# -- uninitialised ------------------------------------------------------------------------------------------------------
def _partial_load(k, rows):
    A = k.alloc('A', 'GM', (64, 64))
    u, v = k.alloc('u', 'UB'), k.alloc('v', 'UB')
    return [k.copy(at(A, (0, 0), (rows, 64)), at(u, (0, 0), (rows, 64))), k.barrier(), k.instr('exp', v, u)]


@pytest.mark.parametrize('rows,want', [(16, set()), (15, {'uninit'}), (1, {'uninit'})])
def test_reading_more_of_a_tile_than_was_loaded_is_uninitialised(rows, want):
    v = vector(lambda k: _partial_load(k, rows))
    assert words(v) == want
    for f in v.findings:
        assert f.overlap == f'UB bytes [{rows * 128}, 2048)'


def test_clipped_load_pads_the_rest_of_the_tile():
    def body(k):
        A = k.alloc('A', 'GM', (10, 64))
        u, v = k.alloc('u', 'UB'), k.alloc('v', 'UB')
        return [k.copy(at(A, (0, 0), (16, 64)), u), k.barrier(), k.instr('exp', v, u)]

    assert vector(body).clean


def test_clipped_load_of_one_byte_elements_is_not_padded():
    def body(k):
        A = k.alloc('A', 'GM', (10, 64), 'int8')
        u, v = k.alloc('u', 'UB', dtype='int8'), k.alloc('v', 'UB')
        return [k.copy(at(A, (0, 0), (16, 64)), u), k.barrier(), k.instr('cast', v, u, 'CAST_NONE', 1024)]

    assert words(vector(body)) == {'uninit'}


@pytest.mark.parametrize('init,want', [(True, set()), (False, {'uninit'})])
def test_accumulating_into_an_unset_accumulator_is_uninitialised(init, want):
    k = Kernel()
    A = k.alloc('A', 'GM', (64, 64))
    l1, l0c = k.alloc('l1', 'L1', (64, 64)), k.alloc('l0c', 'L0C', (64, 64), 'float32')
    v = verdict(k.program(cube=[k.copy(A, l1), k.mma(l1, l1, l0c, init, 'gemm_v0', transpose_A=False, transpose_B=False)]))
    assert words(v) == want
    if want:
        assert 'init=(k == 0)' in v.findings[0].fix


@pytest.mark.parametrize('k_rows,want', [(64, set()), (48, {'uninit'})])
def test_gemm_over_a_partly_loaded_l1_tile_is_uninitialised(k_rows, want):
    k = Kernel()
    A = k.alloc('A', 'GM', (64, 64))
    l1, l0c = k.alloc('l1', 'L1', (64, 64)), k.alloc('l0c', 'L0C', (64, 64), 'float32')
    part = at(A, (0, 0), (k_rows, 64)), at(l1, (E.Var('z'), 0), (k_rows, 64))
    from tiletwin.ir.nodes import Let
    v = verdict(k.program(cube=[Let(E.Var('z'), E.fold(E.Bin('*', CID, E.Const(16)))), k.copy(*part),
                                k.mma(l1, l1, l0c, True, 'gemm_v0', transpose_A=False, transpose_B=False)]))
    assert words(v) == want


@pytest.mark.parametrize('poisoned,want', [(frozenset(), set()), (frozenset({'A'}), {'uninit'})])
def test_reading_an_output_before_writing_it_is_uninitialised(poisoned, want):
    def body(k):
        A = k.alloc('A', 'GM', (16, 64))
        u = k.alloc('u', 'UB')
        return [k.copy(A, u), k.barrier(), k.copy(u, A)]

    assert words(vector(body, poisoned=poisoned)) == want


def test_atomic_add_into_an_empty_output_is_uninitialised():
    def body(k):
        u, pre = load(k)
        C = k.alloc('C', 'GM', (16, 64))
        return [*pre, k.instr('atomic_add', C, u)]

    v = vector(body, poisoned=frozenset({'C'}))
    assert words(v) == {'uninit'} and 'zeroed' in v.findings[0].fix


# -- out of bounds ------------------------------------------------------------------------------------------------------
def _run_past(k, count):
    u, pre = load(k)
    v = k.alloc('v', 'UB')
    return [*pre, k.instr('cast', v, u, 'CAST_NONE', count)]


@pytest.mark.parametrize('count,want', [(1024, set()), (1025, {'oob'}), (2048, {'oob'})])
def test_an_explicit_count_beyond_the_tile_is_out_of_bounds(count, want):
    assert words(vector(lambda k: _run_past(k, count))) - {'uninit'} == want


@pytest.mark.parametrize('start,want', [(0, set()), (3, set()), (4, {'oob'}), (-1, {'oob'})])
def test_a_gm_slice_outside_a_dim_that_is_not_clipped_is_out_of_bounds(start, want):
    def body(k):
        A = k.alloc('A', 'GM', (4, 16, 64))
        u = k.alloc('u', 'UB')
        return [k.copy(at(A, (start, 0, 0), (1, 16, 64)), u)]

    assert words(vector(body)) == want


@pytest.mark.parametrize('start,want', [(48, set()), (56, set()), (64, {'oob'})])
def test_an_l1_load_wholly_outside_reads_a_full_tile(start, want):
    k = Kernel()
    A = k.alloc('A', 'GM', (64, 64))
    l1 = k.alloc('l1', 'L1')
    assert words(verdict(k.program(cube=[k.copy(at(A, (start, 0), (16, 64)), l1)]))) == want


@pytest.mark.parametrize('start,want', [(0, set()), (2, {'oob'})])
def test_a_slot_index_beyond_the_ring_is_out_of_bounds(start, want):
    def body(k):
        A = k.alloc('A', 'GM', (16, 64))
        u = k.alloc('u', 'UB', (2, 16, 64))
        return [k.copy(A, at(u, (start, 0, 0), (1, 16, 64)))]

    assert words(vector(body)) == want


# -- alignment ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('offset,want', [(0, set()), (16, set()), (8, {'misaligned'}), (1, {'misaligned'})])
def test_vector_operands_start_at_32_bytes(offset, want):
    def body(k):
        u, pre = load(k, shape=(1024,))
        v = k.alloc('v', 'UB', (64,))
        return [*pre, k.instr('exp', v, at(u, (offset,), (64,)))]

    assert words(vector(body)) == want


@pytest.mark.parametrize('cols,rows,want', [(64, 4, set()), (24, 4, {'misaligned'}), (24, 1, set())])
def test_rows_of_a_ub_copy_are_whole_32_byte_blocks(cols, rows, want):
    def body(k):
        A = k.alloc('A', 'GM', (rows, cols))
        u = k.alloc('u', 'UB', (rows + 4, cols))
        return [k.copy(A, at(u, (0, 0), (rows, cols)))]

    assert words(vector(body)) == want


@pytest.mark.parametrize('n,want', [(128, set()), (64, {'misaligned'})])
def test_compare_works_on_256_byte_repeats(n, want):
    def body(k):
        u, pre = load(k, shape=(n,))
        mask = k.alloc('mask', 'UB', (32,), 'uint8')
        return [*pre, k.instr('compare', mask, u, u, 'EQ')]

    assert words(vector(body)) == want


def test_gemm_v0_operands_are_whole_tiles():
    k = Kernel()
    A = k.alloc('A', 'GM', (64, 64))
    l1, l0c = k.alloc('l1', 'L1', (64, 64)), k.alloc('l0c', 'L0C', (64, 64), 'float32')
    inner = Region('l1', (E.Const(0), E.Const(16)), (E.Const(64), E.Const(48)), 'region')
    v = verdict(k.program(cube=[k.copy(A, l1), k.mma(inner, l1, l0c, True, 'gemm_v0', transpose_A=False, transpose_B=False)]))
    assert 'misaligned' in words(v)


# -- flags ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('target', ['ascendc', 'pto'])
@pytest.mark.parametrize('ident,want', [(0, set()), (7, set()), (8, {'flag'})])
def test_event_ids_are_0_to_7(ident, target, want):
    def body(k):
        u, pre = load(k)
        return [*pre, k.set('MTE2', 'V', ident), k.wait('MTE2', 'V', ident)]

    assert words(vector(body, target=target)) == want


@pytest.mark.parametrize('trips,want', [(1, set()), (0, {'deadlock'}), (2, {'flag'})])
def test_a_wait_after_a_loop_that_sets_the_flag_needs_exactly_one_trip(trips, want):
    def body(k):
        u, pre = load(k)
        return [*pre, k.loop('t', trips, k.set('V', 'MTE3', 1)), k.wait('V', 'MTE3', 1)]

    assert words(vector(body)) == want


def test_flags_of_pipes_a_core_lacks_are_no_ops_there():
    k = Kernel()
    k.alloc('u', 'UB')
    k.alloc('l1', 'L1')
    assert verdict(k.program(both=[k.wait('MTE1', 'M')], cube=[k.set('MTE1', 'M')])).clean


# -- capacity and paths -------------------------------------------------------------------------------------------------
def test_capacity_error_prints_the_byte_map():
    def body(k):
        return [k.instr('fill', k.alloc(f't{i}', 'UB', (256, 256), 'float32'), 0.0) for i in range(2)]

    with pytest.raises(CapacityError) as err:
        vector(body)
    assert 't0' in str(err.value) and 't1' in str(err.value) and '524288' in str(err.value) and 'kernel.py:1' in str(err.value)


@pytest.mark.parametrize('space,shape,a3,a5', [('UB', (196352,), True, True), ('UB', (196384,), False, True), ('L0C', (131072,), True, True),
                                               ('L0C', (262144,), False, True), ('L1', (524032,), True, True), ('L1', (524288,), False, False)])
def test_capacities_follow_the_chip(space, shape, a3, a5):
    for chip, fits in (('a3', a3), ('a5', a5)):
        k = Kernel()
        k.alloc('t', space, shape, 'int8')
        program = k.program()
        if fits:
            verdict(program, chip)
        else:
            with pytest.raises(CapacityError):
                verdict(program, chip)


class Bridged:
    """A product goes L0C -> UB, comes back UB -> L1: the on-chip bridges of a5."""

    def __init__(self, rows=16):
        k = self.k = Kernel()
        self.A, self.C = k.alloc('A', 'GM', (32, 64)), k.alloc('C', 'GM', (32, 32))
        self.l1, self.l0c = k.alloc('l1', 'L1', (32, 64)), k.alloc('l0c', 'L0C', (32, 32), 'float32')
        self.s, self.h = k.alloc('s', 'UB', (rows, 32), 'float32'), k.alloc('h', 'UB', (rows, 32))
        self.p = k.alloc('p', 'L1', (32, 32))
        self.o = k.alloc('o', 'L0C', (32, 32), 'float32')

    def program(self, ready=True, back=True, wait=True):
        k = self.k
        cube = [k.copy(self.A, self.l1), k.mma(self.l1, self.l1, self.l0c, True, 'gemm_v0', transpose_A=False, transpose_B=True), k.copy(self.l0c, self.s),
                *([k.cset('FIX', 0)] if ready else []), *([k.instr('wait_cross_flag', 1, 'MTE1')] if wait else []),
                k.mma(self.p, self.p, self.o, True, 'gemm_v0', transpose_A=False, transpose_B=False), k.copy(self.o, self.C)]
        rows = self.s.dims[0]
        vector = [*([k.instr('wait_cross_flag', 0, 'V')] if ready else []), k.instr('cast', self.h, self.s, 'CAST_RINT', rows * 32), k.set('V', 'MTE3'), k.wait('V', 'MTE3'),
                  k.copy(self.h, at(self.p, (E.mul(VID, 16), 0), (16, 32))), *([k.cset('MTE3', 1)] if back else [])]
        return k.program(cube=cube, vector=vector)


@pytest.mark.parametrize('chip', ['a2', 'a3'])
def test_on_chip_bridges_are_refused_where_the_chip_has_none(chip):
    with pytest.raises(PathError) as err:
        verdict(Bridged().program(), chip)
    assert 'workspace' in str(err.value)


@pytest.mark.parametrize('changes,want', [({}, set()), ({'ready': False}, {'race'}), ({'wait': False}, {'race'}), ({'back': False}, {'deadlock'})])
def test_on_chip_bridges_need_cross_flags_like_any_path(changes, want):
    v = verdict(Bridged().program(**changes), 'a5', 'pto')
    assert words(v) == want, [f.message for f in v.findings]


def test_on_chip_bridges_split_the_rows_between_the_vector_cores():
    import torch

    from tiletwin.backends.simulator import simulate
    from tiletwin.passes.pipeline import lower
    from tiletwin.sim.options import Options

    a = torch.randn(32, 64, generator=torch.Generator().manual_seed(0)).half()
    out = {'A': a, 'C': torch.empty(32, 32, dtype=torch.float16)}
    launch = simulate(lower(Bridged().program(), {}, 'pto', 'a5'), out, {}, Options('a5', 'pto'), frozenset({'C'}))
    p = (a.float() @ a.float().t()).half().float()
    assert launch.verdict.clean and torch.allclose(out['C'].float(), p @ p, rtol=1e-3, atol=1e-3)


# -- aliasing -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('address,want', [(2048, set()), (0, {'race'}), (1024, {'race'})])
def test_buffers_that_share_bytes_alias_and_others_do_not(address, want):
    def body(k):
        A = k.alloc('A', 'GM', (16, 64))
        u = k.alloc('u', 'UB', address=0, annotated=True)
        v = k.alloc('v', 'UB', address=address, annotated=True)
        return [k.copy(A, u), k.instr('fill', v, 0.0), k.barrier()]

    assert words(vector(body)) == want


def test_two_slots_of_one_buffer_do_not_alias():
    def body(k):
        A = k.alloc('A', 'GM', (16, 64))
        u = k.alloc('u', 'UB', (2, 16, 64))
        return [k.copy(A, at(u, (0, 0, 0), (1, 16, 64))), k.instr('fill', at(u, (1, 0, 0), (1, 16, 64)), 0.0)]

    assert vector(body).clean


# -- blocks -------------------------------------------------------------------------------------------------------------
BLOCKS = {
    'own_rows': (lambda c: E.mul(c, 16), 'copy', set()),
    'same_rows': (lambda c: E.Const(0), 'copy', {'race'}),
    'overlapping_rows': (lambda c: E.mul(c, 8), 'copy', {'race'}),
    'wrapped_rows': (lambda c: E.mul(E.Bin('%', c, E.Const(2)), 16), 'copy', {'race'}),
    'atomic_same_rows': (lambda c: E.Const(0), 'atomic_add', set()),
}


@pytest.mark.parametrize('row', BLOCKS)
def test_blocks_own_their_output(row):
    start, op, want = BLOCKS[row]

    def body(k):
        u, pre = load(k)
        C = k.alloc('C', 'GM', (128, 64))
        dst = at(C, (start(CID), 0), (16, 64))
        return [*pre, k.copy(u, dst) if op == 'copy' else k.instr('atomic_add', dst, u)]

    v = vector(body, blocks=4)
    assert words(v) == want
    if want:
        assert {s.block for s in v.findings[0].sides} != {None} and len({s.block for s in v.findings[0].sides}) == 2


def test_a_block_that_reads_what_another_writes_races():
    def body(k):
        C = k.alloc('C', 'GM', (128, 64))
        u = k.alloc('u', 'UB')
        return [k.copy(at(C, (E.mul(E.Bin('%', E.add(CID, 1), E.Const(4)), 16), 0), (16, 64)), u), k.barrier(), k.copy(u, at(C, (E.mul(CID, 16), 0), (16, 64)))]

    assert words(vector(body, blocks=4)) == {'race'}


def test_both_vector_cores_writing_one_tile_race():
    def body(k):
        u, pre = load(k)
        C = k.alloc('C', 'GM', (16, 64))
        return [*pre, k.copy(u, C)]

    (f,) = vector(body, both=True).of('race')
    assert {s.core for s in f.sides} == {'AIV0', 'AIV1'}


def test_a_cache_operation_on_an_output_nobody_has_written_yet_reads_nothing():
    def body(k):
        A = k.alloc('A', 'GM', (16, 64))
        return [k.instr('datacachecleanandinvalid_experiment', A, 'ENTIRE_DATA_CACHE', 'CACHELINE_OUT'), k.store(A, (0, 0), E.Const(1.0, 'float16'))]

    assert vector(body, poisoned=frozenset({'A'})).clean


@pytest.mark.parametrize('clean,want', [(True, 'clean'), (False, 'review')])
def test_scalar_and_dma_access_of_one_gm_address_needs_a_cache_operation(clean, want):
    def body(k):
        A = k.alloc('A', 'GM', (16, 64))
        u = k.alloc('u', 'UB')
        flush = [k.instr('datacachecleanandinvalid_experiment', A, 'ENTIRE_DATA_CACHE', 'CACHELINE_OUT')] if clean else []
        return [k.store(A, (0, 0), E.Const(1.0, 'float16')), *flush, k.copy(A, u)]

    assert vector(body).level == want
