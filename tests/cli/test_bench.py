"""`tiletwin bench` and `tiletwin diff` on a copy of the operators in a repository of its own."""

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tiletwin.cli import main

HERE = Path(__file__).resolve().parents[2]
KERNEL = 'ops/expert/softmax.py'


class Desk:
    """A repository with the operators and their baselines; the engine is the installed one."""

    def __init__(self, folder):
        self.folder = folder
        for room in ('ops', 'pass_configs'):
            shutil.copytree(HERE / room, folder / room, ignore=shutil.ignore_patterns('__pycache__'))
        self.git('init', '-q')

    def git(self, *words):
        subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@example.com', *words], cwd=self.folder, check=True, capture_output=True)

    def commit(self):
        self.git('add', '-A')
        self.git('commit', '-qm', 'state')

    def run(self, *words):
        path = os.pathsep.join([str(self.folder), str(HERE)])
        return subprocess.run([sys.executable, '-m', 'tiletwin', *words], cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, 'PYTHONPATH': path, 'PYTHONDONTWRITEBYTECODE': '1'})

    def edit(self, old, new):
        path = self.folder / KERNEL
        text = path.read_text()
        assert text.count(old) >= 1
        path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    if shutil.which('git') is None:
        pytest.skip('git is not installed')
    made = Desk(tmp_path_factory.mktemp('desk'))
    done = made.run('bench', 'softmax', '--refresh-baseline')
    assert done.returncode == 0, done.stderr
    (made.folder / '.gitignore').write_text('__pycache__\n')
    made.commit()
    return made


def a_flag(desk):
    """The first set_flag of the kernel and the line it stands on."""
    for number, line in enumerate((desk.folder / KERNEL).read_text().splitlines(), 1):
        if 'T.set_flag(' in line:
            return number, line
    raise AssertionError('no flag')


def test_an_unchanged_tree_has_no_difference(desk):
    done = desk.run('diff', '--op', 'softmax')
    assert done.returncode == 0 and ' same' in done.stdout and 'changed' not in done.stdout


def test_one_changed_flag_is_named_with_operator_metric_and_line_and_reverting_it_is_clean(desk):
    number, line = a_flag(desk)
    before = (desk.folder / KERNEL).read_text()
    indent = line[:len(line) - len(line.lstrip())]
    desk.edit(line, f'{indent}pass')
    try:
        done = desk.run('diff', '--op', 'softmax', '--junit', 'out.xml')
        assert done.returncode == 1
        assert f'{KERNEL}:{number} set_flag' in done.stdout and 'softmax' in done.stdout
        assert 'sync.set_flag' in done.stdout and 'verdict clean -> error' in done.stdout
        failed = ET.parse(desk.folder / 'out.xml').getroot().findall('.//failure')
        assert failed and f'{KERNEL}:{number}' in failed[0].text
        markdown = desk.run('diff', 'HEAD', '--op', 'softmax', '--markdown')
        assert markdown.returncode == 1 and f'- {KERNEL}:{number} set_flag' in markdown.stdout
        # Recorded in the working tree, the change is still a change against the revision, but an announced one.
        assert desk.run('bench', 'softmax', '--refresh-baseline').returncode == 1  # the verdict stays an error
        announced = desk.run('diff', 'HEAD', '--op', 'softmax', '--json')
        document = json.loads(announced.stdout)
        assert announced.returncode == 0 and any(r['state'] == 'changed' and r['expected'] for r in document['records'])
    finally:
        (desk.folder / KERNEL).write_text(before)
        (desk.folder / 'out.xml').unlink(missing_ok=True)
        desk.git('checkout', '--', 'bench')
    assert desk.run('diff', '--op', 'softmax').returncode == 0


def test_only_touched_operators_run(desk):
    assert json.loads(desk.run('bench', '--changed-since', 'HEAD', '--json').stdout)['records'] == []


def test_records_of_another_model_are_named_and_not_compared(desk):
    shard = desk.folder / 'bench/baselines/softmax.jsonl'
    before = shard.read_text()
    shard.write_text(before.replace('"model": "a3-', '"model": "a3-0'))
    try:
        done = desk.run('diff', '--op', 'softmax')
        assert done.returncode == 1 and 'another cost model: a3-0' in done.stdout and '->' not in done.stdout.split('recorded')[1]
    finally:
        shard.write_text(before)


def test_a_damaged_baseline_stops_the_gate_and_stays_as_it_is(desk):
    shard = desk.folder / 'bench/baselines/softmax.jsonl'
    before = shard.read_text()
    shard.write_text(before[:-30])
    try:
        for words in (['diff'], ['bench', 'softmax', '--refresh-baseline']):
            done = desk.run(*words)
            assert done.returncode != 0 and 'softmax.jsonl:' in done.stderr and 'cut off' in done.stderr
        assert shard.read_text() == before[:-30]
    finally:
        shard.write_text(before)


@pytest.mark.parametrize('words, says', [
    (['diff', 'no-such-revision'], 'no revision'), (['diff', '--op', 'nothing'], 'no operator'), (['bench', 'softmax', '--mode', 'wild'], '--mode wild'),
    (['diff', '--junit', 'no/such/x.xml'], 'no folder'), (['bench', '--arch', 'h100'], 'h100'),
])
def test_usage(desk, words, says, capsys):
    assert main([*words, '--baselines', str(desk.folder / 'bench/baselines')]) == 2
    assert says in capsys.readouterr().err


def test_without_baselines_there_is_nothing_to_compare_with(tmp_path, capsys):
    assert main(['diff', '--baselines', str(tmp_path / 'elsewhere')]) == 2
    assert 'no baselines' in capsys.readouterr().err
