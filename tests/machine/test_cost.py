"""The cost functions give back the constants published measurements were reduced to (hardware 1.6, 1.7, 3.5)."""

import pytest

from tiletwin.ir.ops import OPS, ROUTES
from tiletwin.machine.chip import CHIPS, chip
from tiletwin.machine.cost import CostModel, l2_hit
from tiletwin.machine.vector import VECTOR_OPS


def full(name):
    c = chip(name)
    return CostModel(c, c.cube_cores, c.vector_cores)


def alone(name):
    return CostModel(chip(name), 1, 1)


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
    assert full(name).dma('gm_to_ub', 1, 128).cycles == cycles


@pytest.mark.parametrize('rows, row_bytes, cycles', [(64, 128, 341), (64, 512, 1033)])
def test_nd2nz_with_all_cube_cores(rows, row_bytes, cycles):
    assert full('a2').dma('gm_to_l1', rows, row_bytes, 24576).cycles == pytest.approx(cycles, rel=0.005)


def test_nd2nz_step_of_one_core_alone():
    m = CostModel(chip('a2'), 1, 1, l2_hit=1.0)
    parts = [m.dma('gm_to_l1', 128, 128, 16384), m.dma('gm_to_l1', 64, 512, 16384)]
    assert sum(p.cycles + p.latency for p in parts) == pytest.approx(1380, rel=0.08)


@pytest.mark.parametrize('name, route, chip_rate', [
    ('a2', 'gm_to_ub', 1.49e12), ('a2', 'gm_to_l1', 1.41e12), ('a5', 'gm_to_ub', 1.63e12), ('a5', 'gm_to_l1', 1.63e12),
])
def test_all_cores_together_reach_the_hbm_rate(name, route, chip_rate):
    c = chip(name)
    cores = c.cube_cores if route == 'gm_to_l1' else c.vector_cores
    cycles = full(name).dma(route, 64, 4096, 65536).cycles
    assert cores * 64 * 4096 / (cycles / (c.clock_mhz * 1e6)) == pytest.approx(chip_rate, rel=1e-6)


@pytest.mark.parametrize('name, route, rate', [('a2', 'gm_to_l1', (82, 86)), ('a5', 'gm_to_l1', (86, 88)), ('a2', 'gm_to_ub', (38, 39))])
def test_a_core_reads_l2_at_its_port_rate(name, route, rate):
    m = CostModel(chip(name), chip(name).cube_cores, chip(name).vector_cores, l2_hit=1.0)
    assert rate[0] <= 65536 / m.dma(route, 64, 1024, 65536).cycles <= rate[1]


@pytest.mark.parametrize('route, core_kind, measured_us', [('gm_to_ub', 'vector', 365.74), ('gm_to_l1', 'cube', 414.96)])
def test_three_quarters_l2_hits(route, core_kind, measured_us):
    """12288^2 half read four times over, a quarter at a time (hardware 3.5)."""
    c = chip('a2')
    cores = c.vector_cores if core_kind == 'vector' else c.cube_cores
    m = CostModel(c, c.cube_cores, c.vector_cores, l2_hit=l2_hit(c, 4, 1))
    tiles = 4 * 12288 * 12288 * 2 / cores / (64 * 2048)
    assert c.microseconds(tiles * m.dma(route, 64, 2048, 24576).cycles) == pytest.approx(measured_us, rel=0.08)


@pytest.mark.parametrize('route, rate', [('gm_to_ub', 23.4), ('ub_to_gm', 27.8)])
def test_one_vector_core_alone_without_double_buffer(route, rate):
    cost = alone('a2').dma(route, 1, 8192)
    assert 8192 / (cost.cycles + cost.latency) == pytest.approx(rate, rel=0.005)


@pytest.mark.parametrize('dst_es, low, high', [(4, 1799, 1842), (2, 980, 1000)])
def test_fix_of_a_128x256_tile(dst_es, low, high):
    assert low <= full('a2').dma('l0c_to_gm', 128, 256 * dst_es, 8192 * dst_es, 0, 4, dst_es).cycles <= high


def test_gm_start_off_a_burst_costs_a2_and_not_a5():
    for name, factor in (('a2', 1 / 0.7), ('a5', 1.0)):
        m = full(name)
        assert m.dma('gm_to_ub', 1, 32768, 0, 32).cycles == pytest.approx(factor * m.dma('gm_to_ub', 1, 32768, 0, 512).cycles)


def test_rows_apart_move_whole_lines():
    m = full('a2')
    assert m.dma('gm_to_ub', 512, 130, 4096).cycles == pytest.approx(m.dma('gm_to_ub', 512, 256, 4096).cycles)
    assert m.dma('gm_to_ub', 512, 128, 128).cycles == pytest.approx(m.dma('gm_to_ub', 1, 65536).cycles)


@pytest.mark.parametrize('repeats', [1, 32, 127, 128])
def test_vadd_bank_free_and_conflicting(repeats):
    m = full('a2')
    assert m.vector('add', 128 * repeats, 2) == 22 + 1.00 * repeats
    assert m.vector('add', 128 * repeats, 2, conflict=True) == 22 + 2.00 * repeats


# Add C1, C3, C6: cycles per vadd as measured
@pytest.mark.parametrize('elements, conflict, cycles', [(4096, True, 86.0), (16384, True, 278.5), (16256, False, 149.6)])
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
    assert full('a3').vector(op, 64 * repeats, 4) == pytest.approx(head + slope * repeats)


def test_a5_add_of_8192_repeats():
    """11.12 us for 8192 repeats in instructions of 64 (hardware 1.6)."""
    m = full('a5')
    assert m.vector('add', 128 * 8192, 2) - m.vector('add', 0, 2) == pytest.approx(11.12 * 1650, rel=0.001)


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
    """[64, 256] fp32, one row is 4 repeats: 2 folds over 128 and 64 repeats, then 64 whole-repeat sums."""
    assert full('a2').vector('reduce', 64 * 256, 4, rows=64, cols=256) == (22 + 128) + (22 + 64) + (46 + 7 * 64)


def test_merging_a_reduction_into_its_old_result_is_scalar_work():
    m = full('a2')
    extra = m.vector('reduce', 4096, 4, rows=64, cols=64, clear=False) - m.vector('reduce', 4096, 4, rows=64, cols=64)
    assert extra == 128 * m.scalar('ub_read') + 64 * m.scalar('ub_write') + 128 * m.scalar('loop')


def test_transpose_is_one_instruction_only_at_16x16_of_two_bytes():
    m = full('a2')
    assert m.vector('transpose', 256, 2, rows=16, cols=16) < 100 < m.vector('transpose', 256, 4, rows=16, cols=16)


@pytest.mark.parametrize('distance, conflict', [(0, True), (32, True), (256, False), (512, True), (768, False), (4096, True)])
def test_two_sources_meet_in_a_bank_group_unless_half_a_row_apart(distance, conflict):
    assert full('a2').bank_conflict(1024, 1024 + distance) is conflict
    assert full('a5').bank_conflict(1024, 1024 + distance) is False


def test_first_touches_miss_l2_and_later_ones_hit_as_far_as_it_reaches():
    c = chip('a3')
    assert l2_hit(c, 100, 100) == 0 and l2_hit(c, 400, 100) == 0.75 and l2_hit(c, 0, 0) == 0
    assert l2_hit(c, 100, 0) == 1, 'what the launch itself wrote is in L2'
    assert l2_hit(c, 10**12, 2 * 192 * 2**20) == pytest.approx(0.5, abs=1e-3)


# The larger set is beyond L2, where the model knows least.
@pytest.mark.parametrize('n, us, error', [(6144, 1433.7, 0.01), (8192, 3552.2, 0.2)])
def test_gemm_loads_of_the_published_runs(n, us, error):
    """MTE2 busy time of a 128x256 tiling on 24 cores, operands in panels of 256 and 64 of K (hardware 1.6, 3.2)."""
    c = chip('a2')
    read, footprint = (n * n * 2) * (n // 256 + n // 128), 2 * n * n * 2
    m = CostModel(c, 24, 0, l2_hit(c, read, footprint))
    steps = n**3 / (128 * 256 * 256) / 24
    cycles = m.dma('gm_to_l1', 128, 512, 2 * n).cycles + m.dma('gm_to_l1', 256, 512, 2 * n).cycles
    assert c.microseconds(steps * cycles) == pytest.approx(us, rel=error)


def test_launch_block_and_scalar_constants():
    m = full('a3')
    us = chip('a3').microseconds
    assert us(m.block_overhead()) == pytest.approx(0.65, rel=0.001)
    assert 3 <= us(m.launch('vector')) <= 5 and us(m.launch('cube')) == pytest.approx(5.9, rel=0.01)
    assert 2 * m.scalar('gm_read') + m.scalar('gm_write') + m.scalar('loop') == 34
    assert m.sync_all(48) > m.cross_flag() > m.flag() and m.pipe_barrier('ALL') > m.pipe_barrier('V')
