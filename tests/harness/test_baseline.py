"""Baselines on disk: what is written is read back, damage has a place, and nothing is overwritten by accident."""

import json
import os

import pytest

from tiletwin.errors import TileTwinError
from tiletwin.harness import baseline
from tiletwin.harness.drift import CHANGED, GONE, NEW, SAME, STALE, drift, drifts, geomean, line_changes
from tiletwin.harness.record import Record

SYNCS = ('ops/expert/x.py:5 set_flag MTE2 V 0', 'ops/expert/x.py:6 wait_flag MTE2 V 0')


def record(operator='x.y', mode='expert', chip='a3', case='source', model='a3-1', commit='c1', syncs=SYNCS, **figures):
    return Record(operator, mode, chip, case, model, commit, {'cycles': 100.0, 'verdict': 'clean', **figures}, syncs)


def keyed(*records):
    return {r.key: r for r in records}


def test_what_is_written_is_read_back(tmp_path):
    records = [record(), record(mode='developer', cycles=200.5), record('z', syncs=())]
    assert baseline.refresh(tmp_path, records) == [tmp_path / 'x.jsonl', tmp_path / 'z.jsonl']
    found = baseline.read(tmp_path)
    assert found.damage == [] and found.records == keyed(*records)


def test_the_same_records_make_the_same_bytes(tmp_path):
    records = [record(), record(mode='developer'), record(chip='a2')]
    baseline.refresh(tmp_path / 'a', records)
    baseline.refresh(tmp_path / 'b', records[::-1])
    assert (tmp_path / 'a/x.jsonl').read_bytes() == (tmp_path / 'b/x.jsonl').read_bytes()


def test_a_refresh_rewrites_only_what_changed(tmp_path):
    baseline.refresh(tmp_path, [record(), record('z')])
    before = os.stat(tmp_path / 'z.jsonl').st_mtime_ns
    assert baseline.refresh(tmp_path, [record(commit='c2'), record('z', commit='c2')]) == []
    assert baseline.refresh(tmp_path, [record(commit='c2', cycles=90.0), record('z', commit='c2')]) == [tmp_path / 'x.jsonl']
    assert os.stat(tmp_path / 'z.jsonl').st_mtime_ns == before
    found = baseline.read(tmp_path).records
    assert [r.commit for r in found.values()] == ['c2', 'c1']


def test_a_record_that_is_gone_leaves_the_shard_and_an_empty_shard_the_folder(tmp_path):
    baseline.refresh(tmp_path, [record(), record('z')])
    baseline.refresh(tmp_path, [], [record('z').key])
    assert [p.name for p in tmp_path.iterdir()] == ['x.jsonl']


DAMAGES = {
    'cut off in a line': (lambda text: text[:-20], 'x.jsonl:4: the line is cut off'),
    'cut off after a line': (lambda text: ''.join(text.splitlines(True)[:-1]), 'x.jsonl:1: the header names 3 lines, 2 follow'),
    'a line of rubbish': (lambda text: text.replace('{"operator"', '#{"operator"', 1), 'x.jsonl:3: no JSON'),
    'no header': (lambda text: ''.join(text.splitlines(True)[1:]), 'x.jsonl:1: no header'),
    'another format': (lambda text: text.replace('"format": 1', '"format": 99'), 'x.jsonl:1: no header of format 1'),
    'a record without figures': (lambda text: text.replace('"figures"', '"fugues"', 1), 'x.jsonl:3: no record'),
    'a number alone': (lambda text: text + '7\n', 'x.jsonl:5: no JSON object'),
    'a record twice': (lambda text: text + text.splitlines(True)[-1], 'x.jsonl:5: a second record of x.y source on a3, expert'),
    'an unknown list of synchronisation': (lambda text: text.replace('"syncs": "', '"syncs": "0', 2), 'no record (KeyError'),
    'empty': (lambda text: '', 'x.jsonl:1: no header'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_is_reported_by_line_and_never_overwritten(tmp_path, damage):
    spoil, says = DAMAGES[damage]
    baseline.refresh(tmp_path, [record(), record(mode='developer')])
    path = tmp_path / 'x.jsonl'
    text = path.read_text()
    path.write_text(spoil(text))
    assert path.read_text() != text
    assert says in '\n'.join(map(str, baseline.read(tmp_path).damage))
    spoilt = path.read_bytes()
    with pytest.raises(TileTwinError, match='damaged'):
        baseline.refresh(tmp_path, [record(cycles=1.0)])
    assert path.read_bytes() == spoilt


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    baseline.refresh(tmp_path, [record()])
    before = (tmp_path / 'x.jsonl').read_bytes()
    monkeypatch.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        baseline.refresh(tmp_path, [record(cycles=1.0)])
    assert (tmp_path / 'x.jsonl').read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['x.jsonl']


def test_other_files_of_the_folder_are_no_shards(tmp_path):
    baseline.refresh(tmp_path, [record()])
    (tmp_path / 'x.mutations.jsonl').write_text('{}\n')
    (tmp_path / 'README.md').write_text('')
    assert baseline.read(tmp_path).damage == []


@pytest.mark.parametrize('before, after, state', [
    (record(), record(), SAME), (record(), record(commit='c2'), SAME), (None, record(), NEW), (record(), None, GONE),
    (record(), record(model='a3-2', cycles=7.0), STALE), (record(), record(cycles=100.015625), CHANGED), (record(), record(verdict='error'), CHANGED),
    (record(), record(extra=1), CHANGED), (record(**{'numbers.o.rmse': 1e-4}), record(**{'numbers.o.rmse': 1.9e-4}), SAME),
    (record(**{'numbers.o.rmse': 1e-4}), record(**{'numbers.o.rmse': 2.1e-4}), CHANGED), (record(**{'numbers.o.rmse': 0.0}), record(**{'numbers.o.rmse': 1e-9}), CHANGED),
    (record(**{'numbers.ok': 'yes'}), record(**{'numbers.ok': 'no'}), CHANGED), (record(), record(syncs=SYNCS[:1]), CHANGED),
])
def test_state(before, after, state):
    assert drift(before, after).state == state


def test_modelled_figures_are_compared_exactly_and_their_ratio_is_given():
    found = drift(record(), record(cycles=101.0))
    assert [(f.name, f.before, f.after, f.ratio) for f in found.figures] == [('cycles', 100.0, 101.0, 1.01)]
    assert found.ratio == 1.01 and drift(record(), record(model='b', cycles=9.0)).ratio is None


MOVED = tuple(s.replace(':5 ', ':15 ').replace(':6 ', ':16 ') for s in SYNCS)


@pytest.mark.parametrize('after, lines', [
    (SYNCS, ()), (MOVED, ()), (MOVED[:1], (f'- {SYNCS[1]}',)), 
    ((SYNCS[0].replace(' 0', ' 1'), SYNCS[1]), (f'- {SYNCS[0]}', f'+ {SYNCS[0].replace(" 0", " 1")}')),
])
def test_changed_synchronisation_is_named_by_line(after, lines):
    assert line_changes(SYNCS, after) == lines


def test_synchronisation_in_another_order_went_and_came():
    found = line_changes(SYNCS, SYNCS[::-1])
    assert sorted(x[0] for x in found) == ['+', '-'] and len({x[2:] for x in found}) == 1


def test_a_change_the_working_tree_records_is_expected():
    old, new = record(), record(cycles=90.0)
    (announced,) = drifts(keyed(old), keyed(new), keyed(new))
    (silent,) = drifts(keyed(old), keyed(new), keyed(old))
    assert (announced.state, announced.unexpected) == (CHANGED, False) and silent.unexpected
    (removed,) = drifts(keyed(old), {}, {})
    assert (removed.state, removed.unexpected) == (GONE, False)
    (lost,) = drifts(keyed(old), {}, keyed(old))
    assert lost.unexpected


def test_geomean():
    assert geomean([]) is None and geomean([2.0, 0.5]) == pytest.approx(1.0) and geomean([4.0]) == pytest.approx(4.0)


def test_every_line_of_a_shard_is_json(tmp_path):
    baseline.refresh(tmp_path, [record()])
    head, lists, row = map(json.loads, (tmp_path / 'x.jsonl').read_text().splitlines())
    assert head == {'format': 1, 'family': 'x', 'lines': 2} and lists['lines'] == list(SYNCS) and row['syncs'] == lists['syncs']
