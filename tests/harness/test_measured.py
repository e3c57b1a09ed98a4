"""Records of measured times: kept whole, refused when damaged, compared with the model by key. The times here are made up."""

import json
from dataclasses import asdict, replace

import pytest

from tiletwin.cli import main
from tiletwin.errors import CallError, EnvironmentError_
from tiletwin.harness import measured
from tiletwin.harness.measured import Measurement, append, compare, modelled, read
from tiletwin.harness.registry import operators

RECORD = Measurement('softmax', 'expert', 'a3', 'minimum', 20.0, 18.0, 25.0, 50, True, '', 'Ascend910_9392', 24, {'cann': '8.5.0'})


def test_what_is_added_is_read_back_oldest_first(tmp_path):
    file = tmp_path / 'new' / 'measured.jsonl'
    second = replace(RECORD, us=21.0, ok=None)
    assert append(file, [RECORD]) == 1 and append(file, [second]) == 1
    assert read(file) == [RECORD, second]
    assert [p.name for p in file.parent.iterdir()] == [file.name], 'no scratch file is left'
    assert all(json.loads(line)['kind'] == 'measured' for line in file.read_text().splitlines())


def test_an_interrupted_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / 'measured.jsonl'
    append(file, [RECORD])
    before = file.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measured.os, 'replace', stop)
    with pytest.raises(KeyboardInterrupt):
        append(file, [RECORD])
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def line(**changed):
    entry = {'format': 1, **asdict(RECORD), **changed}
    return json.dumps({k: v for k, v in entry.items() if v is not ...}) + '\n'


DAMAGE = {
    'no JSON': 'nonsense\n', 'another format': line(format=2), 'no format': line(format=...), 'a modelled record': line(kind='modelled'), 'a field too many': line(extra=1),
    'a field less': line(us=...), 'no time': line(us=0.0), 'a list': '[1]\n', 'an empty line': '\n',
}


@pytest.mark.parametrize('what', DAMAGE)
def test_damage_has_a_place_and_nothing_is_added_to_it(tmp_path, what):
    file = tmp_path / 'measured.jsonl'
    file.write_text(line() + DAMAGE[what] + line())
    before = file.read_bytes()
    for act in (lambda: read(file), lambda: append(file, [RECORD])):
        with pytest.raises(CallError, match='measured.jsonl:2'):
            act()
    assert file.read_bytes() == before


def test_a_file_that_ends_in_the_middle_of_a_line_is_refused(tmp_path):
    file = tmp_path / 'measured.jsonl'
    file.write_text(line() + line()[:-1])
    with pytest.raises(CallError, match='cut off'):
        read(file)


def test_no_file_names_the_command_that_writes_one(tmp_path):
    with pytest.raises(EnvironmentError_, match='--backend ascend'):
        read(tmp_path / 'none')


def test_pairs_are_by_key_and_everything_else_has_a_reason():
    faster, wrong, unknown = replace(RECORD, us=10.0), replace(RECORD, case='tail', ok=False, message='output 0: nan'), replace(RECORD, case='gone')
    unchecked = replace(RECORD, case='large', ok=None, us=100.0)
    fit = compare([RECORD, wrong, unknown, unchecked, faster], {RECORD.key: 12.0, wrong.key: 5.0, unchecked.key: 80.0})
    assert [(p.key[3], p.measured, p.modelled) for p in fit.pairs] == [('minimum', 10.0, 12.0), ('large', 100.0, 80.0)], 'the newest of a key counts'
    assert [p.error for p in fit.pairs] == pytest.approx([0.2, -0.2]) and fit.mape == pytest.approx(0.2)
    assert fit.ratio == pytest.approx((1.2 * 0.8) ** 0.5)
    assert {key[3]: why.split(':')[0] for key, why in fit.left_out} == {'tail': 'its numbers were wrong',
                                                                        'gone': 'no operator, case or form of this name can be modelled'}


def test_the_modelled_side_is_the_launch_of_the_same_case_and_cores():
    record, op = replace(RECORD, case='source'), operators()['softmax']
    case = next(c for c in op.cases if c.name == 'source')
    wanted = sum(launch.microseconds for launch in op.run_case(case, 'expert', 'a3').launches)
    fewer = sum(launch.microseconds for launch in op.run_case(replace(case, attributes={**case.attributes, 'cores': 4}), 'expert', 'a3').launches)
    assert fewer != wanted
    assert modelled([record])[record.key] == pytest.approx(wanted, abs=1e-3)
    assert modelled([replace(record, cores=4)])[record.key] == pytest.approx(fewer, abs=1e-3)
    assert modelled([replace(RECORD, operator='gone'), replace(RECORD, case='gone')]) == {}


def test_the_command_compares_a_file_with_the_model(tmp_path, capsys):
    file = tmp_path / 'measured.jsonl'
    model = modelled([RECORD])[RECORD.key]
    append(file, [replace(RECORD, us=2 * model), replace(RECORD, case='gone')])
    assert main(['fidelity', '--measured', str(file), '--json']) == 0
    found = json.loads(capsys.readouterr().out)['measured']
    assert found['pairs'][0]['error'] == pytest.approx(-0.5) and found['mape'] == pytest.approx(0.5) and found['left_out'][0]['case'] == 'gone'
    assert main(['fidelity', '--measured', str(file)]) == 0
    out = capsys.readouterr().out
    assert '-50.0%' in out and 'not compared: softmax gone' in out and 'geometric mean of modelled over measured 0.500' in out
    assert main(['fidelity', '--measured', str(file), '--scored']) == 2 and main(['fidelity', '--measured', str(tmp_path / 'none')]) == 2
