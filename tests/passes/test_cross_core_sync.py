"""Flags around workspaces: which accesses pair up, at which level of the loops, and what the compiler says (dialect 8.12)."""

import pytest

from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, Instr
from tiletwin.passes import combine_cv, simplify
from tiletwin.passes.cross_core_sync import Level, Point
from tiletwin.passes.normal_form import statements
from tiletwin.passes.refuse import CompilerRejects

from .small import after, build, context, texts

CONFIGS = {'tl.ascend_auto_cv_combine', 'tl.ascend_auto_cross_core_sync'}
PARAMS = ('A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32"), workspace_b: T.Tensor((1, 64, 64), "float32"), workspace_a: T.Tensor((1, 64, 64), "float16"), '
          'other: T.Tensor((1, 64, 64), "float32"), n: T.int32, m: T.int32')
TILES = '''
p = T.alloc_L1((64, 64), "float16")
s = T.alloc_L0C((64, 64), "float32")
u = T.alloc_ub((64, 64), "float32")
h = T.alloc_ub((64, 64), "float16")
'''
OUT, IN = 'T.copy(s, workspace_b[cid, 0, 0])', 'T.copy(workspace_b[cid, 0, 0], u)'
BACK, GET = 'T.copy(h, workspace_a[cid, 0, 0])', 'T.copy(workspace_a[cid, 0, 0], p)'
SET, WAIT = 'set_cross_flag mode 2 pipe FIX id 0', 'wait_cross_flag 0'


def flags(body, profile='fork'):
    """Per core the flags and the loops and branches around them."""
    ctx = context(profile=profile, configs=CONFIGS)
    found = statements(after(build(TILES + body, PARAMS, None), simplify, combine_cv, simplify, ctx=ctx))
    return [[x for x in texts(found[core]) if 'cross_flag' in x or x.strip().startswith(('for', 'if'))] for core in ('AIC', 'AIV')] + [ctx.warnings]


def test_the_writer_sets_behind_its_store_and_the_reader_waits_in_front_of_its_load():
    assert flags(f'{OUT}\n{IN}')[:2] == [[SET], [WAIT]]
    assert flags(f'{BACK}\n{GET}')[:2] == [[WAIT], ['set_cross_flag mode 2 pipe MTE3 id 0']]


def test_flags_are_numbered_by_workspace_name_then_by_access():
    cube, vector, _ = flags('\n'.join((OUT, IN, BACK, GET, OUT, IN)))
    assert cube == ['set_cross_flag mode 2 pipe FIX id 1', 'wait_cross_flag 0', 'set_cross_flag mode 2 pipe FIX id 2']
    assert vector == ['wait_cross_flag 1', 'set_cross_flag mode 2 pipe MTE3 id 0', 'wait_cross_flag 2']


REJECTED = {
    f'{OUT}\n{IN}\n{IN}': 'Mismatch in sync points between cube and vec for workspace workspace_b: cube has 1, vec has 2',
    OUT: 'Mismatch in sync points between cube and vec for workspace workspace_b: cube has 1, vec has 0',
    f'{OUT}\nT.copy(u, workspace_b[cid, 0, 0])': 'Inconsistent read/write operations for workspace workspace_b at sync point 0',
    f'for k in T.serial(n):\n    {OUT}\nfor j in T.serial(m):\n    {IN}': 'only works with constant loop sizes, but got n',
}


@pytest.mark.parametrize('body', REJECTED)
def test_accesses_that_do_not_pair_are_rejected_with_the_text_of_the_compiler(body):
    with pytest.raises(CompilerRejects, match=REJECTED[body]):
        flags(body)


def test_only_names_with_workspace_in_them_are_looked_at():
    assert flags('T.copy(s, other[cid, 0, 0])\nT.copy(other[cid, 0, 0], u)')[:2] == [[], []]


def test_a_workspace_of_the_vector_cores_alone_gets_stray_flags():
    assert flags('T.copy(u, workspace_b[cid, 0, 0])\nT.copy(workspace_b[cid, 0, 0], u)')[:2] == [[], ['set_cross_flag mode 2 pipe MTE3 id 0', 'wait_cross_flag 1']]
    assert flags('T.copy(u, workspace_b[cid, 0, 0])\nT.copy(workspace_b[cid, 0, 0], u)', 'sound')[:2] == [[], []]


def test_a_loop_with_a_symbolic_trip_count_around_both_sides_counts_as_one():
    cube, vector, _ = flags(f'for k in T.serial(n):\n    {OUT}\n    {IN}')
    assert cube == ['for k < n', '  ' + SET] and vector == ['for k_1 < n', '  ' + WAIT]


LEVELS = [  # extents on the cube side, on the vector side -> loops the flags stay inside of, on each side; warning
    ([], [], (0, 0), ''),
    ([4], [4], (1, 1), ''),
    ([4], [4, 4], (1, 1), ''),
    ([4, 4], [4], (1, 1), 'Vec loop times (= 4 ) is not enough to catch up cube loop times (= 16 )'),
    ([2, 4], [2], (1, 1), 'Vec loop times (= 2 ) is not enough to catch up cube loop times (= 8 )'),
    ([2, 4], [8], (2, 1), ''),
    ([8], [2, 4], (1, 2), ''),
    ([4], [6], (0, 0), ''),
    ([4, 1], [4], (2, 1), ''),
    ([4], [1, 4], (1, 2), ''),
    ([2, 3], [2, 5], (1, 1), 'Cube loop times (= 6 ) is not enough to catch up vec loop times (= 10 )'),
    ([], [4], (0, 0), ''),  # the warning is asymmetric
    ([4], [], (0, 0), 'Vec loop times (= 1 ) is not enough to catch up cube loop times (= 4 )'),
]


def nest(extents, stem):
    return tuple((n, For(E.Var(f'{stem}{n}'), E.Const(0), E.Const(x), ())) for n, x in enumerate(extents))


@pytest.mark.parametrize('cube, vector, level, warning', LEVELS)
def test_flags_stand_at_the_deepest_level_both_sides_reach_equally_often(cube, vector, level, warning):
    ctx = context()
    point = lambda loops, writes: Point(0, 'workspace_1', writes, 'FIX', loops, None)  # noqa: E731
    assert Level(point(nest(cube, 'a'), True), point(nest(vector, 'b'), False), ctx).find() == level
    assert [warning in w.message for w in ctx.warnings] == ([True] if warning else [])


def test_with_an_interval_flags_are_set_at_its_end_and_waited_for_at_its_start():
    from tiletwin.passes import cross_core_pipeline

    ctx = context(configs=CONFIGS)
    body = f'for k in T.Pipelined(8, num_stages=4, cross_interval=2):\n    {OUT}\n    {IN}\n    T.copy(u, C)'
    found = statements(after(build(TILES + body, PARAMS, None), simplify, cross_core_pipeline, combine_cv, simplify, ctx=ctx))
    assert [x.strip() for x in texts(found['AIC']) if 'if' in x] == ['if tmod(i, 2) == 1 or i == 3'] and [x.strip() for x in texts(found['AIV']) if 'if' in x] == ['if tmod(i_1, 2) == 0']


# ---- profile sound -------------------------------------------------------------------------------------------------------


def test_sound_gives_the_slot_back_in_a_loop_that_only_goes_one_way():
    cube, vector, _ = flags(f'for k in T.serial(n):\n    {OUT}\n    {IN}', 'sound')
    assert cube == ['for k < n', '  wait_cross_flag 1', '  set_cross_flag mode 2 pipe FIX id 0', 'wait_cross_flag 1']
    assert vector == ['set_cross_flag mode 2 pipe MTE2 id 1', 'for k_1 < n', '  wait_cross_flag 0', '  set_cross_flag mode 2 pipe MTE2 id 1']


def test_sound_orders_every_tensor_both_cores_use():
    cube, vector, _ = flags('T.copy(s, other[cid, 0, 0])\nT.copy(other[cid, 0, 0], u)', 'sound')
    assert cube == [SET] and vector == [WAIT]


def test_sound_waits_where_it_sets_in_a_loop_that_may_be_left():
    cube, vector, _ = flags(f'for k in T.serial(n):\n    {OUT}\n    if k > m:\n        T.loop_break()\n    {IN}', 'sound')
    assert vector[1].strip().startswith('wait_cross_flag') and cube[1].strip().startswith('set_cross_flag')


def test_sound_needs_no_order_between_readers():
    assert flags('T.copy(workspace_a[cid, 0, 0], p)\nT.copy(workspace_a[cid, 0, 0], h)', 'sound')[:2] == [[], []]


def test_flag_instructions_name_the_pass_and_the_line_they_serve():
    program = after(build(TILES + f'{OUT}\n{IN}', PARAMS, None), combine_cv, ctx=context(configs=CONFIGS))
    found = [s for scope in program.body for s in scope.body if isinstance(s, Instr) and 'cross_flag' in s.op]
    assert {s.origin for s in found} == {'cross_core_sync'} and all(s.span is not None for s in found)
