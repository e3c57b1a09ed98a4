"""C1.14: barriers of pipe V come out by pattern, never unseen; what is not understood stays or is refused."""

import pytest

import tiletwin
from tiletwin.errors import DialectError
from tiletwin.harness.vec_barriers import barriers, remove

BODY = {
    # instruction before, instruction after -> is the barrier needed
    'exp-sum-one-tile': ('T.tile.exp(a, a)', 'T.reduce_sum(a, s, dim=-1)', 'softmax-exp-sum', True),
    'exp-sum-two-tiles': ('T.tile.exp(a, a)', 'T.reduce_sum(b, s, dim=-1)', 'softmax-exp-sum', False),
    'exp-sum-overwrites': ('T.tile.exp(a, b)', 'T.reduce_sum(c, b1, dim=-1)', 'softmax-exp-sum', True),
    'sum-add-result': ('T.reduce_sum(a, s, dim=-1)', 'T.tile.add(t, t, s)', 'softmax-sum-add', True),
    'sum-add-others': ('T.reduce_sum(a, s, dim=-1)', 'T.tile.add(t, t, u)', 'softmax-sum-add', False),
}


def program(first, second, between=''):
    text = f"""
@T.prim_func
def main(X: T.Tensor((8, 64), 'float')):
    with T.Kernel(1, is_npu=True) as (cid, vid):
        a = T.alloc_ub((8, 64), 'float')
        b = T.alloc_ub((8, 64), 'float')
        c = T.alloc_ub((8, 64), 'float')
        b1 = T.view(b, (8,), 'float')
        s = T.alloc_ub((8,), 'float')
        t = T.alloc_ub((8,), 'float')
        u = T.alloc_ub((8,), 'float')
        with T.Scope('V'):
            {first}
            {between or 'T.pipe_barrier("v")'}
            {second}
"""
    return text


@pytest.fixture
def build(tmp_path):
    import importlib.util

    def build(*args):
        path = tmp_path / f'kernel_{abs(hash(args))}.py'
        path.write_text('from tiletwin import language as T\n' + program(*args))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return tiletwin.compile(module.main, platform='A3').program

    return build


@pytest.mark.parametrize('name', BODY)
def test_a_barrier_stays_where_both_sides_share_a_tile(build, name):
    first, second, pattern, needed = BODY[name]
    found = remove(build(first, second), (pattern,))
    assert (len(found.removed), len(found.skipped)) == ((0, 1) if needed else (1, 0))
    assert len(barriers(found.program)) == (1 if needed else 0)


def test_a_line_is_checked_like_a_pattern(build):
    for name, kept in (('exp-sum-one-tile', 1), ('exp-sum-two-tiles', 0)):
        made = build(*BODY[name][:2])
        line = barriers(made)[0].span.line
        assert len(barriers(remove(made, (), (line,)).program)) == kept


def test_a_pattern_vouches_for_its_own_pair_only(build):
    first = 'T.tile.row_expand_mul_experiment(a, a, s, b1)'
    assert len(remove(build(first, 'T.tile.add(a, a, c)')).removed) == 1
    assert len(remove(build(first + '; T.tile.exp(c, c)', 'T.tile.add(a, a, c)')).removed) == 0


@pytest.mark.parametrize('patterns, lines, says', [
    (('gu',), (3,), 'by pattern and by line'), (('softmax',), (), "no barrier pattern 'softmax'"), (('gu',), (), "matches 'gu'"),
    ((), (1,), 'matches 1'),
])
def test_what_is_not_understood_is_refused(build, patterns, lines, says):
    with pytest.raises(DialectError, match=says):
        remove(build(*BODY['exp-sum-two-tiles'][:2]), patterns, lines)


def test_barriers_across_a_branch_are_left_alone(build):
    made = build('T.tile.exp(a, a)', 'T.reduce_sum(b, s, dim=-1)', 'T.pipe_barrier("mte2")')
    assert barriers(made) == []
