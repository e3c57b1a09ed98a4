"""Every example runs, and the simulator says of it what the ladder promises."""

import re
from pathlib import Path

import pytest

from tiletwin.harness.script import run_script

EXAMPLES = Path(__file__).parents[2] / 'examples'
RACE = {'03_read_a_race_report.py'}
LADDER = sorted(p.name for p in EXAMPLES.glob('[0-9]*.py'))


def test_the_ladder_is_numbered_without_gaps():
    assert [int(name[:2]) for name in LADDER] == list(range(1, len(LADDER) + 1))


@pytest.mark.parametrize('name', LADDER)
def test_example_runs_and_is_judged(name):
    ran = run_script(EXAMPLES / name)
    assert not ran.failure and ran.refusal is None
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
