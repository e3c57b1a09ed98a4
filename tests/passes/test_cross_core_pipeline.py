"""Pipelining between the cores: stages, slots, and the trips the compiler loses (dialect 7.1)."""

import pytest

from tiletwin.passes import cross_core_pipeline, simplify, unit_loops, workspace_reduction
from tiletwin.passes.refuse import CompilerRejects

from .small import after, build, context, lines

PARAMS = ('A: T.Tensor((512, 64), "float16"), C: T.Tensor((512, 64), "float32"), I: T.Tensor((64,), "int32"), workspace_s: T.Tensor((1, 64, 64), "float32"), '
          'my_workspace: T.Tensor((1, 64, 64), "float32"), n: T.int32')
TILES = '''
a = T.alloc_L1((64, 64), "float16")
p = T.alloc_L1((64, 64), "float16")
s = T.alloc_L0C((64, 64), "float32")
o = T.alloc_L0C((64, 64), "float32")
u = T.alloc_ub((64, 64), "float32")
w = T.alloc_ub((64, 64), "float32")
l = T.alloc_ub((64,), "float32")
h = T.alloc_ub((64, 64), "float16")
v = T.alloc_var("int32", init=0)
'''
LOAD, GEMM, OUT = 'T.copy(A[k * 64, 0], a)', 'T.gemm_v0(a, a, s, init=True)', 'T.copy(s, workspace_s[cid, 0, 0])'
IN, STORE = 'T.copy(workspace_s[cid, 0, 0], u)', 'T.copy(u, C[k * 64, 0])'
PAIR = (LOAD, GEMM, OUT, IN, STORE)


def piped(*body, head='T.Pipelined(8, num_stages=2)', profile='fork', before='', behind=''):
    text = f'{TILES}{before}\nfor k in {head}:\n' + '\n'.join('    ' + line for part in body for line in part.split('\n')) + f'\n{behind}'
    return after(build(text, PARAMS, 1), workspace_reduction, simplify, cross_core_pipeline, unit_loops, simplify, ctx=context(profile=profile, configs={'tl.ascend_auto_cv_combine'}))


def loops(program):
    return [x for x in lines(program) if x.strip().startswith('for')]


TRIPS = {  # what the source says -> the loops of fork, of sound
    'T.Pipelined(8, num_stages=2)': (['for k_outer < 4', '  for i < 2', '  for i_1 < 2'], ['for k_outer < 4', '  for i < 2', '  for i_1 < 2']),
    # the remainder is dropped
    'T.Pipelined(7, num_stages=2)': (['for k_outer < 3', '  for i < 2', '  for i_1 < 2'], ['for k_outer < 4', '  for i < min(2, 7-k_outer*2)', '  for i_1 < min(2, 7-k_outer*2)']),
    # fewer trips than stages: nothing is left
    'T.Pipelined(3, num_stages=4)': ([], ['for i < 3', 'for i_1 < 3']),
    # a symbolic extent is multiplied where it should be divided
    'T.Pipelined(n, num_stages=2)': (['for k_outer < n*2', '  for i < 2', '  for i_1 < 2'], ['for k_outer < (n+1)//2', '  for i < min(2, n-k_outer*2)', '  for i_1 < min(2, n-k_outer*2)']),
}


@pytest.mark.parametrize('head', TRIPS)
def test_every_stage_runs_for_several_iterations_in_a_row(head):
    assert loops(piped(*PAIR, head=head)) == TRIPS[head][0]
    assert loops(piped(*PAIR, head=head, profile='sound')) == TRIPS[head][1]


def test_a_start_other_than_zero_is_multiplied_along_by_the_compiler_only():
    fork, sound = (piped(*PAIR, head='T.Pipelined(2, 8, num_stages=2)', profile=p) for p in ('fork', 'sound'))
    assert 'GM A[(k_outer*2+i)*64*64]' in lines(fork)[2] and 'GM A[(2+(k_outer*2+i))*64*64]' in lines(sound)[2]
    assert loops(fork)[0] == 'for k_outer < 3' == loops(sound)[0]


def test_stages_are_runs_of_statements_of_one_core():
    program = piped(LOAD, GEMM, OUT, IN, 'T.copy(u, h)', 'T.copy(h, p)', 'T.gemm_v0(p, a, o, init=True)', 'T.copy(o, C[k * 64, 0])')
    assert len(loops(program)) == 4


def test_workspaces_get_a_slot_for_every_iteration_in_flight():
    program = piped(*PAIR)
    assert [d.value for d in program.buffers['workspace_s'].shape] == [2, 1, 64, 64]
    assert any('workspace_s[(i+cid)*64*64]' in x for x in lines(program))


def test_a_tensor_that_only_has_workspace_in_its_name_is_shifted_without_having_grown():
    program = piped(LOAD, GEMM, 'T.copy(s, my_workspace[cid, 0, 0])', 'T.copy(my_workspace[cid, 0, 0], u)', STORE)
    assert [d.value for d in program.buffers['my_workspace'].shape] == [1, 64, 64]
    assert any('my_workspace[(cid+i)*64*64]' in x for x in lines(program))


THREE = (LOAD, GEMM, OUT, IN, 'T.reduce_sum(u, l, dim=-1)', 'T.copy(u, h)', 'T.copy(h, p)', 'T.gemm_v0(p, a, o, init=True)', 'T.copy(o, w)', 'T.tile.abs(w, w)')


def test_a_tile_one_stage_leaves_for_another_gets_slots():
    program = piped(*THREE, 'for r in T.serial(64):\n    T.tile.div(w[r, :], w[r, :], l[r])', 'T.copy(w, C[k * 64, 0])')
    assert {b.name for b in program.buffers.values() if b.versions > 1} == {'l', 'a'}
    assert any('vec reduce_sum UB l[i_1*64:+64]' in x for x in lines(program)) and any('UB l[i_3*64:+64], r, 64' in x for x in lines(program))


FOLLOWS = {'mul': True, 'add': True, 'sub': False, 'div': False, 'max': False, 'min': False}


@pytest.mark.parametrize('op', FOLLOWS)
def test_only_sums_and_products_follow_the_slot_of_a_scalar_operand(op):
    program = piped(*THREE, f'for r in T.serial(64):\n    T.tile.{op}(w[r, :], w[r, :], l[r])', 'T.copy(w, C[k * 64, 0])')
    line = next(x for x in lines(program) if f'vec {op}s' in x)
    assert line.endswith(', r+i_3*64, 64' if FOLLOWS[op] else ', r, 64')
    sound = next(x for x in lines(piped(*THREE, f'for r in T.serial(64):\n    T.tile.{op}(w[r, :], w[r, :], l[r])', 'T.copy(w, C[k * 64, 0])', profile='sound')) if f'vec {op}s' in x)
    assert sound.endswith(', 64') and ('+' in sound.split('], ')[-1] or 'k' in sound)


def test_tiles_used_outside_the_loop_keep_one_copy():
    program = piped(*THREE, 'for r in T.serial(64):\n    T.tile.div(w[r, :], w[r, :], l[r])', 'T.copy(w, C[k * 64, 0])', before='T.tile.fill(l, 0.0)')
    assert program.buffers['l'].versions == 1


def test_a_condition_of_one_core_is_executed_twice_and_one_of_both_is_lost():
    one = lines(piped(LOAD, GEMM, OUT, 'if k > 2:\n    ' + IN, STORE))
    assert sum('GM workspace_s' in x and '-> UB u' in x for x in one) == 2 and sum('if ' in x for x in one) == 1
    both = lines(piped(LOAD, GEMM, 'if k > 2:\n    ' + OUT + '\n    ' + IN, STORE))
    assert not any('if ' in x for x in both)


def test_a_value_that_reads_memory_is_refused_because_the_compiler_loses_it():
    with pytest.raises(CompilerRejects, match='is lost'):
        piped('row = I[k]', 'T.copy(A[row, 0], a)', *PAIR[1:])


def test_two_loops_are_refused():
    with pytest.raises(CompilerRejects, match='only support one cross core pipeline body, but got 2'):
        piped(*PAIR, behind='for k in T.Pipelined(4, num_stages=2):\n' + '\n'.join('    ' + x for x in PAIR))


def test_a_loop_that_stores_nothing_is_left_alone():
    program = piped('T.gemm_v0(a, a, s, init=False)', 'T.tile.exp(u, u)')
    assert loops(program) == ['for k < 8']


KEPT_SERIAL = {  # loops whose iterations depend on one another across stages
    'a tile that carries a value from stage to stage': (LOAD, 'T.gemm_v0(a, a, s, init=True)', 'T.copy(s, u)', 'T.tile.add(w, w, u)', 'T.copy(w, h)', 'T.copy(h, p)',
                                                        'T.gemm_v0(p, a, o, init=True)', 'T.copy(o, u)', 'T.tile.add(w, w, u)', STORE),
    'a tensor stored by one stage and loaded by another': (LOAD, GEMM, 'T.copy(s, C[k * 64, 0])', 'T.copy(C[0, 0], u)', STORE),
    'a scalar variable': (LOAD, GEMM, OUT, IN, 'v = v + 1', 'T.copy(u, C[v * 64, 0])'),
    'a condition around work of both cores': (LOAD, GEMM, f'if k > 2:\n    {OUT}\n    {IN}', STORE),
}


@pytest.mark.parametrize('why', KEPT_SERIAL)
def test_sound_keeps_a_loop_serial_that_would_change_its_meaning(why):
    program = piped(*KEPT_SERIAL[why], profile='sound', before='T.tile.fill(w, 0.0)')
    assert loops(program)[0] == 'for k < 8' and all(b.versions == 1 for b in program.buffers.values())


def test_sound_evaluates_a_value_again_in_every_stage():
    found = lines(piped('row = I[k]', 'T.copy(A[row, 0], a)', GEMM, OUT, IN, 'T.copy(u, C[row, 0])', profile='sound'))
    assert sum('let ' in x for x in found) == 2
