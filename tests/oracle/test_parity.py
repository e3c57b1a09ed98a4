"""The lowering of every oracle kernel is the one the real compiler produced, except where differences.md says why not."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from tiletwin.passes import oracle

HERE = Path(__file__).resolve().parent
ORACLE = HERE.parents[2] / 'shared' / 'oracle'
SCORES = ('sync', 'addr', 'param', 'stmt')
EXPECTED = sorted(p.stem for p in (ORACLE / 'expect').glob('*.json'))

pytestmark = pytest.mark.skipif(not EXPECTED, reason=f'the recorded lowerings of the real compiler are not at {ORACLE.name}/ beside the repository')


def listed() -> set[str]:
    """Kernels the table of accepted differences names."""
    text = (HERE / 'differences.md').read_text(encoding='utf-8').split('## ')[0]
    return {name for name in re.findall(r'^\| `([^`]+)` \|', text, re.M)}


@pytest.fixture(scope='module')
def check():
    spec = importlib.util.spec_from_file_location('oracle_check', ORACLE / 'check.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def candidates():
    return {c['name']: c for c in oracle.candidates(ORACLE / 'kernels')}


@pytest.mark.parametrize('name', EXPECTED)
def test_the_lowering_is_that_of_the_compiler(name, check, candidates):
    expected = json.loads((ORACLE / 'expect' / f'{name}.json').read_text(encoding='utf-8'))
    # Through JSON, as a file would be.
    score = check.score(expected, json.loads(json.dumps(candidates.get(name))))
    exact = score['status'] == 'ok' and all(score[k] > 99.999 for k in SCORES)
    if name in listed():
        assert not exact, f'{name} is exact now: remove it from differences.md'
    else:
        assert exact, (score['status'], {k: round(score[k], 1) for k in SCORES}, score['notes'])


def test_the_comparison_notices_a_missing_flag_a_moved_tile_and_a_missing_workspace(check, candidates):
    name = 'ws_both_in_loop'
    expected = json.loads((ORACLE / 'expect' / f'{name}.json').read_text(encoding='utf-8'))
    good = json.loads(json.dumps(candidates[name]))
    flags = json.loads(json.dumps(good))
    loop = next(n for n in flags['program']['AIV'] if isinstance(n, dict))
    loop['body'] = [n for n in loop['body'] if not str(n).startswith('set_flag')]
    moved = {**good, 'buffers': [{**b, 'address': (b['address'] or 0) + 32} for b in good['buffers']]}
    fewer = {**good, 'params': good['params'][:-1]}
    assert check.score(expected, flags)['sync'] < 100
    assert check.score(expected, moved)['addr'] < 100
    assert check.score(expected, fewer)['param'] < 100


def test_one_file_a_kernel_and_variant(tmp_path):
    written = oracle.write(ORACLE / 'kernels', tmp_path, 'vec_tile_add')
    assert written == ['vec_tile_add', 'vec_tile_add@pto-A3', 'vec_tile_add@pto-A5']
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(written)
    form = json.loads((tmp_path / 'vec_tile_add@pto-A5.json').read_text())
    assert (form['target'], form['platform'], form['status']) == ('pto', 'A5', 'lowered')
