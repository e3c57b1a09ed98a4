"""Each trap of an installation, laid out as files, and what the doctor says about it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiletwin import installed
from tiletwin.cli import main
from tiletwin.report.doctor import checks, text

FORK = ('language/__init__.py', 'language/reduce_ascend.py')
MAINLINE = ('language/__init__.py', 'language/eager/__init__.py', 'ascend/__init__.py')


def lay(folder, name, files=(), version='1.0', distribution=None, listed=None):
    """An import package with these files, and a distribution that lists `listed` of them (all of them by default)."""
    package = folder / name
    for file in ('__init__.py', *files):
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).touch()
    if distribution != '':
        info = folder / f'{(distribution or name).replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {distribution or name}\nVersion: {version}\n')
        (info / 'RECORD').write_text(''.join(f'{name}/{f},,\n' for f in ('__init__.py', *(files if listed is None else listed))))
    return folder


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A folder that comes first on the import path, and a toolkit that is there or not."""
    for name in ('ASCEND_HOME_PATH', 'TILETWIN_BACKEND'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(installed, '_loads', lambda library: 'ASCEND_HOME_PATH' in os.environ)
    monkeypatch.setattr(installed, '_HOMES', (str(tmp_path / 'Ascend' / 'ascend-toolkit'),))
    site = tmp_path / 'site'
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    return site


def rows():
    found = {c.name: c for c in checks()}
    assert all(c.fix for c in found.values() if not c.ok), [c for c in found.values() if not c.ok and not c.fix]
    return found


def sourced(monkeypatch, tmp_path):
    (tmp_path / 'version.cfg').write_text('Version=8.5.0\n')
    monkeypatch.setenv('ASCEND_HOME_PATH', str(tmp_path))


def test_nothing_special_here_names_no_trap(here):
    found = rows()
    assert not [n for n in found if n.startswith('trap')] and found['simulator'].ok and '(in force)' in found['simulator'].text
    assert 'mainline' in found['tilelang'].text and not found['ascend'].ok


def test_the_fork_is_named_and_the_simulator_needs_its_own_environment(here):
    lay(here, 'tilelang', FORK, '0.1.4')
    found = rows()
    assert '0.1.4, tilelang-ascend fork' == found['tilelang'].text and 'venv' in found['simulator'].fix
    assert '(in force)' in found['ascend'].text and 'torch_npu' in found['ascend'].text
    assert main(['doctor', '--json']) == 2


def test_mainline_written_over_the_fork(here):
    lay(here, 'tilelang', FORK + MAINLINE, '0.1.15', listed=MAINLINE)
    found = rows()
    assert 'mixed' in found['tilelang'].text and 'one was installed over the other' in found['trap: wheel'].text
    assert 'pip uninstall' in found['trap: wheel'].fix and not found['simulator'].ok and not found['ascend'].ok


def test_files_of_the_fork_that_pip_does_not_list(here):
    lay(here, 'tilelang', FORK, '0.1.15', listed=())
    assert 'language/reduce_ascend.py' in rows()['trap: wheel'].text


def test_two_distributions_with_one_import_package(here):
    lay(here, 'tilelang', FORK, '0.1.4', 'tilelang-ascend')
    lay(here / 'more', 'tilelang', FORK, '0.1.4')
    os.rename(here / 'more' / 'tilelang-0.1.4.dist-info', here / 'tilelang-0.1.4.dist-info')
    assert 'both bring the import package' in rows()['trap: wheel'].text


def test_mainline_where_the_toolkit_is(here, monkeypatch, tmp_path):
    sourced(monkeypatch, tmp_path)
    lay(here, 'torch_npu', version='2.13.0')
    found = rows()
    assert 'pip has replaced it' in found['trap: wheel'].text and '--no-deps' in found['trap: wheel'].fix
    assert found['CANN'].ok and found['CANN'].text.startswith('8.5.0 in') and 'trap: autoload' not in found


def test_a_source_tree_before_the_installed_package(here):
    lay(here, 'tilelang', FORK, distribution='')
    (here / 'tilelang' / 'VERSION').write_text('0.1.4\n')
    found = rows()
    assert str(here) in found['trap: path'].text and 'trap: wheel' not in found


def test_an_editable_installation_is_no_trap(here):
    lay(here, 'tilelang', FORK, '0.1.4')
    (here / 'tilelang-0.1.4.dist-info' / 'RECORD').write_text('__editable___tilelang_finder.py,,\n')
    assert not [n for n in rows() if n.startswith('trap')]


def test_torch_npu_without_the_toolkit(here):
    lay(here, 'torch_npu', version='2.13.0')
    found = rows()
    assert 'TORCH_DEVICE_BACKEND_AUTOLOAD=0' in found['trap: autoload'].fix and found['torch_npu'].text == '2.13.0' and found['simulator'].ok


@pytest.mark.parametrize('version, trap', [('2.13.0', False), ('2.13.0.post2', False), ('2.9.0', True)])
def test_torch_npu_belongs_to_one_version_of_torch(here, version, trap):
    lay(here, 'torch_npu', version=version)
    assert ('trap: versions' in rows()) == trap


def test_a_toolkit_that_is_not_sourced(here, tmp_path):
    script = tmp_path / 'Ascend' / 'ascend-toolkit' / 'set_env.sh'
    script.parent.mkdir(parents=True)
    script.touch()
    found = rows()['CANN']
    assert not found.ok and 'not sourced' in found.text and f'source {script}' in found.fix


def test_a_toolkit_path_that_is_wrong(here, monkeypatch):
    monkeypatch.setenv('ASCEND_HOME_PATH', '/no/such/place')
    assert 'is no folder' in rows()['CANN'].text


SMI = '''#!/bin/sh
cat <<'END'
+------------------------------------------------------------------------------------------------+
| npu-smi 25.2.0                   Version: 25.2.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
+===========================+===============+====================================================+
| 0     {name:<20}| OK            | 93.0        38                0    / 0             |
+===========================+===============+====================================================+
END
'''


@pytest.mark.parametrize('name, ok', [('910B1', True), ('Ascend910', True), ('950PR', True), ('310P3', False)])
def test_the_chip_is_what_the_driver_lists(here, monkeypatch, tmp_path, name, ok):
    tool = tmp_path / 'npu-smi'
    tool.write_text(SMI.format(name=name))
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    found = rows()['NPU']
    assert found.ok == ok and (not ok or f'1 x {name.removeprefix("Ascend")}' == found.text)


def test_a_wrong_choice_of_backend(here, monkeypatch, capsys):
    monkeypatch.setenv('TILETWIN_BACKEND', 'gpu')
    assert main(['doctor']) == 2 and 'simulator, ascend' in capsys.readouterr().out


def test_every_row_that_is_not_ok_is_followed_by_its_fix(here):
    lines = text(checks()).splitlines()
    assert lines and all(lines[i + 1].lstrip().startswith('fix: ') for i, line in enumerate(lines) if line.startswith('--'))


def test_the_doctor_loads_neither_torch_nor_tilelang():
    code = "import sys\nfrom tiletwin.cli import main\nmain(['doctor'])\nbad = {'torch', 'tilelang', 'numpy'} & set(sys.modules)\nassert not bad, bad"
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, cwd=Path(__file__).resolve().parents[2])


def test_json_holds_every_row(capsys):
    main(['doctor', '--json'])
    document = json.loads(capsys.readouterr().out)
    assert {c['name'] for c in document['checks']} >= {'python', 'torch', 'tilelang', 'torch_npu', 'CANN', 'NPU', 'cache', 'simulator', 'ascend', 'ascend950'}
