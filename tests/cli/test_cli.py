"""Commands, exit statuses and what goes to which stream."""

import json
import os
import subprocess
import sys
import time

import pytest

from tiletwin.cli import main
from tiletwin.report.doctor import cache_folder, checks, is_ascend_fork


@pytest.mark.parametrize('argv, status', [
    (['check', 'clean'], 0), (['check', 'doubtful'], 0), (['check', 'doubtful', '--strict'], 1), (['check', 'racy'], 1), (['check', 'wrong'], 1),
    (['check', 'vouched'], 0), (['check', 'vouched', '--strict'], 0), (['check', 'vouched', 'racy'], 1), (['check', 'partial'], 1), (['check', 'big'], 1), (['check', 'clean', 'racy'], 1), (['check', 'nothing'], 2),
    (['check', 'clean', '--arch', 'h100'], 2),
    (['check', 'clean', '--case', 'none'], 2), (['check', 'new'], 2), (['check', 'new', '--arch', 'a5'], 0), (['check', 'new', '--arch', 'all'], 0),
    (['check', 'automatic'], 2), (['check', 'automatic', '--mode', 'developer'], 0), (['check', 'missing.py'], 2), (['lower', 'all'], 2),
    (['trace', 'clean', '--arch', 'all'], 2), (['trace', 'clean', '-o', 'no/such/folder/t.json'], 2), (['trace', 'big'], 1), (['list'], 0), (['list', '--arch', 'a5', '--topology', 'vec-only'], 0), (['list', '--topology', 'sideways'], 2),
    (['list', '--arch', 'h100'], 2), (['lower', 'clean', '--after', 'nothing'], 2),
    (['lower', 'clean', '--diff'], 0), (['lower', 'clean', '--profile', 'both'], 2), (['lower', 'clean', '--diff', '--profile', 'both'], 0),
    (['doctor', '--configs', 'both'], 0), (['doctor', '--configs', 'new'], 0), (['doctor', '--configs', 'nothing'], 2), (['doctor', '--configs', 'big'], 1),
    (['frobnicate'], 2), (['check'], 2), (['check', 'clean', '--mode', 'wild'], 2), (['--help'], 0),
])
def test_exit_status(operators, capsys, argv, status):
    assert main(argv) == status


def test_names_are_checked_before_anything_runs(operators, capsys):
    assert main(['check', 'clean', 'nothing']) == 2
    assert main(['check', 'clean', 'new']) == 2
    assert operators['clean'].ran == []


@pytest.mark.parametrize('argv, ran', [
    ([], [('small', 'expert', 'a3'), ('big', 'expert', 'a3')]),
    (['--arch', '910B'], [('small', 'expert', 'a2'), ('big', 'expert', 'a2')]),
    (['--case', 'big'], [('big', 'expert', 'a3')]),
    (['--arch', 'all', '--case', 'big'], [('big', 'expert', 'a2'), ('big', 'expert', 'a3')]),
])
def test_cases_that_run(operators, capsys, argv, ran):
    main(['check', 'clean', *argv])
    assert operators['clean'].ran == ran


def test_findings_the_contract_vouches_for_are_counted_and_named(operators, capsys):
    main(['check', 'vouched', '--case', 'small', '--strict'])
    out = capsys.readouterr().out
    assert 'accepted: vouched small on a3, expert: 1 finding of gu: it is idempotent' in out and 'verdict: clean' in out
    main(['check', 'vouched', '--case', 'small', '--json'])
    (result,) = json.loads(capsys.readouterr().out)['results']
    assert result['accepted'] == [{'name': 'gu', 'reason': 'it is idempotent', 'findings': 1}] and result['launches'][0]['findings']


def test_a_skip_states_its_reason(operators, capsys):
    main(['check', 'new', '--arch', 'all'])
    assert 'skipped: new is not written for a2, only for a5' in capsys.readouterr().out


@pytest.mark.parametrize('argv, ran, left_out', [
    ([], ['quick'], 'mixed old: not for a3; mixed huge: slow; --slow runs them'), (['--slow'], ['quick', 'huge'], 'mixed old: not for a3'),
    (['--arch', 'a2'], ['quick', 'old'], 'mixed huge: slow; --slow runs them'), (['--case', 'huge'], ['huge'], ''),
])
def test_cases_left_out_are_named(operators, capsys, argv, ran, left_out):
    main(['check', 'mixed', *argv])
    assert [case for case, _, _ in operators['mixed'].ran] == ran
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith('skipped')] == ([f'skipped: {left_out}'] if left_out else [])


def test_usage_errors_name_the_way_out_without_a_traceback(operators, capsys):
    main(['check', 'clear'])
    error = capsys.readouterr().err
    assert error.startswith("tiletwin: error no operator 'clear'; did you mean 'clean'?") and 'Traceback' not in error


def test_a_missing_simulator_says_what_to_install(operators, capsys):
    operators['clean'].outcome = ModuleNotFoundError("No module named 'tilelang'", name='tilelang')
    assert main(['check', 'clean']) == 2
    assert 'pip install "tiletwin[sim]"' in capsys.readouterr().err


def test_check_prints_findings_table_and_verdict(operators, capsys):
    main(['check', 'racy'])
    out = capsys.readouterr().out
    assert out.startswith('tiletwin: error[race] a error\n') and out.count('tiletwin: error') == 1, 'one finding of two cases is told once'
    assert 'also in racy big on a3' in out
    assert 'modelled us' in out
    assert out.splitlines()[-1] == 'verdict: error (1 error[race])  2 launches'


def test_wrong_numbers_are_an_error_verdict(operators, capsys):
    main(['check', 'wrong', '--case', 'small'])
    out = capsys.readouterr().out
    assert 'wrong small: max abs error 0.5' in out
    assert out.splitlines()[-1] == 'verdict: error  1 launch, 1 of 1 results wrong'


def test_a_refused_kernel_is_told_with_its_class(operators, capsys):
    main(['check', 'big', '--case', 'small'])
    assert 'tiletwin: error[capacity] UB overflow on a3' in capsys.readouterr().out


def test_json_is_one_document(operators, capsys):
    assert main(['check', 'racy', 'wrong', '--json']) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document['format'], document['command'], document['status']) == (1, 'check', 1)
    racy, wrong = document['results'][0], document['results'][2]
    assert racy['launches'][0]['verdict'] == 'error' and racy['launches'][0]['findings'][0]['class'] == 'race'
    assert (wrong['ok'], wrong['message']) == (False, 'max abs error 0.5')


def test_output_is_the_same_every_time(operators, capsys):
    texts = []
    for _ in range(2):
        main(['check', 'clean', 'racy'])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_list_names_operators_and_cases(operators, capsys):
    main(['list', '--json'])
    rows = {row['name']: row for row in json.loads(capsys.readouterr().out)['operators']}
    assert rows['new'] == {'name': 'new', 'formula': 'y = x', 'topology': 'vec-only', 'priority': 'P0', 'modes': ['expert'],
                           'chips': ['a5'], 'cases': ['small', 'big']}


def test_trace_writes_the_longest_launch(operators, simulator, tmp_path, capsys):
    script = tmp_path / 'two.py'
    script.write_text("from tiletwin.jit import run\nrun(name='short', cycles=10.0)\nrun(name='long', cycles=1850.0)\n")
    assert main(['trace', str(script), '-o', str(tmp_path / 't.json')]) == 0
    assert json.loads((tmp_path / 't.json').read_text())['otherData']['kernel'] == 'long'
    assert capsys.readouterr().out.strip() == f'{tmp_path / "t.json"}: long on a3, 1.00 us modelled, the longest of 2 launches'


SCRIPTS = {
    'clean': ('run()', 0, '1 launch'),
    'racy': ("run(finding('error'))", 1, 'error[race]'),
    'quiet': ('pass', 0, 'no kernel was launched'),
    'raises': ("run()\nraise ValueError('not close')", 1, 'ValueError: not close'),
    'exits': ('import sys; run(); sys.exit(3)', 1, 'exit status 3'),
    'exits well': ('import sys; run(); sys.exit(0)', 0, '1 launch'),
    'refused': ("from tiletwin.errors import PathError\nraise PathError('no data path L0C -> UB on a3')", 1, 'error[path] no data path'),
}


@pytest.mark.parametrize('name', SCRIPTS)
def test_scripts_are_judged(simulator, tmp_path, capsys, name):
    body, status, says = SCRIPTS[name]
    script = tmp_path / 'script.py'
    script.write_text(f"from tiletwin.jit import run, finding\nassert __name__ == '__main__'\n{body}\n")
    assert main(['check', str(script)]) == status
    assert says in capsys.readouterr().out


def test_a_failing_script_shows_its_own_frames_only(simulator, tmp_path, capsys):
    script = tmp_path / 'script.py'
    script.write_text("def f():\n    raise ValueError('x')\n\n\nf()\n")
    main(['check', str(script)])
    out = capsys.readouterr().out
    assert out.count('  File ') == 2 and 'runpy' not in out


def test_a_script_sees_itself_as_main_and_leaves_the_process_as_it_was(simulator, tmp_path, capsys):
    (tmp_path / 'beside.py').write_text('value = 7\n')
    script = tmp_path / 'script.py'
    script.write_text("import os, sys, beside\nassert sys.argv == [__file__] and os.environ['TL_PLATFORM'] == 'A2' and beside.value == 7\n")
    before = (list(sys.argv), list(sys.path), os.environ.get('TL_PLATFORM'))
    assert main(['check', str(script), '--arch', 'a2']) == 0
    assert (sys.argv, sys.path, os.environ.get('TL_PLATFORM')) == before


def test_with_json_what_a_script_prints_goes_to_standard_error(simulator, tmp_path, capsys):
    script = tmp_path / 'script.py'
    script.write_text("print('hello')\n")
    main(['check', str(script), '--json'])
    streams = capsys.readouterr()
    assert json.loads(streams.out)['results'][0]['ok'] and 'hello' in streams.err


def test_doctor_states_what_is_missing_and_how_to_get_it(capsys):
    status = main(['doctor', '--json'])
    rows = {c['name']: c for c in json.loads(capsys.readouterr().out)['checks']}
    assert {'python', 'torch', 'tilelang', 'torch_npu', 'chip a2', 'chip a3', 'chip a5', 'simulator'} <= set(rows)
    assert status == (0 if rows['torch']['ok'] and rows['tilelang']['ok'] else 2)
    assert all(c.fix for c in checks() if not c.ok)


@pytest.mark.parametrize('chosen', ['', 'elsewhere'])
def test_doctor_names_the_folder_the_front_end_keeps_programs_in(monkeypatch, chosen):
    from tiletwin.language import cache

    monkeypatch.setenv('TILETWIN_CACHE_DIR', chosen)
    assert cache_folder() == cache.directory()


def test_the_fork_is_known_by_its_dialect_files(tmp_path):
    (tmp_path / 'language').mkdir()
    assert not is_ascend_fork(tmp_path)
    (tmp_path / 'language' / 'ascend.py').touch()
    assert is_ascend_fork(tmp_path)


def test_help_is_quick_and_loads_nothing_heavy():
    code = ("import sys, tiletwin.cli\nassert tiletwin.cli.main(['--help']) == 0\n"
            "bad = {'torch', 'tilelang', 'numpy', 'rich'} & set(sys.modules)\nassert not bad, bad\n")
    best = 9.9
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    assert best < 0.3
