"""Simplified programs mean the same; what is dropped, decided, inlined, unrolled and guarded."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiletwin.ir import expr as E
from tiletwin.passes import safe_access, simplify, unit_loops, unroll
from tiletwin.passes.context import SAFE_ACCESS_OFF
from tiletwin.passes.gm_tile import gm_tile
from tiletwin.passes.ranges import Known, linear
from tiletwin.sim.access import gm_tile as executed_tile
from tiletwin.passes.refuse import CompilerRejects

from .small import after, build, context, lines

RANGES = {'x': (0, 3), 'y': (0, 5), 'z': (2, 4)}
NAMES = [E.Var(n) for n in RANGES]
VALUES = [{'x': x, 'y': y, 'z': z} for x in range(4) for y in range(6) for z in range(2, 5)]
_PY = {
    '+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b, 'min': min, 'max': max, '//': lambda a, b: a // b,
    '%': lambda a, b: a % b, 'tdiv': lambda a, b: int(a / b), 'tmod': lambda a, b: a - b * int(a / b),
    '<': lambda a, b: a < b, '<=': lambda a, b: a <= b, '>': lambda a, b: a > b, '>=': lambda a, b: a >= b, '==': lambda a, b: a == b,
    '!=': lambda a, b: a != b, 'and': lambda a, b: bool(a and b), 'or': lambda a, b: bool(a or b),
}


def value(e, env):
    match e:
        case E.Const(value=v):
            return v
        case E.Var(name=n):
            return env[n]
        case E.Select(cond=c, a=a, b=b):
            return value(a if value(c, env) else b, env)
        case E.Un(op=op, a=a):
            return not value(a, env) if op == 'not' else -value(a, env)
        case E.Bin(op=op, a=a, b=b):
            return _PY[op](value(a, env), value(b, env))
    raise TypeError(e)


numbers = st.recursive(st.one_of(st.sampled_from(NAMES), st.integers(-4, 70).map(E.Const)), lambda kid: st.one_of(
    st.builds(E.Bin, st.sampled_from(['+', '-', '*', 'min', 'max']), kid, kid),
    st.builds(lambda op, a, c: E.Bin(op, a, E.Const(c)), st.sampled_from(['//', '%', 'tdiv', 'tmod']), kid, st.integers(1, 9))), max_leaves=6)
conditions = st.builds(lambda op, a, b: E.Bin(op, a, b, 'bool'), st.sampled_from(['<', '<=', '>', '>=', '==', '!=']), numbers, numbers)
conditions = st.one_of(conditions, st.builds(lambda op, a, b: E.Bin(op, a, b, 'bool'), st.sampled_from(['and', 'or']), conditions, conditions))
whole = st.one_of(numbers, conditions, st.builds(E.Select, conditions, numbers, numbers))


@settings(max_examples=300, deadline=None)
@given(whole)
def test_a_simplified_expression_has_the_same_value_everywhere(e):
    short = simplify.expr(e, RANGES)
    assert all(value(short, env) == value(e, env) for env in VALUES)


@settings(max_examples=200, deadline=None)
@given(numbers)
def test_the_sum_of_terms_has_the_same_value(e):
    assert all(value(linear(e), env) == value(e, env) for env in VALUES)


@settings(max_examples=300, deadline=None)
@given(numbers, conditions, st.booleans(), st.integers(-3, 40))
def test_what_is_proved_holds_wherever_the_condition_does(e, cond, holds, low):
    known = Known(RANGES).given(cond, holds)
    if known.at_least(e, low):
        assert all(value(e, env) >= low for env in VALUES if bool(value(cond, env)) == holds)


def shapes(rank):
    """Shape, starts and extents of one tensor."""
    return st.tuples(*(st.lists(st.integers(lo, hi), min_size=rank, max_size=rank) for lo, hi in ((1, 9), (0, 12), (1, 6))))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4).flatmap(shapes))
def test_the_view_of_a_tensor_is_the_one_the_simulator_executes(case):
    shape, starts, extents = (tuple(x) for x in case)
    found = gm_tile(*(tuple(map(E.Const, x)) for x in (shape, starts, extents)), Known({}))
    want = executed_tile('A', shape, starts, extents)
    assert [value(x, {}) for x in (found.valid_rows, found.valid_cols, found.pitch)] == [want.valid_rows, want.valid_cols, want.pitch]


FLOATS = {'x / 4.0': '*', 'x + 0.0': 'x', 'x * 1.0': 'x', 'x - 0.0': 'x', '0.0 + x': 'x', 'x * 0.5': '*', 'x + 1.0': '+'}


@pytest.mark.parametrize('text', FLOATS)
def test_float_identities(text):
    x = E.Var('x', 'float32')
    a, op, b = text.split()
    found = simplify.expr(E.Bin(op, *(x if v == 'x' else E.Const(float(v), 'float32') for v in (a, b)), 'float32'), {})
    assert found == x if FLOATS[text] == 'x' else found.op == FLOATS[text]
    if text == 'x / 4.0':
        assert math.isclose(found.b.value, 0.25)


TILE = 'u = T.alloc_ub((64, 64), "float32")\n'
PARAMS = 'A: T.Tensor((256, 64), "float32"), I: T.Tensor((8,), "int32"), n: T.int32'
WORK = 'T.tile.exp(u, u)'
EXP = 'vec exp UB u[0:+4096], UB u[0:+4096], 4096'
BODIES = {
    f'if cid < 4:\n    {WORK}': [EXP],
    f'if cid >= 4:\n    {WORK}': [],
    f'if cid < 3:\n    {WORK}': ['if cid < 3', '  ' + EXP],
    f'for k in T.serial(3):\n    if k < 3:\n        {WORK}': ['for k < 3', '  ' + EXP],
    f'for k in T.serial(3):\n    if k > 2:\n        {WORK}': [],
    f'row = cid * 8\nT.tile.exp(u[row, :], u[row, :])': ['vec exp UB u[cid*8*64:+64], UB u[cid*8*64:+64], 64'],
    f'row = I[cid]\nT.tile.exp(u[row, :], u[row, :])': ['let row = I[cid]', '  vec exp UB u[row*64:+64], UB u[row*64:+64], 64'],
    f'for k in T.serial(0):\n    {WORK}': [],
    f'if cid < 2:\n    if cid > 5:\n        {WORK}': [],
}


@pytest.mark.parametrize('body', BODIES)
def test_statements(body):
    assert lines(after(build(TILE + body, PARAMS, blocks=4), simplify)) == BODIES[body]


def test_loops_of_one_trip_lose_their_frame_unless_annotated():
    found = lines(after(build(TILE + f'for k in T.serial(1):\n    T.tile.exp(u[k, :], u[k, :])\nfor p in T.Pipelined(1):\n    {WORK}', PARAMS),
                        unit_loops, simplify))
    assert found == ['vec exp UB u[0:+64], UB u[0:+64], 64', 'for p < 1', '  ' + EXP]


def test_unrolled_loops_are_written_out_with_names_of_their_own():
    body = 'for k in T.unroll(2):\n    for r in T.serial(4):\n        T.tile.exp(u[k * 4 + r, :], u[k * 4 + r, :])'
    found = lines(after(build(TILE + body, PARAMS), unroll))
    assert [x for x in found if x.startswith('for')] == ['for r < 4', 'for r_1 < 4']
    assert found[1].strip().startswith('vec exp UB u[r*64') and 'r_1' in found[3]


def test_a_symbolic_unrolled_loop_is_rejected():
    with pytest.raises(CompilerRejects, match='non-constant'):
        after(build(TILE + f'for k in T.unroll(n):\n    {WORK}', PARAMS), unroll)


GUARDS = {
    'for k in T.serial(8):\n    I[k] = k': ['for k < 8', '  store GM I[k] = k'],
    'for k in T.serial(9):\n    I[k] = k': ['for k < 9', '  if k < 8', '    store GM I[k] = k'],
    'for k in T.serial(9):\n    I[k - 1] = k': ['for k < 9', '  if 0 <= k-1', '    store GM I[k-1] = k'],
    'for k in T.serial(9):\n    u[k, 0] = A[k * 32, 0]': ['for k < 9', '  store UB u[k*64] = select(k*32 < 256, A[k*32*64], 0.0)'],
    'for k in T.serial(9):\n    u[k * 32, 0] = 1.0': ['for k < 9', '  store UB u[k*32*64] = 1.0'],  # on-chip memory is not guarded
    'I[n] = 1': ['store GM I[n] = 1'],  # nor is code outside loops
}


@pytest.mark.parametrize('body', GUARDS)
def test_scalar_accesses_to_global_memory_are_guarded_in_innermost_loops(body):
    assert lines(after(build(TILE + body, PARAMS), safe_access)) == GUARDS[body]


def test_the_guard_can_be_switched_off():
    program = build(TILE + 'for k in T.serial(9):\n    I[k] = k', PARAMS)
    assert after(program, safe_access, ctx=context(configs=[SAFE_ACCESS_OFF])) is program
