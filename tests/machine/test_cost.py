"""The cost functions give back the constants published measurements were reduced to (hardware 1.6, 1.7, 3.5)."""

import numpy as np
import pytest

from tiletwin.ir.ops import OPS, ROUTES
from tiletwin.machine.chip import CHIPS, chip
from tiletwin.machine.cost import CostModel, Residency
from tiletwin.machine.l2 import Tensor, crowds, fits, hbm_cycles, hit_shares, residency
from tiletwin.machine.vector import VECTOR_OPS


def full(name):
    c = chip(name)
    return CostModel(c, c.cube_cores, c.vector_cores)


def alone(name):
    return CostModel(chip(name), 1, 1)


def cached(name, hit, cubes=None, vectors=None, l1_read=False):
    """A launch whose reads find the share `hit` of tensor 'A' in L2."""
    c = chip(name)
    return CostModel(c, cubes or c.cube_cores, vectors or c.vector_cores, Residency({'A': hit}), l1_read)


@pytest.mark.parametrize('name, m, k, n, dtype, cycles', [
    ('a2', 128, 64, 256, 'float16', 522), ('a2', 128, 64, 256, 'bfloat16', 522), ('a5', 256, 64, 256, 'float16', 1033),
    ('a2', 128, 64, 256, 'float32', 4 * 512 + 10), ('a2', 128, 64, 256, 'int8', 512 / 2 + 10), ('a5', 256, 64, 256, 'float8_e4m3fn', 1024 / 2 + 9),
    ('a2', 1, 1, 1, 'float16', 11), ('a2', 17, 17, 17, 'float16', 18),
])
def test_mmad_counts_fractals(name, m, k, n, dtype, cycles):
    assert full(name).mmad(m, k, n, dtype) == cycles


@pytest.mark.parametrize('name, a, b, low, high', [('a2', 16384, 32768, 410, 430), ('a5', 32768, 32768, 330, 336)])
def test_mte1_step_of_the_gemm(name, a, b, low, high):
    m = full(name)
    assert low <= m.mte1('l1_to_l0a', a) + m.mte1('l1_to_l0b', b) <= high


@pytest.mark.parametrize('name, cycles', [('a2', 20.6), ('a3', 20.6), ('a5', 39.4)])
def test_smallest_dma_is_issue_limited(name, cycles):
    assert full(name).dma('gm_to_ub', 1, 128).cycles == pytest.approx(cycles, abs=1 / 128)


@pytest.mark.parametrize('name, route, rows, row_bytes, cycles', [
    ('a2', 'gm_to_l1', 64, 128, 341), ('a2', 'gm_to_l1', 64, 512, 1033), ('a2', 'gm_to_ub', 64, 2048, 7812),
    ('a5', 'gm_to_l1', 64, 128, 346), ('a5', 'gm_to_ub', 64, 2048, 8509),
])
def test_tiles_of_rows_from_hbm_with_all_cores(name, route, rows, row_bytes, cycles):
    """data_copy (hardware 1.6, 3.5): measured time of all tiles over their number on one core."""
    assert full(name).dma(route, rows, row_bytes, 24576).cycles == pytest.approx(cycles, rel=0.025)


def test_nd2nz_step_of_one_core_alone():
    m = cached('a2', 1.0, 1, 1, l1_read=True)
    parts = [m.dma('gm_to_l1', 128, 128, 16384, tensor='A'), m.dma('gm_to_l1', 64, 512, 16384, tensor='A')]
    assert sum(p.cycles for p in parts) + parts[1].latency == pytest.approx(1380, rel=0.025)


@pytest.mark.parametrize('name, route, chip_rate', [
    ('a2', 'gm_to_ub', 1.56e12), ('a5', 'gm_to_ub', 1.66e12), ('a5', 'gm_to_l1', 1.65e12),
])
def test_all_cores_together_reach_the_hbm_rate_with_long_bursts(name, route, chip_rate):
    c = chip(name)
    cores = c.cube_cores if route == 'gm_to_l1' else c.vector_cores
    cycles = full(name).dma(route, 1, 65536).cycles
    assert cores * 65536 / (cycles / (c.clock_mhz * 1e6)) == pytest.approx(chip_rate, rel=0.02)


@pytest.mark.parametrize('name, route, l1_read, rate', [
    ('a2', 'gm_to_l1', True, (85, 87)), ('a5', 'gm_to_l1', True, (99, 101)),
    ('a2', 'gm_to_l1', False, (109, 111)), ('a2', 'gm_to_ub', False, (65, 68)),
])
def test_a_core_reads_l2_at_its_port_or_share(name, route, l1_read, rate):
    assert rate[0] <= 65536 / cached(name, 1.0, l1_read=l1_read).dma(route, 64, 1024, 65536, tensor='A').cycles <= rate[1]


@pytest.mark.parametrize('name, route, overhead_us, measured_us', [
    ('a2', 'gm_to_ub', 13.1, 365.74), ('a2', 'gm_to_l1', 15.7, 414.96), ('a5', 'gm_to_ub', 2.9, 354.95), ('a5', 'gm_to_l1', 3.5, 390.3),
])
def test_three_quarters_l2_hits(name, route, overhead_us, measured_us):
    """12288^2 half read four times over, a quarter at a time (hardware 3.5); the overhead is that of the row without hits."""
    c = chip(name)
    cores = c.vector_cores if route == 'gm_to_ub' else c.cube_cores
    tiles = 4 * 12288 * 12288 * 2 / cores / (64 * 2048)
    cycles = cached(name, 0.75).dma(route, 64, 2048, 24576, tensor='A').cycles
    assert c.microseconds(tiles * cycles) + overhead_us == pytest.approx(measured_us, rel=0.08)


def test_one_vector_core_alone_without_double_buffer():
    """Add C1: a pair of loads in flight together, stores one by one (hardware 1.6)."""
    load, store = alone('a2').dma('gm_to_ub', 1, 8192), alone('a2').dma('ub_to_gm', 1, 8192)
    assert 2 * 8192 / (2 * load.cycles + load.latency) == pytest.approx(23.4, rel=0.01)
    assert 8192 / (store.cycles + store.latency) == pytest.approx(27.8, rel=0.005)


@pytest.mark.parametrize('dst_es, low, high', [(4, 1799, 1842), (2, 980, 1000)])
def test_fix_of_a_128x256_tile(dst_es, low, high):
    assert low <= full('a2').dma('l0c_to_gm', 128, 256 * dst_es, 8192 * dst_es, 0, 4, dst_es).cycles <= high


def test_gm_start_off_a_burst_costs_a2_and_not_a5():
    for name, factor in (('a2', 1 / 0.7), ('a5', 1.0)):
        m = full(name)
        assert m.dma('gm_to_ub', 1, 32768, 0, 32).cycles == pytest.approx(factor * m.dma('gm_to_ub', 1, 32768, 0, 512).cycles, abs=1 / 64)


def test_rows_apart_move_whole_lines():
    m = full('a2')
    assert m.dma('gm_to_ub', 512, 130, 4096).cycles == pytest.approx(m.dma('gm_to_ub', 512, 256, 4096).cycles)
    assert m.dma('gm_to_ub', 512, 128, 128).cycles == pytest.approx(m.dma('gm_to_ub', 1, 65536).cycles)
    assert m.dma('gm_to_ub', 512, 128, 4096).cycles > 1.3 * m.dma('gm_to_ub', 512, 128, 128).cycles, 'every row opens a burst'


@pytest.mark.parametrize('repeats', [1, 32, 127, 128])
def test_vadd_bank_free_and_conflicting(repeats):
    m = full('a2')
    assert m.vector('add', 128 * repeats, 2) == 22 + 1.00 * repeats
    assert m.vector('add', 128 * repeats, 2, conflict='read') == 22 + 2.00 * repeats


# Add C1, C3, C6: cycles per vadd as measured
@pytest.mark.parametrize('elements, conflict, cycles', [(4096, 'read', 86.0), (16384, 'read', 278.5), (16256, '', 149.6)])
def test_vadd_against_the_add_ladder(elements, conflict, cycles):
    assert full('a2').vector('add', elements, 2, conflict=conflict) == pytest.approx(cycles, rel=0.005)


# hardware 1.7, single-source instructions and vdiv: slope, head
@pytest.mark.parametrize('op, slope, head', [
    ('muls', 1, 26), ('adds', 1, 31), ('maxs', 1, 23), ('relu', 1, 23), ('mins', 1, 30), ('div', 4.03, 31), ('compare', 2, 36), ('exp', 2.00, 31),
    ('ln', 2.00, 33), ('sqrt', 2, 39), ('rsqrt', 1.07, 24), ('abs', 1, 29), ('leaky_relu', 1.03, 26), ('copy', 1, 24), ('fill', 1, 24),
    ('select', 2, 27), ('cast', 2, 32),
])
@pytest.mark.parametrize('repeats', [1, 10])
def test_published_vector_fits(op, slope, head, repeats):
    assert full('a3').vector(op, 64 * repeats, 4) == pytest.approx(head + slope * repeats, abs=1 / 128)


# 1000 x add of 4096 float32, in ticks of 20 ns (hardware 2.3)
@pytest.mark.parametrize('conflict, ticks', [('', 2390), ('read', 4167), ('write', 3751)])
def test_vadd_against_the_bank_microbenchmark(conflict, ticks):
    m = full('a2')
    assert 1000 * m.vector('add', 4096, 4, conflict=conflict) == pytest.approx(ticks * 0.020 * 1850, rel=0.03)


# A5 Add C1 and C3: us on the vector pipe, tiles per core, halves per tile (hardware 3.4)
@pytest.mark.parametrize('us, tiles, tile', [(943.4, 16384, 4096), (11.121, 64, 16384)])
def test_a5_vadd_against_the_add_ladder(us, tiles, tile):
    assert tiles * full('a5').vector('add', tile, 2) == pytest.approx(us * 1650, rel=0.01)


def test_an_operation_fused_to_the_one_before_shares_the_issue_ports_and_does_not_start_again():
    m = full('a5')
    assert m.fuses and not full('a2').fuses
    assert m.vector('mul', 640, 4, fused=True) == 10 * 2 / 2
    assert m.vector('sigmoid', 640, 4) == m.vector('muls', 640, 4) + 10 * (4 + 1 + 1 + 4) / 2, 'a library routine is one vector function'


def test_a_tail_costs_its_floor():
    m = full('a2')
    assert m.vector('add', 100, 2) == 22 + 1 + 16


@pytest.mark.parametrize('name', CHIPS)
@pytest.mark.parametrize('op', sorted(op for op, spec in OPS.items() if spec.pipe == 'V'))
def test_every_vector_op_has_a_cost_that_grows_with_its_work(name, op):
    assert op in VECTOR_OPS
    m = full(name)
    small = m.vector(op, 1024, 4, rows=16, cols=64, repeats=4)
    big = m.vector(op, 16384, 4, rows=64, cols=256, repeats=64)
    assert 0 < small < big


@pytest.mark.parametrize('name', CHIPS)
def test_every_route_the_chip_has_has_a_cost(name):
    c, m = chip(name), full(name)
    for pair in c.paths - {('UB', 'UB')}:
        route, pipe = ROUTES[pair]
        assert (m.mte1(route, 4096) if pipe == 'MTE1' else m.dma(route, 8, 512, 4096).cycles) > 0


def test_reduction_folds_then_reduces_rows():
    """[64, 256] fp32, one row is 4 repeats: folds over 128 repeats (two instructions, one a column) and 64, then 64 whole-repeat sums."""
    assert full('a2').vector('reduce', 64 * 256, 4, rows=64, cols=256) == (2 * 22 + 128) + (22 + 64) + (46 + 7 * 64)


@pytest.mark.parametrize('rows, repeats, instructions', [(1, 8, 1), (3, 8, 3), (64, 2, 2), (4, 4, 4)])
def test_an_instruction_steps_along_one_row_or_down_one_column(rows, repeats, instructions):
    """Spreading one row: vcopy has a head of 24."""
    assert full('a2').vector('broadcast', rows * repeats * 64, 4, rows=rows, cols=repeats * 64, axis=0) == 24 * instructions + rows * repeats


def test_merging_a_reduction_into_its_old_result_is_scalar_work():
    m = full('a2')
    extra = m.vector('reduce', 4096, 4, rows=64, cols=64, clear=False) - m.vector('reduce', 4096, 4, rows=64, cols=64)
    assert extra == 128 * m.scalar('ub_read') + 64 * m.scalar('ub_write') + 128 * m.scalar('loop')


def test_transpose_is_one_instruction_only_at_16x16_of_two_bytes():
    m = full('a2')
    assert m.vector('transpose', 256, 2, rows=16, cols=16) < 100 < m.vector('transpose', 256, 4, rows=16, cols=16)


@pytest.mark.parametrize('distance, conflict', [(0, 'read'), (32, 'read'), (256, ''), (512, 'read'), (768, ''), (4096, 'read')])
def test_two_sources_meet_in_a_bank_group_unless_half_a_row_apart(distance, conflict):
    assert full('a2').bank_conflict(4096, 131072, 1024, 1024 + distance) == conflict
    assert full('a5').bank_conflict(4096, 131072, 1024, 1024 + distance) == ''


@pytest.mark.parametrize('dst, conflict', [(1024, 'write'), (1280, 'write'), (32768, 'write'), (65024, ''), (65536, ''), (66816, '')])
def test_a_result_meets_its_sources_only_in_their_own_64_kib_of_banks(dst, conflict):
    assert full('a2').bank_conflict(4096, dst, 1024, 1280) == conflict


MIB = 2**20


def test_a_launch_that_fits_l2_reads_every_byte_from_hbm_once():
    c = chip('a3')
    a, b = Tensor('A', 100, 400, 0, False), Tensor('B', 100, 100, 0, False)
    w, part = Tensor('W', 100, 300, 100, True), Tensor('P', 1000, 400, 0, False)
    assert fits(c, [a, b, w, part])
    assert residency(c, [a, b, w, part]).hits == {'A': 0.75, 'B': 0, 'W': 1, 'P': 0}, 'what the launch itself wrote is in L2'


@pytest.mark.parametrize('read, written, spilled', [(100, 92, 0), (256, 0, 0), (256, 256, 256), (96, 192, 96), (128, 128, 64), (10, 1000, 818)])
def test_writes_stay_in_l2_as_far_as_it_holds_all_that_is_touched(read, written, spilled):
    c, tensors = chip('a3'), [Tensor('A', read * MIB, read * MIB, 0, False), Tensor('C', written * MIB, 0, written * MIB, True)]
    found = residency(c, tensors)
    assert found.spilled * written == pytest.approx(spilled, abs=0.5)
    seconds = read * MIB / c.constants['gm.hbm'] + spilled * MIB / c.constants['gm.hbm_write']
    assert c.microseconds(hbm_cycles(c, tensors, found)) == pytest.approx(seconds * 1e6, rel=0.01)


def test_reads_past_l2_leave_it_to_the_writes():
    tensors = [Tensor('A', 256 * MIB, 256 * MIB, 0, False), Tensor('C', 128 * MIB, 0, 128 * MIB, True)]
    assert residency(chip('a3'), tensors).spilled == 1 and residency(chip('a3'), tensors, bypass=frozenset('A')).spilled == 0


@pytest.mark.parametrize('written, share', [(0, 0), (25, 0.5), (50, 1), (100, 1)])
def test_misses_are_slower_while_l2_takes_writes_in(written, share):
    c = chip('a5')
    tensors = [Tensor('A', 100, 100, 0, False), Tensor('C', written, 0, written, True)]
    assert residency(c, tensors).slowed == pytest.approx(1 + share * (c.constants['gm.filling'] - 1))
    assert residency(c, tensors, bypass=frozenset('A')).slowed == 1, 'reads past L2 are not in the way'


def rounds(*sets, times=4, tile=MIB):
    """Tiles of the tensors read one after the other, the whole list several times: columns of `hit_shares`."""
    one = [(i, k * tile) for i, tiles in enumerate(sets) for k in range(tiles)]
    which, at = np.array(one * times).T
    return which, at, np.full(len(which), tile), np.ones(len(which), bool)


@pytest.mark.parametrize('mib, share', [(64, 0.75), (190, 0.75), (240, 0.46), (800, 0.0)])
def test_a_set_read_over_and_over_hits_as_far_as_l2_holds_it(mib, share):
    c, t = chip('a3'), [Tensor('A', mib * MIB, 4 * mib * MIB, 0, False)]
    assert hit_shares(c, t, *rounds(mib))['A'] == pytest.approx(share, abs=0.05)


def test_a_small_set_stays_while_a_large_one_streams_past():
    c = chip('a3')
    tensors = [Tensor('hot', 8 * MIB, 0, 0, False), Tensor('cold', 1024 * MIB, 0, 0, False)]
    touched = [(0, (k % 8) * MIB) if k % 2 else (1, k // 2 * MIB) for k in range(2048)]
    which, at = np.array(touched).T
    shares = hit_shares(c, tensors, which, at, np.full(2048, MIB), np.ones(2048, bool))
    assert shares['hot'] > 0.98 and shares['cold'] == 0


def test_mean_distance_is_the_mean_over_all_windows():
    """Against counting distinct tiles window by window."""
    from tiletwin.machine.l2 import _footprint

    rng = np.random.default_rng(3)
    trace = rng.integers(0, 12, 60)
    n, size = len(trace), rng.integers(1, 9, 12).astype(float)
    gaps, weights, seen = [], [], {}
    for k, x in enumerate(trace, 1):
        gaps.append(k - seen.get(x, 0))
        weights.append(size[x])
        seen[x] = k
    gaps += [n + 1 - k for k in seen.values()]
    weights += [size[x] for x in seen]
    lengths = np.arange(1, n + 1)
    slow = [np.mean([size[np.unique(trace[i:i + w])].sum() for i in range(n - w + 1)]) for w in lengths]
    assert _footprint(np.array(gaps, float), np.array(weights), size[list(seen)].sum(), n, lengths) == pytest.approx(slow)


@pytest.mark.parametrize('name', CHIPS)
def test_durations_are_multiples_of_a_64th_cycle(name):
    m = full(name)
    found = [m.dma('gm_to_ub', 3, 100, 4096).cycles, m.dma('gm_to_l1', 7, 96, 4096).latency, m.mte1('l1_to_l0b', 1000), m.mmad(17, 33, 65, 'float32'),
             m.vector('mul', 777, 4, conflict='read'), m.sync_all(5), m.block_overhead(), m.launch('mix'), m.scalar('issue')]
    assert all(float(x * 64).is_integer() for x in found)


def test_launch_block_and_scalar_constants():
    m = full('a3')
    us = chip('a3').microseconds
    assert us(m.block_overhead()) == pytest.approx(0.65, rel=0.001)
    assert 3 <= us(m.launch('vector')) <= 5 and us(m.launch('cube')) == pytest.approx(5.9, rel=0.01)
    assert 2 * m.scalar('gm_read') + m.scalar('gm_write') + m.scalar('loop') == 34
    assert m.sync_all(48) > m.cross_flag() > m.flag() and m.pipe_barrier('ALL') > m.pipe_barrier('V')


def test_cores_that_read_one_tile_at_once_are_counted_per_moment():
    tensors = [Tensor('A', 100, 1, 0, False), Tensor('B', 100, 1, 0, False)]
    # Two moments of four cores: all at one tile of A, then pairs at two tiles of B.
    which, tile = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([5, 5, 5, 5, 7, 8, 7, 8])
    assert crowds(tensors, which, tile, 4) == {'A': 4, 'B': 2}
    assert crowds(tensors, which[:7], tile[:7], 4) == {}, 'cores of unequal length have no common moments'


def test_a_line_all_cores_want_serves_them_one_after_the_other():
    c = chip('a2')
    crowd = CostModel(c, 24, 48, Residency({'A': 1.0}, crowds={'A': 48.0})).dma('gm_to_ub', 64, 1024, 1024, tensor='A').cycles
    assert c.microseconds(96 * crowd) == pytest.approx(474.7, rel=0.01), 'hardware 3.5: 6144 rows of 1 KiB by every core in one order'
    assert CostModel(c, 24, 48, Residency({'A': 1.0})).dma('gm_to_ub', 64, 1024, 1024, tensor='A').cycles < crowd / 5
