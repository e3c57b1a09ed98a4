"""The split of one body into a cube copy and a vector copy (dialect 8.11)."""

import pytest

from tiletwin.passes import combine_cv, simplify
from tiletwin.passes.normal_form import statements
from tiletwin.passes.refuse import CompilerRejects

from .small import after, build, context, texts

COMBINE = 'tl.ascend_auto_cv_combine'
PARAMS = 'A: T.Tensor((64, 64), "float16"), R: T.Tensor((64, 64), "float32"), C: T.Tensor((64, 64), "float32"), D: T.Tensor((64, 64), "float32"), I: T.Tensor((8,), "int32")'
TILES = '''
a = T.alloc_L1((64, 64), "float16")
x = T.alloc_L0A((64, 64), "float16")
y = T.alloc_L0B((64, 64), "float16")
s = T.alloc_L0C((64, 64), "float32")
u = T.alloc_ub((64, 64), "float32")
ix = T.alloc_ub((8,), "int32")
v = T.alloc_var("int32", init=0)
'''


def split(body, profile='fork'):
    """(cube copy, vector copy, warnings)"""
    ctx = context(profile=profile, configs={COMBINE})
    found = statements(after(build(TILES + body, PARAMS, None), simplify, combine_cv, simplify, ctx=ctx))
    return [x.strip() for x in texts(found['AIC'])], [x.strip() for x in texts(found['AIV'])], ctx.warnings


CLASSES = {  # statement: the core that keeps it
    'T.copy(A, a)': 'C', 'T.copy(a, x)': 'C', 'T.mma(x, y, s, init=True)': 'C', 'T.gemm_v0(a, a, s, init=True)': 'C', 'T.copy(s, C)': 'C', 'T.tile.atomic_add(C[0, 0], s)': 'C',
    'T.copy(R, u)': 'V', 'T.copy(u, D)': 'V', 'T.tile.exp(u, u)': 'V', 'T.tile.fill(u, 0.0)': 'V', 'T.tile.atomic_add(D[0, 0], u)': 'V', 'u[0, 0] = 1.0': 'V',
    # scalar stores anywhere else are the cube core's, variables too
    'C[0, 0] = 1.0': 'C', 'v = v + 1': 'C',
}


@pytest.mark.parametrize('statement', CLASSES)
def test_every_statement_is_kept_by_the_core_of_its_operands(statement):
    cube, vector, _ = split(statement)
    assert (bool(cube), bool(vector)) == ((True, False) if CLASSES[statement] == 'C' else (False, True))


FOLLOWERS = ('T.barrier_all()', 'T.set_flag("mte2", "mte1", 0)', 'T.pipe_barrier("mte2")')


@pytest.mark.parametrize('flag', FOLLOWERS)
def test_unclassified_statements_follow_the_last_classified_one(flag):
    before, between, behind = split(f'{flag}\nT.copy(A, a)\nT.copy(R, u)')[:2], split(f'T.copy(A, a)\n{flag}\nT.copy(R, u)')[:2], split(f'T.copy(A, a)\nT.copy(R, u)\n{flag}')[:2]
    assert [len(x) for x in before] == [1, 1]  # nothing is classified yet: lost
    assert [len(x) for x in between] == [2, 1] and [len(x) for x in behind] == [1, 2]


def test_loops_without_work_of_a_core_are_left_out_of_its_copy():
    cube, vector, _ = split('for k in T.serial(4):\n    T.copy(R, u)\n    if k > 1:\n        T.tile.exp(u, u)')
    assert cube == [] and vector[0] == 'for k < 4' and 'if 1 < k' in vector


def test_both_copies_keep_loops_and_conditions_around_their_work():
    cube, vector, _ = split('for k in T.serial(4):\n    if k > 1:\n        T.copy(A, a)\n        T.copy(R, u)')
    assert cube == ['for k < 4', 'if 1 < k', 'copy GM A[0] -> L1 a[0]'] and vector == ['for k_1 < 4', 'if 1 < k_1', 'copy GM R[0] -> UB u[0]']


REFUSED = {'T.copy(R, u)\nT.sync_all()': 'indexing 0 on an array of size 0', 'for k in T.serial(4):\n    T.copy(R, u)\n    T.loop_break()': 'indexing 0 on an array of size 0',
           'T.copy(I, ix)\nrow = ix[0]\nT.copy(A[row, 0], a)\nT.copy(R[row, 0], u)': 'Cannot find pre-allocated address for buffer: ix'}


@pytest.mark.parametrize('body', REFUSED)
def test_what_the_split_cannot_place_is_rejected_as_the_compiler_does(body):
    with pytest.raises(CompilerRejects, match=REFUSED[body]):
        split(body)


def test_a_value_only_the_vector_cores_use_may_come_from_their_memory():
    cube, vector, _ = split('T.copy(I, ix)\nT.barrier_all()\nrow = ix[0]\nT.copy(A, a)\nT.copy(R[row, 0], u)')
    assert cube == ['copy GM A[0] -> L1 a[0]'] and 'copy GM R[row*64] -> UB u[0]' in vector


def test_a_variable_vector_code_reads_but_cannot_update_is_warned_about():
    _, _, warnings = split('for k in T.serial(4):\n    T.copy(R[v, 0], u)\n    v = v + 1')
    assert [w.message.split(';')[0] for w in warnings] == ['v is updated on the cube core only: vector code keeps its initial value 0']
    assert warnings[0].changes_meaning
    _, _, warnings = split('T.copy(R[v, 0], u)\nfor k in T.serial(4):\n    T.copy(A[v, 0], a)\n    v = v + 1')
    assert warnings == []


def test_sound_updates_variables_on_both_cores():
    cube, vector, warnings = split('for k in T.serial(4):\n    T.copy(A[v, 0], a)\n    T.copy(R[v, 0], u)\n    v = v + 1', 'sound')
    assert 'store VAR v[0] = v[0]+1' in cube and 'store VAR v[0] = v[0]+1' in vector and not warnings


def test_sound_keeps_sync_all_and_loop_break_on_both_cores():
    cube, vector, _ = split('for k in T.serial(4):\n    T.copy(A, a)\n    T.copy(R, u)\n    T.sync_all()\n    if k > 1:\n        T.loop_break()', 'sound')
    assert cube.count('sync_all') == vector.count('sync_all') == 1 and cube.count('op loop_break') == vector.count('op loop_break') == 1


def test_hand_written_scopes_do_not_decide():
    cube, vector, warnings = split('with T.Scope("V"):\n    T.copy(R, u)\nwith T.Scope("C"):\n    T.copy(A, a)')
    assert cube == ['copy GM A[0] -> L1 a[0]'] and vector == ['copy GM R[0] -> UB u[0]'] and 'T.Scope' in warnings[0].message


def test_cross_core_sync_without_the_split_is_warned_about():
    ctx = context(configs={'tl.ascend_auto_cross_core_sync'})
    program = build(TILES + 'T.copy(A, a)', PARAMS, None)
    assert combine_cv.run(program, ctx) is program and 'has no effect without' in ctx.warnings[0].message
