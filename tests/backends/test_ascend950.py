"""Mainline's Ascend 950 compiler as a second opinion: what it accepts, what its source contains, and how a refusal is told."""

import importlib
import json
import re

import pytest
import torch

from tiletwin.backends import ascend950
from tiletwin.backends.ascend950 import AUTOMATIC, MANUAL, emit, forms
from tiletwin.cli import main
from tiletwin.errors import EnvironmentError_
from tiletwin.harness.registry import operator, operators

MODULE = importlib.import_module('tiletwin.backends.ascend950.emit')
WRITTEN = [(name, form) for name in sorted(operators()) for form in forms(name)]


def lowered(name, form, case=None):
    op = operator(name)
    found = next(c for c in op.cases if c.name == (case or 'source'))
    return emit(name, form, found.sizes, op.variant.settings(found.attributes), found.dtypes or tuple(o.dtypes[0] for o in op.variant.inputs))


def test_the_set_with_a_direct_mapping_is_written():
    required = {'matmul.mkkn_gemm', 'matmul.mknk_f32', 'matmul.qk_batched', 'matmul_epilogue.abs_add1', 'prologue_matmul.abs_sqrt_nd', 'softmax'}
    assert {name for name, _ in WRITTEN} == required
    assert {name for name, form in WRITTEN if form == MANUAL} == required - {'prologue_matmul.abs_sqrt_nd'}
    for name in set(operators()) - required:
        assert len(ascend950.reason_for_none(name)) > 20


@pytest.mark.parametrize('name, form', WRITTEN)
def test_the_compiler_accepts_the_form_and_reads_and_writes_every_tensor(name, form, capfd):
    found = lowered(name, form)
    assert found.ok, found.reason
    tensors = re.findall(r'__gm__ \w+\* (\w+)', re.search(r'extern "C".*', found.source).group(0))
    body = found.source.split('asc_init();')[1]
    assert len(tensors) == len(operator(name).variant.inputs) + 1
    for tensor in tensors:
        assert re.search(rf'&\({tensor}\[', body), f'{tensor} is never moved'
    assert 'before initialization' not in ''.join(capfd.readouterr())


@pytest.mark.parametrize('name, form', [w for w in WRITTEN if 'matmul' in w[0]])
def test_a_product_accumulates_from_zero_over_its_steps(name, form):
    found = lowered(name, form)
    steps = -(-operator(name).cases[0].sizes.get('K', 1) // 64)
    call = re.search(r'ascend_gemm_l1<.*', found.source).group(0)
    assert '(k == 0)' in call or '(bool)1' in call or 'k == 0' in call, steps


@pytest.mark.parametrize('name', [n for n, form in WRITTEN if form == MANUAL])
def test_flags_of_a_manual_form_are_in_balance(name):
    source = lowered(name, MANUAL).source
    sets, waits = (sorted(re.findall(rf'asc_sync_{kind}\((PIPE_\w+), (PIPE_\w+)', source)) for kind in ('notify', 'wait'))
    assert sets and sets == waits
    assert len(re.findall('asc_sync_intra_arrive', source)) == 2 * len(re.findall('asc_sync_intra_wait', source))


@pytest.mark.parametrize('name, case', [('matmul.mkkn_gemm', 'source'), ('matmul_epilogue.abs_add1', 'source-wide')])
def test_the_scheduler_finds_the_two_slots_of_the_manual_form(name, case):
    assert '(k & 1)' in lowered(name, AUTOMATIC, case).source and '(k & 1)' in lowered(name, MANUAL, case).source


@pytest.mark.parametrize('case', [c.name for c in operator('softmax').cases if not c.slow])
def test_rows_of_any_length_and_dtype(case):
    assert lowered('softmax', AUTOMATIC, case).ok


@pytest.mark.parametrize('name, case', [('matmul.mkkn_gemm', 'source-half'), ('matmul.mkkn_gemm', 'tail'), ('matmul.qk_batched', 'source-heads'),
                                        ('matmul_epilogue.abs_add1', 'tail'), ('matmul.mknk_f32', 'odd-steps')])
def test_other_shapes(name, case):
    assert lowered(name, MANUAL, case).ok


def untransposed():
    import tilelang.ascend.language as T

    @T.prim_func
    def main(A: T.Tensor((16, 16), 'float16'), C: T.Tensor((16, 16), 'float32')):
        with T.Kernel(1):
            a, c = T.alloc_l1((16, 16), 'float16'), T.alloc_l0c((16, 16), 'float32')
            T.copy(A, a)
            T.gemm(a, a, c, clear_accum=True)
            T.copy(c, C)

    return main


def test_a_refusal_is_the_compilers_own_reason(monkeypatch, capsys):
    monkeypatch.setitem(MODULE._FORMS, 'softmax', {AUTOMATIC: lambda sizes, settings, dtypes: untransposed()})
    found = lowered('softmax', AUTOMATIC)
    assert not found.ok and found.source == '' and 'trans_B=True (NT)' in found.reason and not re.search(r'File "|Traceback', found.reason)
    assert main(['emit', 'softmax', '--form', 'automatic']) == 1
    assert 'the compiler refuses: ' in capsys.readouterr().out


def test_the_front_end_of_this_package_is_as_before():
    lowered('matmul.mkkn_gemm', AUTOMATIC)
    x = torch.randn(5, 9)
    torch.testing.assert_close(operator('softmax')(x), x.softmax(-1))


@pytest.mark.parametrize('kind, says', [('tilelang-ascend fork', 'fork'), (None, 'not installed')])
def test_without_mainline_the_reason_is_given(monkeypatch, kind, says):
    monkeypatch.setattr(MODULE, 'tilelang_kind', lambda: kind)
    with pytest.raises(EnvironmentError_, match=says):
        lowered('softmax', AUTOMATIC)
    assert not ascend950.capabilities()[0].ok and says in ascend950.capabilities()[0].text


def test_what_it_can_do_here():
    compiles, runs, times = ascend950.capabilities()
    assert compiles.ok and not runs.ok and not times.ok and 'Ascend 950' in runs.text


def test_command_writes_sources_and_names_what_has_no_form(tmp_path, capsys):
    assert main(['emit', 'softmax', 'softmax.online', '-o', str(tmp_path / 'out'), '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(e['form'], e['compiles']) for e in document['emitted']] == [(AUTOMATIC, True), (MANUAL, True)]
    assert [w['operator'] for w in document['without']] == ['softmax.online']
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['softmax.source.automatic.cpp', 'softmax.source.manual.cpp']


@pytest.mark.parametrize('argv, says', [(['emit', 'nothing'], 'no operator'), (['emit', 'softmax', '--case', 'nothing'], 'no case')])
def test_usage(argv, says, capsys):
    assert main(argv) == 2 and says in capsys.readouterr().err
