"""What a benchmark record holds, and what makes it another one."""

import dataclasses
import json

import pytest

from tiletwin.harness import baseline
from tiletwin.harness.record import kernel_source, measure, model_version, mutation_figures, sync_lines
from tiletwin.harness.registry import operator
from tiletwin.machine.chip import chip


def a_case(name='softmax'):
    return next(c for c in operator(name).cases if c.purpose == 'source' and not c.slow)


def test_a_record_is_the_same_every_time():
    first, second = (measure(operator('softmax'), a_case(), 'expert', 'a3') for _ in range(2))
    assert first == second and first.figures['verdict'] == 'clean' and first.figures['numbers.ok'] == 'yes'


def test_a_record_names_every_synchronisation_by_its_line():
    found = measure(operator('softmax'), a_case(), 'expert', 'a3')
    assert len(found.syncs) == sum(v for k, v in found.figures.items() if k.startswith('sync.'))
    assert all(s.startswith('ops/expert/softmax.py:') for s in found.syncs)


def test_the_case_too_large_to_compute_is_timed():
    op = operator('softmax')
    found = measure(op, next(c for c in op.cases if c.slow), 'expert', 'a3')
    assert found.figures['cycles'] > 0 and not [k for k in found.figures if k.startswith('numbers.')]


def test_a_case_the_kernel_refuses_is_a_record_of_the_refusal():
    case = dataclasses.replace(a_case(), sizes={'M': 0, 'N': 9})
    assert 'softmax' in measure(operator('softmax'), case, 'expert', 'a3').figures['refused']


def test_the_model_has_another_version_when_a_constant_changes():
    a3 = chip('a3')
    other = dataclasses.replace(a3, constants={**a3.constants, 'sync.flag': 2})
    faster = dataclasses.replace(a3, clock_mhz=1900.0)
    assert len({model_version(c) for c in (a3, other, faster, chip('a2'), chip('a5'))}) == 5
    assert model_version(a3) == model_version(dataclasses.replace(a3)) and model_version(a3).startswith('a3-')


def test_lines_outside_the_operators_are_named_as_well():
    op = operator('softmax')
    launch = op.time(dict(a_case().sizes), a_case().dtypes, 'developer', 'a3')[0]
    assert all(':' in line.split(' ')[0] for line in sync_lines(launch.program))


@pytest.mark.parametrize('row, figures', [
    ({'score': 100.0, 'redundant': 3}, {'mutation.score': 100.0, 'mutation.redundant': 3}), ({'source': 'old'}, {'mutation': 'stale'}),
    ({'mode': 'developer'}, {}), ({'operator': 'softmax.online'}, {}),
])
def test_the_mutation_score_of_the_kernel_as_it_stands(tmp_path, monkeypatch, row, figures):
    monkeypatch.setattr(baseline, 'default_folder', lambda: tmp_path)
    known = {'operator': 'softmax', 'mode': 'expert', 'chip': 'a3', 'source': kernel_source('softmax', 'expert'), 'score': 1.0, 'redundant': 0}
    (tmp_path / 'softmax.mutations.jsonl').write_text(json.dumps({**known, **row}) + '\n')
    assert mutation_figures('softmax', 'expert') == figures
