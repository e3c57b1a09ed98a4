"""rules.tsv says where each rule of the operator list is kept, and every place it names is there."""

import ast
import functools
import re
from pathlib import Path

import pytest

from tiletwin.harness.registry import operators

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT.parent / 'shared' / 'spec' / 'operators.md'
TABLE = Path(__file__).with_name('rules.tsv').read_text(encoding='utf-8').splitlines()
ROWS = [tuple(line.split('\t')) for line in TABLE if not line.startswith('#')]
MISSING = Path(__file__).with_name('missing.txt').read_text(encoding='utf-8').split()


@functools.cache
def functions(file):
    return {n.name for n in ast.parse((ROOT / file).read_text(encoding='utf-8')).body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize('rule, kind, where', ROWS, ids=['-'.join(r).replace('/', '.') for r in ROWS])
def test_the_place_is_there(rule, kind, where):
    if kind == 'test':
        file, _, name = where.partition('::')
        assert (ROOT / file).is_file()
        assert not name or name in functions(file)
    elif kind == 'claim':
        name, number = where.split(' ')
        assert number in {claim.rule for claim in operators()[name].variant.must_show}
    elif kind == 'later':
        assert where in MISSING and where not in operators(), f'{where} exists now: say where {rule} is kept'
    else:
        assert kind in ('npu', 'open') and where


def test_every_rule_of_the_operator_list_is_in_the_table_and_no_other():
    if not SPEC.is_file():
        pytest.skip(f'{SPEC.name} is not beside this repository')
    rules = re.findall(r'^\| (C\d\.\d+a?) \|', SPEC.read_text(encoding='utf-8'), re.M)
    assert len(rules) > 100 and set(rules) == {rule for rule, _, _ in ROWS}


def test_the_table_says_each_thing_once():
    assert len(ROWS) == len(set(ROWS))
