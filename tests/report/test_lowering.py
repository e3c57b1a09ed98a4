"""A lowering looked at pass by pass: the Program after each, what each changed, what the pass configs did."""

import pytest

from tests.passes.small import build
from tiletwin.errors import EnvironmentError_
from tiletwin.ir.printer import text
from tiletwin.passes.context import AUTO_CV_COMBINE, AUTO_CV_SYNC, KEYS
from tiletwin.passes.pipeline import ORDER, Lowering
from tiletwin.passes.refuse import CompilerRejects
from tiletwin.report import lowering as L

PARAMS = 'A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32")'
BODY = '''
a = T.alloc_shared((64, 64), "float16")
c = T.alloc_fragment((64, 64), "float32")
u = T.alloc_shared((64, 64), "float32")
T.copy(A[0, 0], a)
T.gemm_v0(a, a, c, init=True)
T.copy(c, u)
T.tile.abs(u, u)
T.copy(u, C[0, 0])
'''
SCOPED = '''
u = T.alloc_ub((64, 64), "float32")
with T.Scope("V"):
    T.copy(C[0, 0], u)
'''


def lowering(configs=KEYS, body=BODY, threads=2):
    return Lowering(build(body, PARAMS, threads=threads), {k: True for k in configs}, 'ascendc', 'a3', 'fork')


def effect(name, configs=KEYS, **kwargs):
    return next(e for e in L.effects(lowering(configs, **kwargs))[0] if e.name == name)


def test_every_pass_has_a_name_of_its_own():
    names = L.stage_names()
    assert len(names) == len(set(names)) == len(ORDER) and ('simplify', 'simplify:2') == tuple(n for n in names if n.startswith('simplify'))[:2]


def test_programs_after_the_passes_are_those_of_the_lowering():
    found, trace = lowering(), []
    final = found.lower(trace=trace)
    stages = L.stages(found)
    assert text(stages.after('source')) == text(found.source) and text(stages.after(L.stage_names()[-1])) == text(final)
    assert [text(p) for _, p in stages.programs[1:]] == [text(p) for _, p in trace]


def test_an_unknown_pass_names_them_all():
    with pytest.raises(EnvironmentError_) as error:
        L.known('sync')
    assert all(n in str(error.value) for n in (*L.stage_names(), 'source'))


def test_the_difference_holds_only_passes_that_changed_something():
    found = L.changes(lowering(), None, None)
    changed = [b for _, b, before, after in L.stages(lowering()).steps() if text(before) != text(after)]
    assert [line[4:] for line in found.splitlines() if line.startswith('+++ ')] == changed
    assert {'vid_reduction', 'workspace_reduction', 'combine_cv', 'memory_planning', 'sync_insert'} <= set(changed) < set(L.stage_names())


@pytest.mark.parametrize('name, says', [
    ('sync_insert', '+  set_flag MTE2 M'), ('memory_planning', '+buffer UB u float32[32, 64] @0'), ('unroll', 'unroll changed nothing')])
def test_the_difference_of_one_pass(name, says):
    assert says in L.changes(lowering(), name, None)


def test_the_difference_of_the_profiles_shows_what_the_compiler_leaves_out():
    body = 'for i in T.serial(3):\n' + '\n'.join('    ' + line if not line.startswith(('a =', 'c =', 'u =')) else '' for line in BODY.splitlines())
    body = '\n'.join(line for line in BODY.splitlines() if line.startswith(('a =', 'c =', 'u ='))) + '\n' + body
    lines = L.profiles(lowering(body=body), None).splitlines()
    assert lines[0] == '--- fork generate' and any(line.startswith('+') and 'set_cross_flag' in line for line in lines)
    assert L.profiles(lowering(()), 'inject_tmp') == 'fork and sound agree after inject_tmp'


@pytest.mark.parametrize('config, name, added', [
    ('tl.ascend_auto_sync', 'sync_insert', 'flags'), ('tl.ascend_memory_planning', 'memory_planning', 'addresses'),
    ('tl.ascend_auto_cv_combine', 'combine_cv', 'cross flags')])
def test_a_config_is_reported_with_what_its_pass_added(config, name, added):
    on, off = effect(name), effect(name, tuple(k for k in KEYS if k != config))
    assert on.config == 'on' and on.changed and on.added[added] > 0
    assert off.config == 'off' and (name == 'memory_planning' or not off.changed)


def test_counts_are_those_of_the_program():
    assert effect('workspace_reduction').added == {'statements': 1, 'workspaces': 1}
    assert effect('combine_cv').added['cross flags'] == 2
    assert effect('memory_planning').added == {'addresses': 3}


@pytest.mark.parametrize('configs, body, threads, says', [
    ((AUTO_CV_SYNC,), BODY, 2, f'{AUTO_CV_SYNC} has no effect without {AUTO_CV_COMBINE}'), ((AUTO_CV_COMBINE,), SCOPED, 1, 'T.Scope inside a kernel'),
    (KEYS, BODY, 2, None)])
def test_configs_without_effect_are_warned_about(configs, body, threads, says):
    found = L.configs_text(lowering(configs, body, threads))
    assert (says in found) if says else ('warning' not in found)
    assert all(f'{"on" if k in configs else "off":<4}{k}' in found for k in KEYS)


def test_a_kernel_the_compiler_refuses_is_shown_up_to_that_pass():
    body = BODY.replace('T.tile.abs(u, u)', 'T.tile.abs(u, u)\nT.sync_all()')
    stages = L.stages(lowering(body=body))
    assert isinstance(stages.stopped, CompilerRejects) and stages.programs[-1][0] == 'cross_core_pipeline'
    with pytest.raises(CompilerRejects):
        stages.after('sync_insert')
    assert 'stopped:' in L.changes(lowering(body=body), None, None) and 'stopped:' in L.configs_text(lowering(body=body))
