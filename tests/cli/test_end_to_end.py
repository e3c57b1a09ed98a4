"""The command line on real kernels."""

import json
import re
from pathlib import Path

import pytest

from tiletwin.cli import main

ROOT = Path(__file__).resolve().parents[2]
DEMO = 'examples/03_read_a_race_report.py'
FIXED = 'examples/04_fix_it.py'


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)


def line_of(text):
    return next(i for i, line in enumerate((ROOT / DEMO).read_text().splitlines(), 1) if text in line)


def test_the_race_is_found_with_both_of_its_lines(capsys):
    assert main(['check', DEMO]) == 1
    out = capsys.readouterr().out
    for line in ('T.tile.add(tile, tile, 1.0)', 'T.copy(tile, Y[row, 0])'):
        assert f'--> {DEMO}:{line_of(line)}' in out
    assert "set_flag('v', 'mte3', id)" in out and out.splitlines()[-1].startswith('verdict: error')


def test_with_the_missing_flag_the_kernel_is_clean(capsys):
    assert main(['check', FIXED, '--strict']) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith('verdict: clean')


def test_the_readme_shows_what_the_demo_prints(capsys):
    main(['check', DEMO])
    said = capsys.readouterr().out
    shown = re.search(r'```\n(tiletwin: error.*?)```', (ROOT / 'README.md').read_text(), re.S).group(1)
    assert shown.rstrip('\n') in said


def test_the_readme_shows_what_compare_prints(capsys):
    assert main(['compare', 'matmul.mkkn_gemm', '--case', 'source']) == 0
    said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = re.search(r'```\n(matmul.mkkn_gemm source.*?)```', (ROOT / 'README.md').read_text(), re.S).group(1).splitlines()
    assert len(shown) > 10 and [line for line in shown if line not in said] == []


def test_the_readme_names_every_command():
    commands = re.findall(r'^\| `tiletwin (\w+)', (ROOT / 'README.md').read_text(), re.M)
    from tiletwin.cli import parser

    (action,) = (a for a in parser()._actions if a.dest == 'command')
    assert set(commands) == set(action.choices)


@pytest.mark.parametrize('chip', ['a2', 'a5'])
def test_a_script_runs_on_the_chip_asked_for(chip, capsys):
    main(['check', DEMO, '--arch', chip, '--json'])
    (result,) = json.loads(capsys.readouterr().out)['results']
    assert [launch['chip'] for launch in result['launches']] == [chip]


@pytest.mark.parametrize('target', ['ascendc', 'pto'])
def test_kernels_that_leave_their_target_open_take_the_one_asked_for(target, capsys):
    main(['check', DEMO, FIXED, '--target', target, '--json'])
    results = json.loads(capsys.readouterr().out)['results']
    assert {launch['target'] for r in results for launch in r['launches']} == {target}


def test_lower_prints_one_program_per_kernel(capsys):
    assert main(['lower', DEMO]) == 0
    out = capsys.readouterr().out
    assert out.count('kernel ') == 1 and 'exp' in out and out.count('set_flag') == out.count('wait_flag') == 1


def test_trace_holds_every_pipe_the_kernel_uses(tmp_path, capsys):
    path = tmp_path / 'trace.json'
    assert main(['trace', DEMO, '-o', str(path)]) == 0
    events = json.loads(path.read_text())['traceEvents']
    rows = {e['args']['name'] for e in events if e['name'] == 'thread_name'}
    assert {'MTE2', 'VECTOR', 'MTE3'} <= rows
    assert any(e['ph'] == 's' for e in events)


def test_an_operator_is_checked_with_numbers_and_times(capsys):
    assert main(['check', 'softmax', '--json', '--case', first_case('softmax', capsys)]) == 0
    (result,) = json.loads(capsys.readouterr().out)['results']
    assert result['ok'] and all(launch['verdict'] == 'clean' and launch['modelled']['us'] > 0 for launch in result['launches'])


def first_case(name, capsys):
    main(['list', '--json'])
    return next(row['cases'][0] for row in json.loads(capsys.readouterr().out)['operators'] if row['name'] == name)


def test_the_three_operators_of_the_demo_are_listed(capsys):
    main(['list'])
    names = {line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(' ')}
    assert {'matmul.mkkn_gemm', 'softmax', 'flash_attn.ws3'} <= names
