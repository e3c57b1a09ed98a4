"""`tiletwin new`: what it writes runs, checks clean and keeps the rules every operator of the package keeps."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiletwin.cli import main
from tiletwin.harness.scaffold import ROOMS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An `ops` of its own: found before the package's, because it is where the command runs."""
    for room in ROOMS:
        (tmp_path / 'ops' / room).mkdir(parents=True)
        (tmp_path / 'ops' / room / '__init__.py').touch()
    (tmp_path / 'ops' / '__init__.py').touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tiletwin(*argv):
    env = {**os.environ, 'PYTHONPATH': f'.{os.pathsep}{ROOT}'}
    return subprocess.run([sys.executable, '-m', 'tiletwin', *argv], env=env, capture_output=True, text=True, timeout=200)


def test_a_new_operator_runs_clean_in_both_modes_on_every_chip(folder):
    assert main(['new', 'my_op']) == 0
    ran = tiletwin('compare', '--all', '--strict', '--json')
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)['comparisons']
    assert {(c['operator'], c['chip']) for c in found} == {('my_op', chip) for chip in ('a2', 'a3', 'a5')}
    assert all(m['ok'] and m['verdict'] == 'clean' for c in found for m in c['modes']) and all(c['twins']['bitwise'] for c in found)
    assert {c['purpose'] for c in found} >= {'minimum', 'source', 'tail', 'reuse', 'idle', 'uneven'}
    linted = tiletwin('lint', '--fork')
    assert linted.returncode == 0, linted.stdout


def test_the_refusals_of_a_new_contract_are_the_ones_it_names(folder):
    main(['new', 'my_op'])
    code = ('from tiletwin.harness.registry import operators\nop = operators()["my_op"]\nfor bad in op.variant.bad:\n    args, kwargs = bad.call()\n'
            '    try:\n        op(*args, **kwargs)\n    except bad.error as error:\n        assert bad.says in str(error), (bad.name, str(error))\n'
            '    else:\n        raise AssertionError(bad.name)\n')
    ran = subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': f'.{os.pathsep}{ROOT}'}, capture_output=True, text=True,
                         timeout=100)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize('room', ROOMS)
def test_an_existing_file_is_refused_and_nothing_is_written(folder, capsys, room):
    path = folder / 'ops' / room / 'my_op.py'
    path.write_text('mine\n')
    assert main(['new', 'my_op']) == 2
    assert path.read_text() == 'mine\n' and 'nothing is overwritten' in capsys.readouterr().err
    assert [p.name for r in ROOMS for p in (folder / 'ops' / r).iterdir() if p.name != '__init__.py'] == ['my_op.py']


def test_a_family_kept_as_a_folder_is_refused(folder, capsys):
    (folder / 'ops' / 'expert' / 'my_op').mkdir()
    assert main(['new', 'my_op']) == 2


@pytest.mark.parametrize('name', ['My_Op', '2op', 'a.b', 'a-b', 'class', '', '_x', '../x'])
def test_a_name_that_is_no_module_is_refused(folder, capsys, name):
    assert main(['new', name]) == 2
    assert not list((folder / 'ops').rglob('*op*.py'))


def test_without_an_ops_folder_it_says_where_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['new', 'my_op']) == 2
    assert 'run it in the folder that holds `ops`' in capsys.readouterr().err


def test_no_placeholder_is_left_in_what_is_written(folder):
    main(['new', 'gelu2'])
    for room in ROOMS:
        text = (folder / 'ops' / room / 'gelu2.py').read_text()
        ast.parse(text)
        assert '@NAME@' not in text and '@UPPER@' not in text and max(map(len, text.splitlines())) <= 150
