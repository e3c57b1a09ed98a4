"""`tiletwin time` and `tiletwin run --no-data`: times and findings at sizes nobody computes."""

import json
import os
import sys
from pathlib import Path

import pytest

from tiletwin.cli import main
from tiletwin.compat.session import remove
from tiletwin.harness.registry import operators

ROOT = Path(__file__).resolve().parents[2]

# One launch that is clean, one that stores before the sum is there; a script prints and reads what it was given.
SCRIPT = '''
import torch
import tiletwin
from tiletwin import language as T


def body(name, waits, rows):
    @tiletwin.jit(out_idx=[1], pass_configs={})
    def make():
        @T.prim_func
        def main(X: T.Tensor((rows, 64), 'float16'), Y: T.Tensor((rows, 64), 'float16')):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                u = T.alloc_ub((16, 64), 'float16')
                with T.Scope('V'):
                    T.copy(X[vid * 16, 0], u)
                    T.set_flag('mte2', 'v', 0)
                    T.wait_flag('mte2', 'v', 0)
                    T.tile.add(u, u, 1.0)
                    if waits:
                        T.set_flag('v', 'mte3', 0)
                        T.wait_flag('v', 'mte3', 0)
                    T.copy(u, Y[vid * 16, 0])
        return main
    return make()


x = torch.ones(32, 64, dtype=torch.float16)
for waits in WAITS:
    y = body('k', waits, 32)(x)
    print('told', bool(torch.isnan(y).all()))
'''


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv('TILETWIN_DATA', raising=False)
    before = dict(os.environ)
    yield
    # `tiletwin run` has its process for itself.
    remove()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def script(tmp_path):
    def write(*waits):
        path = tmp_path / 'kernels.py'
        path.write_text(SCRIPT.replace('WAITS', repr(waits)))
        return str(path)

    return write


def timed(capsys, *argv):
    status = main(['time', *argv, '--json'])
    return status, json.loads(capsys.readouterr().out)['results']


# -- operators ----------------------------------------------------------------------------------------------------------
def test_without_a_shape_every_case_of_the_operator_is_timed(capsys):
    status, found = timed(capsys, 'softmax')
    cases = operators()['softmax'].cases_in('expert')
    assert status == 0
    assert [r['title'] for r in found] == [f'softmax {c.name}' for c in cases if not c.chips or 'a3' in c.chips]
    for r in found:
        for launch in r['launches']:
            assert launch['modelled']['us'] > 0 and launch['verdict'] == 'clean' and 0 < launch['simulated'] <= launch['events']


def test_one_case_comes_out_as_when_it_is_computed(capsys):
    case = operators()['softmax'].cases_in('expert')[0]
    (result,) = timed(capsys, 'softmax', '--case', case.name)[1]
    assert main(['check', 'softmax', '--case', case.name, '--json']) == 0
    (checked,) = json.loads(capsys.readouterr().out)['results']
    assert [launch['modelled'] for launch in result['launches']] == [launch['modelled'] for launch in checked['launches']]


def test_the_table_shows_time_share_of_pipes_and_what_was_skipped(capsys):
    assert main(['time', 'softmax', '--shape', 'M=4096,N=1024']) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith('softmax M=4096')]
    assert row.split()[3:4] == ['a3'] and 'clean' in row
    assert 'AIV MTE2' in out and '%' in out and 'us and cycles are modelled' in out


def test_the_type_of_a_call_is_chosen(capsys):
    op = operators()['softmax']
    types = op.variant.inputs[0].dtypes
    assert len(types) > 1
    found = {t: timed(capsys, 'softmax', '--shape', 'M=4096,N=1024', '--dtype', t)[1][0]['launches'][0]['gm']['read'] for t in types}
    assert found['float32'] == 2 * found['float16'] == 4096 * 1024 * 4


def test_another_chip_takes_another_time(capsys):
    a2, a5 = (timed(capsys, 'softmax', '--shape', 'M=4096,N=1024', '--arch', chip)[1][0] for chip in ('a2', 'a5'))
    assert (a2['chip'], a5['chip']) == ('a2', 'a5')
    assert a2['launches'][0]['modelled']['us'] != a5['launches'][0]['modelled']['us']


# A call that is wrong is an error of the call, everything else one of usage.
WRONG = {
    'no operator of this name': (2, ['softmaxx'], 'softmaxx'),
    'no such dimension': (1, ['softmax', '--shape', 'K=4'], "no dimension or attribute 'K'"),
    'a dimension without a size': (1, ['softmax', '--shape', 'M=64'], 'no size for the dimension N'),
    'no number': (1, ['softmax', '--shape', 'M=64,N=many'], "N is 'many'"),
    'no rows': (1, ['softmax', '--shape', 'M=0,N=64'], 'M is 0'),
    'no size': (2, ['softmax', '--shape', 'M'], "'M' is no size"),
    'no such case': (2, ['softmax', '--case', 'nowhere'], "no case 'nowhere'"),
    'a type it does not take': (1, ['softmax', '--shape', 'M=64,N=64', '--dtype', 'int8'], 'x is int8'),
    'two types for one input': (1, ['softmax', '--shape', 'M=64,N=64', '--dtype', 'float16,float16'], '2 types for 1 inputs'),
    'no type': (1, ['softmax', '--shape', 'M=64,N=64', '--dtype', 'float17'], 'x is float17'),
    'no file': (2, ['nowhere.py'], 'nowhere.py'),
    'a script with a shape': (2, ['examples/04_fix_it.py', '--shape', 'M=4'], 'chooses its shapes itself'),
    'no chip': (2, ['softmax', '--arch', 'a9'], 'a9'),
}


@pytest.mark.parametrize('wrong', WRONG)
def test_a_request_that_makes_no_sense_is_refused_with_what_is_wrong(wrong, capsys):
    status, argv, said = WRONG[wrong]
    assert main(['time', *argv]) == status
    err = capsys.readouterr().err
    assert said in err and 'Traceback' not in err


def test_an_operator_steered_by_its_data_is_refused_with_the_line(capsys):
    steered = 'paged_attn.split_kv'
    case = operators()[steered].cases_in('expert')[0].name
    assert main(['time', steered, '--case', case]) == 1
    err = capsys.readouterr().err
    assert 'cannot be timed without data' in err and 'steers control flow' in err and 'ops/expert/paged_attn' in err and 'kv_lens[' in err


# -- scripts ------------------------------------------------------------------------------------------------------------
def test_every_launch_of_a_script_is_timed_and_its_output_kept_apart(script, capsys):
    status = main(['time', script(True, True, False), '--json'])
    out, err = capsys.readouterr()
    (found,) = json.loads(out)['results']
    assert status == 1 and [launch['verdict'] for launch in found['launches']] == ['clean', 'clean', 'error']
    assert err.count('told True') == 3


def test_findings_are_shown_below_the_table(script, capsys):
    assert main(['time', script(False)]) == 1
    assert 'race' in capsys.readouterr().out
    assert main(['time', script(False), '--no-sanitize']) == 0


def test_run_without_data_leaves_times_and_findings_and_unwritten_outputs(script, capsys):
    path = script(True, False)
    assert main(['run', '--no-data', path]) == 1
    out, err = capsys.readouterr()
    assert out.count('told True') == 2 and 'race' in err
    assert main(['run', path]) == 1
    assert capsys.readouterr().out.count('told False') == 2


def test_the_environment_keeps_kernels_from_computing(script, monkeypatch, capsys):
    monkeypatch.setenv('TILETWIN_DATA', '0')
    monkeypatch.setattr(sys, 'argv', [script(True)])
    exec(compile(Path(sys.argv[0]).read_text(), sys.argv[0], 'exec'), {'__name__': '__main__'})
    assert capsys.readouterr().out == 'told True\n'
