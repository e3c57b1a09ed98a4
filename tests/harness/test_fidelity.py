"""The statistics of the fidelity table against values computed by hand or by an independent formula."""

import math
from types import SimpleNamespace

import pytest

from tiletwin.harness.fidelity import BOUND, CONTEXT, SCORED, Outcome, busy_errors, score, scores, spearman
from tiletwin.report.fidelity import json_document, page, percent
from tiletwin.report.fidelity_plot import plot


def outcome(measured, modelled, cat='dma', kind=SCORED, left=None, busy=None, about='tiles of 64x64', name='a'):
    row = SimpleNamespace(id=name, cat=cat, kernel='GM->UB | 64x64', shape='64x64', dtype='fp16', hw='910B1', cores='24', us=measured)
    return Outcome(row, kind, about, modelled, busy, 'mte2' if modelled else '', '', left)


def test_errors_are_relative_to_the_measured_time():
    assert outcome(10.0, 12.0).error == pytest.approx(0.2)
    assert outcome(10.0, 8.0, left=9.0).left_out_error == pytest.approx(-0.1)
    assert outcome(None, 8.0).error is None and outcome(10.0, None).error is None and outcome(10.0, 8.0).left_out_error is None


def test_score_of_three_rows():
    found = score('x', [outcome(10, 12, left=13), outcome(100, 90, left=90), outcome(20, 20, left=20), outcome(5, None, kind=CONTEXT)])
    assert found.rows == 3 and found.mape == pytest.approx(0.1)
    assert found.ratio == pytest.approx((1.2 * 0.9) ** (1 / 3))
    assert found.median == pytest.approx(abs(math.log(0.9)))
    assert found.spearman == pytest.approx(1.0)
    assert [o.row.us for o in found.worst] == [10, 100, 20]
    assert found.left_out == pytest.approx((0.3 + 0.1) / 3) and found.within == 1.0


def test_five_worst_rows_are_named_and_a_missing_prediction_leaves_the_mean_out():
    found = score('x', [outcome(10, 10 + i, left=None if i == 3 else 10) for i in range(8)])
    assert [o.us for o in found.worst] == [17, 16, 15, 14, 13] and found.left_out is None
    assert found.within == 3 / 8


def test_no_timed_row_has_no_score():
    assert score('x', [outcome(None, None, kind=CONTEXT)]) is None and scores([], SCORED) == []


@pytest.mark.parametrize('a, b, expected', [
    ([1, 2, 3, 4], [10, 20, 30, 40], 1.0), ([1, 2, 3, 4], [4, 3, 2, 1], -1.0), ([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], 0.9),
    ([1, 1, 2], [1, 1, 2], 1.0), ([1, 2, 3], [1, 1, 1], None), ([1, 2], [1, 2], None),
])
def test_rank_correlation(a, b, expected):
    assert spearman(a, b) == (None if expected is None else pytest.approx(expected))


def test_categories_are_scored_apart_and_together():
    found = scores([outcome(10, 11), outcome(10, 9, cat='gemm'), outcome(10, 30, cat='gemm', kind=BOUND)], SCORED)
    assert [(s.name, s.rows) for s in found] == [('dma', 1), ('gemm', 1), ('all', 2)]


def test_busy_times_count_for_scored_rows_only():
    rows = [outcome(10, 11, busy={'mte2': (8.0, 10.0), 'vec': (1.0, 1.0)}), outcome(10, 11, kind=BOUND, busy={'mte2': (1.0, 9.0)})]
    assert {p: [e for _, e in pairs] for p, pairs in busy_errors(rows).items()} == {'mte2': [pytest.approx(0.25)], 'vec': [pytest.approx(0.0)]}


EXAMPLE = [outcome(10, 11, left=12, busy={'mte2': (8.0, 9.0)}, name='r1'), outcome(100, 95, cat='gemm', left=94, name='r2'),
           outcome(50, 60, cat='cann_gelu', kind=BOUND, about='ours: flat tiles', name='r3'),
           outcome(7, None, cat='conv', kind=CONTEXT, about='no kernel of this category is modelled', name='r4')]


def test_the_page_tells_every_row_once():
    text = page(EXAMPLE)
    table = [line for line in text.splitlines() if line.startswith('|')]
    for name in ('r1', 'r2', 'r3'):
        assert sum(line.startswith(f'| {name} ') for line in table) == 1
    assert '| conv | 1 | no kernel of this category is modelled |' in text
    assert 'GM->UB \\| 64x64' in text, 'a bar in a cell does not break the table'
    assert '| mte2 | 1 | 12.5 % | r1 +12.5 % |' in text


def test_the_document_carries_unrounded_numbers():
    found = json_document(EXAMPLE)
    assert [r['id'] for r in found['rows']] == ['r1', 'r2', 'r3', 'r4']
    assert found['rows'][0]['error'] == pytest.approx(0.1) and found['rows'][3]['modelled_us'] is None
    assert found['scores']['scored'][-1]['category'] == 'all' and found['busy_mape'] == {'mte2': pytest.approx(0.125)}


def test_the_plot_has_a_point_per_timed_row_where_its_times_are():
    import xml.etree.ElementTree as ET

    root = ET.fromstring(plot(EXAMPLE))
    points = [c for c in root.iter('{http://www.w3.org/2000/svg}circle') if list(c)]
    assert len(points) == 3
    at = {list(c)[0].text.split()[0]: (float(c.get('cx')), float(c.get('cy'))) for c in points}
    # Both axes run over one to a hundred, upwards and to the right.
    side = 640 - 2 * 56
    for name, measured, modelled in (('r1', 10, 11), ('r2', 100, 95)):
        x, y = (56 + (math.log10(v) - 1) * side for v in (measured, modelled))
        assert at[name] == (pytest.approx(x, abs=0.1), pytest.approx(640 - y, abs=0.1))
    assert '<svg' in plot([]) and 'r&amp;d' in plot([outcome(1, 2, name='r&d')])


def test_percent():
    assert (percent(0.1234), percent(-0.05), percent(0.05, False), percent(None)) == ('+12.3 %', '-5.0 %', '5.0 %', '')
