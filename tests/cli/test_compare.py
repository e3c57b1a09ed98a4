"""`tiletwin compare`: modes, exit statuses, the three forms of the report."""

import json

import pytest

from tiletwin.cli import main


@pytest.mark.parametrize('argv, status', [
    (['both'], 0), (['clean'], 0), (['clean', '--strict'], 1), (['both', '--strict'], 0), (['racy'], 1), (['wrong'], 1), (['big'], 1),
    (['doubtful'], 1),
    (['nothing'], 2), ([], 2), (['both', '--all'], 2), (['both', '--mode', 'wild'], 2), (['both', '--mode', 'expert,expert'], 2),
    (['both', '--mode', 'expert'], 0), (['clean', '--arch', 'a5'], 2), (['clean', '--arch', 'h100'], 2), (['clean', '--case', 'none'], 2),
    (['new'], 0), (['both', '--json', '--markdown'], 2), (['--all'], 1),
])
def test_exit_status(operators, capsys, argv, status):
    assert main(['compare', *argv]) == status


def test_both_modes_run_on_the_same_case(operators, capsys):
    main(['compare', 'both'])
    assert operators['both'].ran == [('small', 'developer', 'a3'), ('small', 'expert', 'a3')]


def test_names_are_checked_before_anything_runs(operators, capsys):
    assert main(['compare', 'both', 'nothing']) == 2
    assert operators['both'].ran == []


def test_all_runs_every_operator_on_every_chip(operators, capsys):
    main(['compare', '--all', '--mode', 'expert'])
    assert {chip for _, _, chip in operators['clean'].ran} == {'a2', 'a3'} and {chip for _, _, chip in operators['new'].ran} == {'a5'}
    assert [case for case, _, chip in operators['mixed'].ran if chip == 'a2'] == ['quick', 'huge', 'old']


def test_quick_leaves_out_the_slow_cases(operators, capsys):
    main(['compare', '--all', '--mode', 'expert', '--quick'])
    assert [case for case, _, chip in operators['mixed'].ran if chip == 'a2'] == ['quick', 'old']


def test_a_missing_mode_is_named(operators, capsys):
    main(['compare', 'clean'])
    out = capsys.readouterr().out
    assert 'missing' in out and out.splitlines()[-1] == '2 comparisons, none with a problem; developer is missing for clean'


def test_a_refused_kernel_is_told_with_its_class(operators, capsys):
    main(['compare', 'big', '--case', 'small'])
    out = capsys.readouterr().out
    assert 'refused' in out and 'expert: UB overflow on a3' in out


def test_the_report_lays_the_modes_side_by_side(operators, capsys):
    main(['compare', 'both'])
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:24].strip(): line.split()[-2:] for line in lines}
    assert rows['cycles'] == ['3700', '1850'] and rows['us'] == ['2.00', '1.00']
    assert any('expert is 2.00 times as fast (modelled)' in line for line in lines)


def test_markdown_is_made_of_tables(operators, capsys):
    main(['compare', 'both', '--markdown'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '### both on a3'
    tables = [line for line in lines if line.startswith('|')]
    assert '| cycles | 3700 | 1850 |' in tables and len({line.count('|') for line in tables[:4]}) == 1


def test_json_is_one_document_without_infinities(operators, capsys):
    operators['wrong'].variant.twins = 'bitwise'
    assert main(['compare', 'wrong', 'both', '--json']) == 1
    document = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert (document['format'], document['command'], document['status']) == (1, 'compare', 1)
    both = document['comparisons'][-1]
    assert both['speedup'] == 2.0 and [m['cost']['cycles'] for m in both['modes']] == [3700.0, 1850.0] and both['twins']['ok']
    missing, expert = document['comparisons'][0]['modes']
    assert missing['missing'] and expert['message'] == 'max abs error 0.5'


@pytest.mark.parametrize('form', [[], ['--json'], ['--markdown']])
def test_output_is_the_same_every_time(operators, capsys, form):
    texts = []
    for _ in range(2):
        main(['compare', 'both', 'racy', *form])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize('command, note', [('compare clean both mixed', '2 of 5 done'), ('check clean clean both', '4 of 5 done')])
def test_an_interrupt_prints_what_is_finished_and_exits_with_2(operators, capsys, monkeypatch, command, note):
    monkeypatch.setattr(operators['both'], 'run_case', lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(command.split()) == 2
    done = capsys.readouterr()
    assert 'clean' in done.out and not operators['mixed'].ran
    assert done.err == f'tiletwin: interrupted: {note}\n'
