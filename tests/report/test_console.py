"""Findings and tables as plain text."""

import io

import pytest

from tiletwin.report.console import Row, make_console, merged, print_launch, print_launches
from tiletwin.report.findings import ordered, print_findings, verdict_line
from tiletwin.sanitize.findings import LEVELS, Finding, Verdict


def printed(what, *args, **kwargs):
    stream = io.StringIO()
    what(make_console(stream), *args, **kwargs)
    return stream.getvalue()


def test_a_launch_with_findings(make_launch, verdict, golden):
    golden('launch.txt', printed(print_launch, make_launch(verdict=verdict)))


def test_a_table_of_launches(make_launch, verdict, golden):
    rows = [Row('softmax', '4096x4096', make_launch(), 'ok'), Row('softmax', '7x33', make_launch(chip='a5', verdict=verdict), 'max abs 0.5')]
    golden('table.txt', printed(print_launches, rows))


def test_plain_text_has_no_escape_and_no_line_beyond_120_but_source_and_prose(make_launch, verdict):
    text = printed(print_launches, [Row('op', 'k' * 40, make_launch(verdict=verdict), 'ok')])
    assert '\x1b' not in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_both_sides_of_a_finding_point_at_their_line_with_carets(verdict):
    lines = printed(print_findings, verdict.findings[1:]).splitlines()
    for where, source in (('racy_kernel.txt:7', 'T.copy(A[k * 1024], a)'), ('racy_kernel.txt:9', 'T.tile.exp(b, a)')):
        at = next(i for i, line in enumerate(lines) if line.endswith(f'--> {where}'))
        assert lines[at + 1].endswith(source)
        start = lines[at + 1].index(source)
        assert lines[at + 2][start:] == '^' * len(source) and set(lines[at + 2][:start]) <= {' ', '|'}


def test_worst_first_whatever_the_order_they_were_found_in():
    findings = [Finding('racecheck', 'race', severity, severity) for severity in ('review', 'error', 'incomplete')]
    for order in (findings, findings[::-1]):
        assert [f.severity for f in ordered(order)] == ['error', 'incomplete', 'review']


def test_the_limit_says_what_it_left_out():
    findings = [Finding('racecheck', 'race', 'review', f'number {i}') for i in range(5)] + [Finding('synccheck', 'flag', 'error', 'e')]
    text = printed(print_findings, findings, limit=2)
    assert text.count('tiletwin: ') == 2
    assert '... and 4 more: 4 review[race] (--json prints all)' in text


@pytest.mark.parametrize('level', LEVELS)
def test_the_verdict_line_states_the_level(level):
    findings = () if level == 'clean' else (Finding('racecheck', 'race', level, 'm'),)
    line = verdict_line(Verdict(findings), 'k on a3').plain
    assert line == f'verdict: {level}' + ('' if level == 'clean' else f' (1 {level}[race])') + '  k on a3'


def test_one_finding_of_many_launches_is_told_once_with_its_places(make_launch, verdict):
    launches = [(f'case {i}', make_launch(verdict=verdict)) for i in range(6)]
    findings, also = merged(launches)
    assert [f.id for f in findings] == [f.id for f in verdict.findings]
    assert set(also.values()) == {'case 1, case 2, case 3 and 2 more'}


def test_a_finding_without_a_place_still_prints():
    assert printed(print_findings, [Finding('memcheck', 'oob', 'error', 'read beyond A')]).splitlines()[0] == 'tiletwin: error[oob] read beyond A'
