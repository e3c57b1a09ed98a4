"""The pass list as a whole: order, verification, refusals that quote the compiler, and developer kernels through jit."""

import types
import warnings

import pytest
import torch

from pass_configs import AUTO_SYNC, CV_COMBINE, CV_SYNC, DEVELOPER, EXPERT, MEMORY_PLANNING
from tiletwin import compile, errors
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Buffer, Scope, walk
from tiletwin.passes import pipeline
from tiletwin.passes.refuse import CompilerRejects

from .small import build

PARAMS = 'A: T.Tensor((128, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((128, 64), "float32")'
MATMUL = '''
a = T.alloc_shared((64, 64), "float16")
b = T.alloc_shared((64, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
u = T.alloc_shared((64, 64), "float32")
T.copy(A[cid * 64, 0], a)
T.copy(B, b)
T.gemm_v0(a, b, acc, init=True)
T.copy(acc, u)
T.tile.abs(u, u)
T.tile.add(u, u, 1.0)
T.copy(u, C[cid * 64, 0])
'''


def matmul(**more):
    return build(MATMUL, **{'params': PARAMS, 'threads': 2, 'blocks': 2} | more)


def test_passes_run_in_the_order_of_the_compiler():
    trace = []
    pipeline.lower(matmul(), DEVELOPER, trace=trace)
    names = [name for name, _ in trace]
    wanted = ['inject_tmp', 'infer_scope', 'vid_reduction', 'parallel_to_vector', 'workspace_reduction', 'cross_core_pipeline', 'combine_cv',
              'software_pipeline', 'storage_rewrite',
              'memory_planning', 'sync_insert']
    assert [n for n in names if n in wanted] == wanted
    by_name = dict(trace)
    assert by_name['infer_scope'].buffers['acc'].space == 'L0C' and by_name['inject_tmp'].buffers['acc'].space == 'FRAGMENT'
    assert by_name['vid_reduction'].buffers['u'].dims == (32, 64) and by_name['infer_scope'].buffers['u'].dims == (64, 64)


def test_a_pass_that_breaks_a_rule_is_named(monkeypatch):
    def broken(program, ctx):
        return program.with_buffers({**program.buffers, 'lost': Buffer('found', 'UB', (E.Const(1),), 'float32')})

    bad = types.SimpleNamespace(__name__='tiletwin.passes.broken_pass', run=broken)
    monkeypatch.setattr(pipeline, 'ORDER', (*pipeline.ORDER[:3], bad, *pipeline.ORDER[3:]))
    with pytest.raises(errors.VerifyError, match='after broken_pass'):
        pipeline.lower(matmul(), DEVELOPER)


def test_a_vector_operation_on_a_tile_the_cube_uses_is_refused_after_lowering():
    program = build('''
a = T.alloc_shared((64, 64), "float16")
b = T.alloc_shared((64, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.copy(A[0, 0], a)
T.tile.add(a, a, a)
T.copy(B, b)
T.gemm_v0(a, b, acc, init=True)
T.copy(acc, C[0, 0])
''', PARAMS)
    with pytest.raises(errors.VerifyError, match='a is in L1, but add works on UB'):
        pipeline.lower(program, DEVELOPER)


def test_the_pto_generator_has_no_sine():
    program = build('u = T.alloc_ub((32, 64), "float32")\nT.tile.sin(u, u)')
    pipeline.lower(program, {}, 'ascendc')
    with pytest.raises(CompilerRejects, match=r'the compiler rejects this: Unresolved call Op\(tl.ascend_sin\)'):
        pipeline.lower(program, {}, 'pto')


def test_a_scalar_in_ub_that_cube_code_needs_is_rejected_only_when_code_is_split():
    program = build('''
ix = T.alloc_ub((8,), "int32")
a = T.alloc_L1((64, 64), "float16")
T.copy(I, ix)
row = ix[1]
T.copy(A[row, 0], a)
''', 'A: T.Tensor((128, 64), "float16"), I: T.Tensor((8,), "int32")')
    pipeline.lower(program, {AUTO_SYNC: True, MEMORY_PLANNING: True})
    with pytest.raises(CompilerRejects, match='Cannot find pre-allocated address for buffer: ix'):
        pipeline.lower(program, DEVELOPER)


@pytest.mark.parametrize('chip', ['A2', 'A3'])
@pytest.mark.parametrize('target', ['ascendc', 'pto'])
def test_a_developer_kernel_computes_what_its_source_says(target, chip):
    kernel = compile(matmul(), out_idx=-1, target=target, platform=chip, pass_configs=DEVELOPER)
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(128, 64, generator=g).half(), torch.randn(64, 64, generator=g).half()
    out = kernel(a, b)
    assert torch.allclose(out, (a.float() @ b.float()).abs() + 1.0, atol=1e-3)
    assert kernel.last.verdict.level == 'clean'
    # The workspace is a parameter behind those of the source, allocated for the call and poisoned.
    assert kernel.auto_gm_idx == [3] and [p.name for p in kernel.params] == ['A', 'B', 'C', 'workspace_1'] and kernel.params[3].shape == (2, 64, 64)
    assert kernel.out_idx == [2]


def test_each_config_acts_alone():
    def forms(configs):
        program = pipeline.lower(matmul(), configs)
        ops = {getattr(s, 'op', type(s).__name__) for s in walk(program.body)}
        return 'set_flag' in ops, 'Scope' in ops, 'set_cross_flag' in ops

    assert forms({}) == (False, False, False)
    assert forms({AUTO_SYNC: True}) == (True, False, False)
    assert forms({CV_COMBINE: True}) == (False, True, False)
    assert forms({CV_SYNC: True}) == (False, False, False)
    assert forms({CV_COMBINE: True, CV_SYNC: True}) == (False, True, True)
    assert forms(DEVELOPER) == (True, True, True)


def said(program, configs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        compile(program, pass_configs=configs)
    return [str(w.message) for w in caught if issubclass(w.category, errors.KernelWarning)]


def test_cross_core_sync_without_the_split_warns_that_it_has_no_effect():
    (text,) = said(matmul(), {CV_SYNC: True})
    assert 'no effect' in text and CV_COMBINE in text
    assert said(matmul(), {CV_SYNC: True, CV_COMBINE: True}) == [] == said(matmul(), EXPERT)


def test_scopes_by_hand_under_the_split_warn():
    program = build('u = T.alloc_ub((32, 64), "float32")\nwith T.Scope("V"):\n    T.tile.fill(u, 0.0)\n    T.copy(u, A)')
    assert any(isinstance(s, Scope) for s in walk(program.body))
    assert any('T.Scope' in text for text in said(program, {CV_COMBINE: True}))


def test_automatic_workspaces_are_of_static_size():
    program = build(MATMUL, 'A: T.Tensor((m, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((m, 64), "float32")', 2,
                    'T.ceildiv(m, 64)', 'm = T.symbolic("m")')
    kernel = compile(program, pass_configs=DEVELOPER)
    with pytest.raises(errors.CallError, match='automatic workspace workspace_1'):
        kernel(torch.zeros(128, 64).half(), torch.zeros(64, 64).half(), torch.zeros(128, 64))


def test_the_profile_is_one_of_two(monkeypatch):
    monkeypatch.setenv('TILETWIN_PROFILE', 'both')
    with pytest.raises(errors.EnvironmentError_, match='no profile'):
        compile(matmul(), pass_configs=DEVELOPER)
    monkeypatch.setenv('TILETWIN_PROFILE', 'sound')
    assert compile(matmul(), pass_configs=DEVELOPER).program != pipeline.lower(matmul(), DEVELOPER)
