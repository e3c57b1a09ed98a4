"""Every example runs, and the simulator says of it what the ladder promises."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tiletwin.harness.script import run_script

EXAMPLES = Path(__file__).parents[2] / 'examples'
RACE = {'03_read_a_race_report.py'}
LADDER = sorted(p.name for p in EXAMPLES.glob('[0-9]*.py'))


def test_the_ladder_is_numbered_without_gaps():
    steps = sorted(p.name for p in EXAMPLES.iterdir() if re.match(r'\d', p.name))
    assert [int(name[:2]) for name in steps] == list(range(1, len(steps) + 1))


@pytest.mark.parametrize('name', LADDER)
def test_example_runs_and_is_judged(name):
    ran = run_script(EXAMPLES / name)
    assert not ran.failure, ran.failure
    assert ran.refusal is None
    assert ran.launches
    words = {f.word for launch in ran.launches for f in launch.verdict.findings}
    assert words == ({'race'} if name in RACE else set())


def test_the_race_report_names_both_lines_and_the_missing_flag():
    ran = run_script(EXAMPLES / '03_read_a_race_report.py')
    nearest = [f for f in ran.launches[0].verdict.findings if {s.span.excerpt().split('(')[0] for s in f.sides} == {'T.tile.add', 'T.copy'}]
    assert len(nearest) == 1
    assert re.search(r"set_flag\('v', 'mte3'", nearest[0].fix)


def test_two_slots_are_faster_than_one():
    one, two = run_script(EXAMPLES / '05_double_buffer.py').launches
    assert two.cycles < 0.9 * one.cycles


def test_without_the_flag_that_frees_a_slot_the_workspace_is_overwritten(tmp_path):
    """What step 7 says of its four lines."""
    text = (EXAMPLES / '07_cube_to_vector.py').read_text()
    broken, count = re.subn(r' +if t (?:>= 2|\+ 2 < tiles):\n.*FREE\)\n', '', text)
    assert count == 2
    script = tmp_path / 'broken.py'
    script.write_text(broken)
    ran = run_script(script)
    findings = [f for f in ran.launches[0].verdict.findings if f.severity == 'error']
    assert findings and all(f.word == 'race' and 'workspace' in f.message for f in findings)


def test_the_commands_of_the_last_step_work_as_they_stand(tmp_path):
    guide = (EXAMPLES / '09_write_your_own.md').read_text()
    commands = [line[2:] for block in re.findall(r'```console\n(.*?)```', guide, re.S) for line in block.splitlines()]
    assert len(commands) >= 6 and all(c.startswith('tiletwin ') for c in commands)
    for room in ('contracts', 'developer', 'expert'):
        (tmp_path / 'ops' / room).mkdir(parents=True)
        (tmp_path / 'ops' / room / '__init__.py').touch()
    (tmp_path / 'ops' / '__init__.py').touch()
    env = {**os.environ, 'PYTHONPATH': f'.{os.pathsep}{EXAMPLES.parent}'}
    for command in commands:
        ran = subprocess.run([sys.executable, '-m', *shlex.split(command)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200)
        assert ran.returncode == 0, f'{command}\n{ran.stdout}{ran.stderr}'
