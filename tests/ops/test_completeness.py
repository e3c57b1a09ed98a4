"""Every row of the operator list is an operator of this package, in both modes, or is listed by name in missing.txt."""

import json
import re
from pathlib import Path

import pytest

from tiletwin.harness.registry import MODES, operators

ROOT = Path(__file__).resolve().parents[2]
ROWS = Path(__file__).with_name('rows.tsv')
LIST = ROOT.parent / 'shared' / 'spec' / 'operators.json'
MISSING = Path(__file__).with_name('missing.txt')


def rows():
    if not LIST.is_file():
        pytest.skip(f'{LIST.name} is not beside this repository')
    return {row['id']: row for row in json.loads(LIST.read_text(encoding='utf-8'))['operators']}


def variants():
    """Row -> operators; one of one's own has no row."""
    found = {}
    for op in operators().values():
        if op.variant.row:
            found.setdefault(op.variant.row, []).append(op)
    return found


def listed():
    return [line.strip() for line in MISSING.read_text(encoding='utf-8').splitlines() if line.strip() and not line.startswith('#')]


def absent():
    """'ROW' for a row without an operator, 'NAME MODE' for an operator without one of its modes."""
    have = variants()
    found = [row for row in rows() if row not in have]
    return found + [f'{op.name} {mode}' for ops in have.values() for op in ops for mode in MODES if mode not in op.modes]


def test_nothing_is_missing_but_what_is_listed():
    unlisted = sorted(set(absent()) - set(listed()))
    assert not unlisted, f'missing and not listed in {MISSING.name}: {", ".join(unlisted)}'


def test_the_list_shrinks():
    done = sorted(set(listed()) - set(absent()))
    assert not done, f'these exist now: delete their lines in {MISSING.name}: {", ".join(done)}'


def test_the_list_names_each_thing_once_and_in_order():
    assert listed() == sorted(set(listed()))


def test_every_operator_belongs_to_a_row_of_its_own_name():
    """One row, one operator; a row whose variant is 'base' may be split into sub-variants under its name."""
    known = rows()
    for row, ops in variants().items():
        assert row in known, f'{ops[0].name}: no row {row}'
        for op in ops:
            assert op.variant.family == known[row]['operator']
        names = sorted(op.name for op in ops)
        if names != [row]:
            assert all(name == row or name.startswith(f'{known[row]["operator"]}.') for name in names), names
            assert known[row]['variant'] == 'base' or row in names, f'{names} split {row}, which is no base row, and leave it out'


def test_the_chips_of_a_row_are_the_chips_of_its_operators():
    known = rows()
    for row, ops in variants().items():
        for op in ops:
            assert set(op.chips) == set(known[row]['arch']), op.name



# Rows whose topology is told in words.
TOLD = {'flash_attn.a3_4stage': 'cube->vec->cube->vec', 'paged_attn.split_kv': 'cube->vec->cube->vec'}


def kept():
    """Row -> (priority, topology)."""
    lines = [line.split('\t') for line in ROWS.read_text(encoding='utf-8').splitlines() if not line.startswith('#')]
    return {row: (priority, topology) for row, priority, topology in lines}


def test_C0_1_what_is_kept_of_the_rows_is_what_the_list_says():
    assert kept() == {row: (r['priority'], r['topology']) for row, r in rows().items()}


@pytest.mark.parametrize('op', [o for o in operators().values() if o.variant.row], ids=lambda o: o.name)
def test_C0_1_an_operator_has_the_priority_and_the_topology_of_its_row(op):
    priority, topology = kept()[op.variant.row]
    units = TOLD.get(op.variant.row) or re.match(r'[a-z]+(-only|(->[a-z]+)+)', topology)[0]
    assert (op.variant.priority, op.variant.topology) == (priority, units) and op.variant.formula


@pytest.mark.parametrize('filters, row', [
    (['--arch', 'a3', '--topology', 'vec-only'], {'softmax'}), (['--topology', 'cube->vec'], {'matmul_epilogue.abs_add1'}),
    (['--arch', 'a5', '--topology', 'cube-only'], {'matmul.mkkn_gemm', 'matmul.mknk_f32'}),
    (['--arch', '910B', '--formula', 'SOFTMAX(Q @ K.T'], {'flash_attn.full', 'flash_attn.ws3'}),
])
def test_C0_2_operators_are_chosen_by_device_topology_and_formula(filters, row, capsys):
    from tiletwin.cli import main

    assert main(['list', '--json', *filters]) == 0
    found = {o['name'] for o in json.loads(capsys.readouterr().out)['operators']}
    assert {operators()[name].variant.row for name in found} == row
