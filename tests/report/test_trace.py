"""The Chrome trace of a launch."""

import json

import pytest

from tiletwin.report import jsonout, trace
from tiletwin.report.tracks import ROWS


def test_the_whole_trace(make_launch, golden):
    golden('trace.json', trace.dumps(make_launch()))


def test_the_text_is_the_same_json_as_the_object(make_launch):
    launch = make_launch()
    assert json.loads(trace.dumps(launch)) == json.loads(json.dumps(trace.chrome(launch)))


def test_rows_carry_the_profiler_names_in_its_order(make_launch):
    events = trace.chrome(make_launch())['traceEvents']
    names = [e['args']['name'] for e in events if e['ph'] == 'M' and e['name'] == 'thread_name']
    assert names == ['SCALAR', 'VECTOR', 'MTE2', 'MTE3', 'FLOWCTRL', 'SCALAR stalls', 'VECTOR stalls', 'MTE2 stalls', 'MTE3 stalls']
    assert set(names[:5]) <= set(ROWS)


@pytest.mark.parametrize('chip, clock', [('a3', 1850), ('a5', 1650)])
def test_microseconds_are_cycles_over_the_clock(make_launch, chip, clock):
    launch = make_launch(chip=chip)
    slices = [e for e in trace.chrome(launch)['traceEvents'] if e['ph'] == 'X' and e['cat'] != 'stall']
    assert len(slices) == len(launch.timeline.slices)
    for event, s in zip(slices, launch.timeline.slices):
        assert event['ts'] == pytest.approx(s.start / clock, abs=1e-6) and event['dur'] == pytest.approx((s.end - s.start) / clock, abs=2e-6)


def test_an_arrow_starts_inside_the_slice_that_set_the_flag_and_never_points_back(make_launch):
    events = trace.chrome(make_launch())['traceEvents']
    tail, tip = next(e for e in events if e['ph'] == 's'), next(e for e in events if e['ph'] == 'f')
    source = next(e for e in events if e['ph'] == 'X' and e['name'] == 'copy')
    assert tail['id'] == tip['id'] and tail['name'] == tip['name'] == 'MTE2->V 0'
    assert (tail['pid'], tail['tid']) == (source['pid'], source['tid'])
    assert source['ts'] <= tail['ts'] < source['ts'] + source['dur'] <= tip['ts'] + 1e-9


def test_slices_of_one_row_do_not_overlap(make_launch):
    rows = {}
    for e in trace.chrome(make_launch())['traceEvents']:
        if e['ph'] == 'X':
            rows.setdefault((e['pid'], e['tid']), []).append((e['ts'], e['ts'] + e['dur']))
    for spans in rows.values():
        spans.sort()
        assert all(a[1] <= b[0] + 1e-6 for a, b in zip(spans, spans[1:]))


def test_it_says_the_times_are_modelled(make_launch):
    data = trace.chrome(make_launch())['otherData']
    assert (data['timing'], data['chip'], data['clock_mhz']) == ('modelled', 'a3', 1850)


def test_the_json_record(make_launch, verdict, golden):
    golden('launch.json', json.dumps(jsonout.launch(make_launch(verdict=verdict)), indent=1) + '\n')


def test_the_json_record_holds_no_wall_time(make_launch):
    launch = make_launch()
    before = jsonout.launch(launch)
    launch.wall['data'] = 99.0
    assert jsonout.launch(launch) == before


def test_a_stall_says_its_cause_its_flag_and_both_lines(make_launch):
    events = trace.chrome(make_launch())['traceEvents']
    found = [e for e in events if e['ph'] == 'X' and e['cat'] == 'stall']
    waits = {e['name']: e['args'] for e in found if 'flag' in e['args']}
    assert set(waits) == {'waits for a flag', 'data still landing', 'scalar unit held up', 'barrier of all pipes'}
    assert waits['data still landing'] == {'cycles': 20.0, 'flag': 'MTE2->V 0', 'waits at': 'racy_kernel.txt:8', 'set at': 'racy_kernel.txt:8',
                                           'behind it': 'AIV0 MTE2'}


def test_counters_follow_the_bytes_moved_and_the_memory_in_use(make_launch):
    events = [e for e in trace.chrome(make_launch())['traceEvents'] if e['ph'] == 'C']
    moved = [(round(e['ts'] * 1850), e['args']['value']) for e in events if e['name'] == 'GM bytes a cycle']
    held = [(round(e['ts'] * 1850), e['args']['value']) for e in events if e['name'] == 'UB bytes in use']
    assert moved == [(5, 36.248), (118, 0.0), (185, 22.141), (370, 0.0)]
    assert held == [(5, 4096), (138, 8192), (185, 4096), (370, 0)]
