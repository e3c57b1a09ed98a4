"""Where the time of a block goes: by hand on small timelines, and as sums on every operator."""

from dataclasses import replace

import pytest
import torch

import tiletwin
from tiletwin.errors import Span
from tiletwin.harness.limits import limits
from tiletwin.harness.registry import operators
from tiletwin.harness.roofline import Roof, Roofline, peak, roofline
from tiletwin.harness.stalls import WHYS, gaps, percentile, stalls
from tiletwin.machine.chip import chip
from tiletwin.sim.result import Arrow, Slice, Timeline, Traffic

LINE = {n: Span('k.py', n) for n in range(20)}


def op(pipe, start, end, line=1, core='AIV0', **more):
    return Slice(core, pipe, start, end, 'x', LINE[line], **more)


def wait(pipe, start, end, flag, line=2, set_at=3, core='AIV0', **more):
    return Slice(core, pipe, start, end, 'wait_flag', LINE[line], '', 'wait', flag=flag, set_at=LINE[set_at], **more)


def causes(slices, place, arrows=(), cycles=None):
    timeline = Timeline(slices, [Arrow(*a) for a in arrows], cycles or max(s.end for s in slices))
    return [(x.why, x.start, x.end, x.name) for x in stalls(timeline)[place]]


def test_a_wait_names_its_flag_and_the_lines_that_wait_and_set():
    slices = [op('MTE2', 0, 100), wait('V', 0, 100, 'MTE2->V 0'), op('V', 101, 120)]
    (found, *rest) = stalls(Timeline(slices, [Arrow(0, 2, 'MTE2->V 0')], 120))['AIV0', 'V']
    assert (found.why, found.cycles, found.name, found.at.line, found.by.line, found.source) == ('flag', 100, 'MTE2->V 0', 2, 3, 'AIV0 MTE2')
    assert [(x.why, x.cycles) for x in rest] == [('sync', 1)]


def test_what_is_still_landing_is_not_waiting_for_the_pipe():
    slices = [op('MTE2', 0, 60, latency=30), wait('V', 0, 92, 'MTE2->V 0'), op('V', 93, 99)]
    assert causes(slices, ('AIV0', 'V'), [(0, 2, 'MTE2->V 0')]) == [
        ('flag', 0, 60, 'MTE2->V 0'), ('landing', 60, 90, 'MTE2->V 0'), ('flag', 90, 92, 'MTE2->V 0'), ('sync', 92, 93, 'x')]


def test_a_cross_flag_is_under_way_after_its_setter_has_finished():
    slices = [op('FIX', 0, 50, core='AIC'), wait('V', 10, 350, 'cross 1'), op('V', 350, 360)]
    assert [c[:3] for c in causes(slices, ('AIV0', 'V'), [(0, 2, 'cross 1')])] == [('sync', 0, 10), ('flag', 10, 50), ('travel', 50, 350)]


def test_before_an_instruction_is_issued_its_queue_is_empty():
    slices = [op('V', 0, 10), op('V', 42, 50, issued=40)]
    assert causes(slices, ('AIV0', 'V')) == [('issue', 10, 40, 'x'), ('sync', 40, 42, 'x')]


def test_a_scalar_unit_that_waits_holds_up_its_pipes():
    slices = [op('V', 0, 10), wait('S', 12, 80, 'cross 3', line=5), op('V', 85, 90, issued=85)]
    assert causes(slices, ('AIV0', 'V')) == [('issue', 10, 12, 'x'), ('held', 12, 80, 'cross 3'), ('issue', 80, 85, 'x')]
    assert causes(slices, ('AIV0', 'S')) == [('flag', 12, 80, 'cross 3'), ('done', 85, 90, '')]


def test_a_pipe_works_until_its_data_have_landed():
    slices = [op('MTE2', 0, 10, latency=20), Slice('AIV0', 'MTE2', 10, 30, 'pipe_barrier', LINE[4], '', 'barrier'), op('MTE2', 31, 40, latency=20),
              wait('MTE2', 40, 65, 'V->MTE2 0'), op('V', 40, 70, line=9)]
    found = stalls(Timeline(slices, [], 70))['AIV0', 'MTE2']
    assert [(x.why, x.start, x.end) for x in found] == [('sync', 30, 31), ('flag', 60, 65), ('done', 65, 70)]
    assert (found[-1].by.line, found[-1].source) == (9, 'AIV0 V')
    assert gaps(Timeline(slices, [], 70)) == {('AIV0', 'MTE2'): [1]}


def test_a_barrier_of_all_pipes_stops_the_scalar_unit_and_every_pipe():
    slices = [op('V', 0, 30), Slice('AIV0', 'S', 5, 35, 'barrier_all', LINE[4], '', 'barrier'), op('V', 40, 50, issued=40)]
    assert causes(slices, ('AIV0', 'S')) == [('barrier', 5, 35, 'barrier_all'), ('done', 40, 50, '')]
    assert causes(slices, ('AIV0', 'V')) == [('held', 30, 35, 'barrier_all'), ('issue', 35, 40, 'x')]


def test_a_wait_at_the_end_finds_the_pipe_that_set_its_flag_without_an_arrow():
    slices = [op('V', 0, 5), op('MTE3', 5, 90), wait('V', 5, 91, 'MTE3->V 0')]
    found = stalls(Timeline(slices, [], 92))['AIV0', 'V']
    assert [(x.why, x.source) for x in found] == [('flag', 'AIV0 MTE3'), ('done', 'AIV0 MTE3')]


def test_two_waits_on_one_flag_take_two_arrows():
    slices = [op('MTE2', 0, 10), op('MTE2', 10, 40), wait('V', 0, 10, 'MTE2->V 0'), wait('V', 11, 40, 'MTE2->V 0'), op('V', 41, 50)]
    found = stalls(Timeline(slices, [Arrow(0, 4, 'MTE2->V 0'), Arrow(1, 4, 'MTE2->V 0')], 50))['AIV0', 'V']
    assert [(x.start, x.end) for x in found if x.why == 'flag'] == [(0, 10), (11, 40)]


def test_pauses_lie_between_two_operations():
    slices = [op('V', 5, 10), op('V', 10, 12), op('V', 20, 30), op('MTE3', 0, 50), op('V', 33, 40)]
    assert gaps(Timeline(slices, [], 60)) == {('AIV0', 'V'): [8, 3]}


@pytest.mark.parametrize('values, share, result', [([], 50, 0.0), ([7], 99, 7), ([1, 2, 3, 4], 50, 2), ([1, 2, 3, 4], 90, 4), (list(range(1, 101)), 99, 99)])
def test_percentiles_are_values_that_occurred(values, share, result):
    assert percentile(values, share) == result


# -- on the operators ----------------------------------------------------------------------------------------------------
def _launches(op, mode='expert'):
    arch = 'a3' if 'a3' in op.chips else op.chips[0]
    case = next(c for c in op.cases if not c.slow and (not c.chips or arch in c.chips) and c.name not in op.variant.form(mode).skips)
    return op.run_case(case, mode, arch).launches


@pytest.fixture(scope='module', params=[o for o in operators().values() if 'expert' in o.modes], ids=lambda o: o.name)
def launches(request):
    return _launches(request.param)


def test_work_and_stalls_of_every_pipe_add_up_to_the_cycles_of_the_block(launches):
    for timeline in (stream.timeline for launch in launches for stream in launch.streams):
        found = stalls(timeline)
        assert {place for place in timeline.busy} <= set(found)
        for place, own in found.items():
            assert {x.why for x in own} <= set(WHYS)
            spans = sorted([(x.start, x.end) for x in own] + [(s.start, s.end) for s in timeline.slices if (s.core, s.pipe) == place and s.kind == 'op'])
            assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), place
            if place[1] != 'S':
                assert timeline.busy[place] + sum(x.cycles for x in own) == timeline.cycles, place


def test_no_launch_is_faster_than_its_roofline(launches):
    found = limits(launches)
    assert 0 < found.roofline.fraction <= 1
    assert len(found.helps) <= 3 and all(x.advice and x.pipe in {p.name for p in found.pipes} for x in found.helps)
    assert sorted(found.helps, key=lambda x: -x.cycles) == sorted(found.helps, key=lambda x: (-x.cycles, x.why, str(x.at)))
    for p in found.pipes:
        assert p.busy + sum(p.stalls.values()) == pytest.approx(1.0)


# -- bounds and roofs ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('unit, dtype, tera', [('cube', 'float16', 363.7), ('cube', 'float32', 90.9), ('cube', 'int8', 727.4),
                                               ('vector', 'float16', 11.37), ('vector', 'float32', 5.68)])
def test_peaks_of_a3(unit, dtype, tera):
    """24 cores at 1.85 GHz: 16 x 16 x 16 fp16 multiply-adds a cycle and cube core, 256 bytes a cycle and vector core."""
    assert peak(chip('a3'), unit, dtype) == pytest.approx(tera * 1e12, rel=2e-3)


def _gemm(**attributes):
    op = tiletwin.operator('matmul.mkkn_gemm')
    op(torch.zeros(256, 256).half(), torch.zeros(256, 256).half(), cores=1, **attributes)
    return op.last.launch


def test_a_launch_counts_its_operations_and_splits_its_bytes():
    launch = _gemm()
    assert launch.flops == {'cube float16': 2 * 256 ** 3}
    t = launch.traffic
    assert t.hbm_read + t.l2_read == launch.gm_read and t.l2_written == launch.gm_written
    assert t.hbm_read == 2 * 256 * 256 * 2  # both operands once


@pytest.mark.parametrize('change, name', [
    (dict(flops={'cube float16': 10 ** 12}), 'cube float16'), (dict(traffic=Traffic(10 ** 10, 0, 0, 1)), 'HBM'),
    (dict(traffic=Traffic(1, 10 ** 11, 0, 1)), 'L2 read'), (dict(traffic=Traffic(1, 1, 0, 10 ** 11)), 'L2 write'),
    (dict(flops={'cube float16': 1, 'vector float32': 10 ** 10}), 'vector float32'),
])
def test_the_tightest_roof_is_what_takes_longest_at_its_peak(change, name):
    found = roofline([replace(_gemm(), **change)])
    assert found.tightest.name == name and found.tightest.microseconds == max(r.microseconds for r in found.roofs)


def test_data_types_of_one_unit_share_its_time():
    found = roofline([replace(_gemm(), flops={'vector float16': 10 ** 9, 'vector float32': 10 ** 9}, traffic=Traffic())])
    (roof,) = found.roofs
    single = [10 ** 9 / peak(chip('a3'), 'vector', d) * 1e6 for d in ('float16', 'float32')]
    assert roof.name == 'vector float32' and roof.microseconds == pytest.approx(sum(single))


def test_a_roofline_without_work_is_empty():
    found = Roofline(3.0, ())
    assert (found.tightest, found.fraction, found.flops, found.bytes) == (None, 0.0, 0.0, 0.0)
    assert Roof('HBM', 1e12, 1e6).microseconds == pytest.approx(1.0)


def test_the_parts_of_one_wait_are_one_loss():
    slices = [op('MTE2', 0, 60, latency=30), wait('V', 0, 90, 'MTE2->V 0'), op('V', 91, 99), op('MTE2', 99, 140, latency=50),
              wait('V', 99, 190, 'MTE2->V 0'), op('V', 191, 400)]
    timeline = Timeline(slices, [Arrow(0, 2, 'MTE2->V 0'), Arrow(3, 5, 'MTE2->V 0')], 400, {('AIV0', 'V'): 217, ('AIV0', 'MTE2'): 181})
    launch = _gemm()
    (loss, *_) = limits([replace(launch, streams=[replace(launch.streams[0], timeline=timeline)])]).helps
    assert (loss.why, loss.name, loss.at.line, loss.cycles, loss.count) == ('flag', 'MTE2->V 0', 2, 90 + 91, 2)


def test_a_pipe_without_work_in_a_second_launch_has_none_left_there():
    first, second = _gemm(), _gemm()
    second = replace(second, streams=[replace(second.streams[0], timeline=Timeline([op('V', 0, 900)], [], 1000, {('AIV0', 'V'): 900}))])
    found = {p.name: p for p in limits([first, second]).pipes}
    whole = first.timeline.cycles + 1000
    assert found['AIV V'].busy == pytest.approx(900 / whole)
    assert all(p.busy + sum(p.stalls.values()) == pytest.approx(1.0) for p in found.values())


def test_a_small_launch_is_limited_by_the_launch_itself():
    launch = _gemm()
    assert limits([replace(launch, cycles=launch.timeline.cycles / 0.4)]).bound.startswith('the launch itself')


def _bound(busy, cycles=1000.0, **changes):
    slices = [Slice(core, pipe, 0.0, share * cycles, 'x', LINE[1], bytes=size) for (core, pipe), (share, size) in busy.items()]
    timeline = Timeline(slices, [], cycles, {(s.core, s.pipe): s.end for s in slices})
    base = _gemm()
    stream = replace(base.streams[0], timeline=timeline, blocks=(0,))
    return limits([replace(base, streams=[stream], cycles=cycles, microseconds=cycles / 1850, flops={}, **{'traffic': Traffic(1, 1, 0, 1)} | changes)]).bound


US = 1000 / 1850e6  # seconds of the block


@pytest.mark.parametrize('busy, changes, bound', [
    ({('AIC', 'M'): (0.9, 0), ('AIC', 'MTE2'): (0.4, 0)}, {}, 'AIC M'),
    ({('AIC', 'M'): (0.3, 0), ('AIC', 'MTE2'): (0.4, 0)}, {}, 'waiting: no pipe works half of the time, AIC MTE2 works most'),
    ({('AIC', 'MTE2'): (0.9, 1)}, dict(traffic=Traffic(0.8 * US * 1.56e12, 0, 0, 1)), 'AIC MTE2, HBM bandwidth'),
    ({('AIC', 'MTE2'): (0.9, 1)}, dict(traffic=Traffic(1, 0.8 * US * 5.4e12, 0, 1)), 'AIC MTE2, L2 bandwidth'),
    ({('AIC', 'MTE2'): (0.9, 85000)}, dict(traffic=Traffic(0, 85000, 0, 1)), 'AIC MTE2, what one core can move'),
    ({('AIC', 'MTE2'): (0.9, 9000)}, dict(traffic=Traffic(0, 9000, 0, 1)), 'AIC MTE2, short rows or small transfers: their fixed cost'),
    ({('AIV0', 'V'): (0.2, 0), ('AIV1', 'V'): (0.8, 0)}, {}, 'AIV V'),
])
def test_the_bound_names_the_pipe_and_what_holds_it(busy, changes, bound):
    assert _bound(busy, **changes) == bound
