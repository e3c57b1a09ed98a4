"""Element-wise vector instructions compute in the dtype of their operands (dialect 5.3.1 to 5.3.5)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.build import at, element, op
from tests.sim.chip import data, run_ub, same, within
from tiletwin.ir import expr as E

HALF, BF, F32 = torch.float16, torch.bfloat16, torch.float32
I16, I32, U16 = torch.int16, torch.int32, torch.uint16
SEED = st.integers(0, 1 << 20)
FEW = settings(max_examples=8)
EXACT = pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])


def wide(t):
    return t.to(torch.float64)


def wrap_int(x, dtype):
    """Two's complement of int64 values in a narrower integer."""
    n = torch.iinfo(dtype).bits
    x = x & ((1 << n) - 1)
    if torch.iinfo(dtype).min < 0:
        x = torch.where(x >= 1 << (n - 1), x - (1 << n), x)
    return x.to(dtype)


EXACT_FLOAT = {'add': lambda a, b: a + b, 'sub': lambda a, b: a - b, 'mul': lambda a, b: a * b, 'div': lambda a, b: a / b,
               'max': torch.maximum, 'min': torch.minimum}


@EXACT
@pytest.mark.parametrize('dtype', [HALF, BF, F32])
@pytest.mark.parametrize('name', EXACT_FLOAT)
@FEW
@given(n=st.integers(1, 200), seed=SEED)
def test_binary_float_rounds_once_to_the_dtype(name, dtype, exact, n, seed):
    a, b = data(seed, n, dtype), data(seed + 1, n, dtype)
    got = run_ub({'a': a, 'b': b, 'd': torch.zeros(n, dtype=dtype)}, lambda u: [op(name, u['d'], u['a'], u['b'])], exact=exact)
    same(got['d'], EXACT_FLOAT[name](wide(a), wide(b)).to(dtype))
    same(got['a'], a)


@pytest.mark.parametrize('dtype', [I16, I32])
@pytest.mark.parametrize('name', ['add', 'sub', 'mul', 'max', 'min'])
@FEW
@given(n=st.integers(1, 100), seed=SEED)
def test_binary_integers_wrap(name, dtype, n, seed):
    a, b = data(seed, n, dtype), data(seed + 1, n, dtype)
    got = run_ub({'a': a, 'b': b, 'd': torch.zeros(n, dtype=dtype)}, lambda u: [op(name, u['d'], u['a'], u['b'])])
    same(got['d'], wrap_int(EXACT_FLOAT[name](a.to(torch.int64), b.to(torch.int64)), dtype))


@pytest.mark.parametrize('dtype', [I16, U16])
@pytest.mark.parametrize('name', ['bitwise_and', 'bitwise_or', 'bitwise_xor'])
@FEW
@given(n=st.integers(1, 100), seed=SEED)
def test_bitwise(name, dtype, n, seed):
    a, b = data(seed, n, dtype), data(seed + 1, n, dtype)
    fn = {'bitwise_and': torch.bitwise_and, 'bitwise_or': torch.bitwise_or, 'bitwise_xor': torch.bitwise_xor}[name]
    got = run_ub({'a': a, 'b': b, 'd': torch.zeros(n, dtype=dtype)}, lambda u: [op(name, u['d'], u['a'], u['b'])])
    same(got['d'], fn(a.view(I16), b.view(I16)).view(dtype))


@FEW
@given(rows=st.integers(2, 8), cols=st.integers(2, 40), r0=st.integers(0, 7), seed=SEED)
def test_a_region_is_a_contiguous_run(rows, cols, r0, seed):
    """`U[r0:, 0:cols//2]` is the first elements of row r0 and on, not a rectangle."""
    r0 %= rows
    n = (rows - r0) * (cols // 2)
    a = data(seed, (rows, cols), F32)
    got = run_ub({'a': a, 'd': torch.zeros(rows, cols)}, lambda u: [op('adds', at(u['d'], [r0, 0], [rows - r0, cols // 2]),
                                                                       at(u['a'], [r0, 0], [rows - r0, cols // 2]), E.Const(1.0, 'float32'))])
    want = torch.zeros(rows * cols)
    want[r0 * cols:r0 * cols + n] = a.view(-1)[r0 * cols:r0 * cols + n] + 1
    same(got['d'], want.view(rows, cols))


def scalar_reference(name, a, s, dtype, target):
    s = torch.tensor(s, dtype=torch.float64).to(dtype)
    if name == 'divs' and target == 'ascendc':
        r = (torch.tensor(1.0) / s.to(F32)).to(dtype)
        return (wide(a) * wide(r)).to(dtype)
    fn = {'adds': 'add', 'subs': 'sub', 'muls': 'mul', 'divs': 'div', 'maxs': 'max', 'mins': 'min'}[name]
    return EXACT_FLOAT[fn](wide(a), wide(s)).to(dtype)


@EXACT
@pytest.mark.parametrize('target', ['ascendc', 'pto'])
@pytest.mark.parametrize('dtype', [HALF, BF, F32])
@pytest.mark.parametrize('name', ['adds', 'subs', 'muls', 'divs', 'maxs', 'mins'])
@FEW
@given(n=st.integers(1, 100), s=st.floats(0.1, 8.0), seed=SEED)
def test_scalar_forms(name, dtype, target, exact, n, s, seed):
    a = data(seed, n, dtype)
    got = run_ub({'a': a, 'd': torch.zeros(n, dtype=dtype)}, lambda u: [op(name, u['d'], u['a'], E.Const(s, 'float32'))], target, exact)
    same(got['d'], scalar_reference(name, a, s, dtype, target))


@EXACT
@pytest.mark.parametrize('name', ['adds', 'subs', 'muls', 'divs', 'maxs', 'mins'])
@FEW
@given(n=st.integers(1, 100), i=st.integers(0, 7), seed=SEED)
def test_scalar_from_an_element_uses_its_first_index(name, exact, n, i, seed):
    a, s = data(seed, n, HALF), data(seed + 1, (4, 8), HALF, 0.5, 4.0)
    got = run_ub({'a': a, 's': s, 'd': torch.zeros(n, dtype=HALF)}, lambda u: [op(name, u['d'], u['a'], element(u['s'], i, 3))], exact=exact)
    same(got['d'], scalar_reference(name, a, s.view(-1)[i].item(), HALF, 'ascendc'))


UNARY = {'exp': (torch.exp, -4, 4), 'ln': (torch.log, 0.01, 9), 'abs': (torch.abs, -4, 4), 'reciprocal': (torch.reciprocal, 0.1, 4),
         'sqrt': (torch.sqrt, 0, 9), 'rsqrt': (torch.rsqrt, 0.1, 9), 'relu': (torch.relu, -4, 4), 'sin': (torch.sin, -4, 4),
         'cos': (torch.cos, -4, 4),
         'sigmoid': (torch.sigmoid, -4, 4), 'silu': (torch.nn.functional.silu, -4, 4)}


@EXACT
@pytest.mark.parametrize('dtype', [HALF, BF, F32])
@pytest.mark.parametrize('name', UNARY)
@FEW
@given(n=st.integers(1, 200), seed=SEED)
def test_unary(name, dtype, exact, n, seed):
    fn, low, high = UNARY[name]
    a = data(seed, n, dtype, low, high)
    got = run_ub({'a': a, 'd': torch.zeros(n, dtype=dtype)}, lambda u: [op(name, u['d'], u['a'])], exact=exact)
    within(got['d'], fn(wide(a)), 0.51 if dtype != F32 else 4)
    same(got['a'], a)


def test_bitwise_not():
    a = data(3, 64, I16)
    got = run_ub({'a': a, 'd': torch.zeros(64, dtype=I16)}, lambda u: [op('bitwise_not', u['d'], u['a'])])
    same(got['d'], ~a)


@pytest.mark.parametrize('name,lost', [('sigmoid', lambda x: 1 + torch.exp(-x)), ('silu', lambda x: 1 + torch.exp(-x)), ('pow', None)])
def test_pto_composes_in_the_source(name, lost):
    a, b = data(5, 64, F32, 0.1, 4), data(6, 64, F32)
    extra = ['b'] if name == 'pow' else []
    got = run_ub({'a': a, 'b': b, 'd': torch.zeros(64)}, lambda u: [op(name, u['d'], u['a'], *(u[x] for x in extra))], 'pto')
    fn = {'sigmoid': torch.sigmoid, 'silu': torch.nn.functional.silu}.get(name)
    within(got['d'], fn(wide(a)) if fn else torch.exp(torch.log(wide(a)) * wide(b)), 40)
    within(got['a'], lost(wide(a)) if lost else torch.log(wide(a)) * wide(b), 40)


@EXACT
@pytest.mark.parametrize('dtype', [HALF, F32])
@FEW
@given(n=st.integers(1, 100), s=st.floats(-2, 2), seed=SEED)
def test_axpy_and_leaky_relu(dtype, exact, n, s, seed):
    a, d = data(seed, n, dtype), data(seed + 1, n, dtype)
    k = torch.tensor(s, dtype=torch.float64).to(dtype)
    got = run_ub({'a': a, 'd': d, 'e': d},
                 lambda u: [op('axpy', u['d'], u['a'], E.Const(s, 'float32')), op('leaky_relu', u['e'], u['a'], E.Const(s, 'float32'))],
                 exact=exact)
    product = (a.to(F32) * k.to(F32))
    same(got['d'], (d.to(F32) + product).to(dtype))
    same(got['e'], torch.where(a >= 0, a.to(F32), product).to(dtype))


@EXACT
@FEW
@given(n=st.integers(1, 100), seed=SEED)
def test_mul_add_dst(exact, n, seed):
    a, b, d = (data(seed + i, n, HALF) for i in range(3))
    got = run_ub({'a': a, 'b': b, 'd': d}, lambda u: [op('mul_add_dst', u['d'], u['a'], u['b'])], exact=exact)
    same(got['d'], (d.to(F32) + a.to(F32) * b.to(F32)).to(HALF))


@FEW
@given(n=st.integers(1, 64), seed=SEED)
def test_pow(n, seed):
    a, b = data(seed, n, F32, 0.1, 4), data(seed + 1, n, F32, -2, 2)
    i, j = data(seed, n, torch.int8).to(I32) % 9, data(seed + 1, n, torch.int8).to(I32).abs() % 6
    got = run_ub({'a': a, 'b': b, 'd': torch.zeros(n), 'i': i, 'j': j, 'k': torch.zeros(n, dtype=I32)},
                 lambda u: [op('pow', u['d'], u['a'], u['b']), op('pow', u['k'], u['i'], u['j'])])
    within(got['d'], wide(a) ** wide(b), 4)
    same(got['k'], (i.to(torch.int64) ** j.to(torch.int64)).to(I32))


@pytest.mark.parametrize('dtype', [I16, I32, U16])
@FEW
@given(n=st.integers(1, 64), s=st.integers(0, 15), seed=SEED)
def test_shifts(dtype, n, s, seed):
    a = data(seed, n, dtype)
    got = run_ub({'a': a, 'l': torch.zeros(n, dtype=dtype), 'r': torch.zeros(n, dtype=dtype)},
                 lambda u: [op('bitwise_lshift', u['l'], u['a'], s), op('bitwise_rshift', u['r'], u['a'], s)])
    same(got['l'], wrap_int(a.to(torch.int64) << s, dtype))
    same(got['r'], wrap_int(a.to(torch.int64) >> s, dtype))


@EXACT
@pytest.mark.parametrize('dtype', [HALF, F32])
@FEW
@given(n=st.integers(1, 64), count=st.integers(1, 64), lo=st.floats(-2, 0), hi=st.floats(0.1, 2), seed=SEED)
def test_clamps_round_and_counted_forms_touch_count_elements(dtype, exact, n, count, lo, hi, seed):
    count = min(count, n)
    a, b = data(seed, n, dtype), data(seed + 1, n, dtype)
    f = [E.Const(lo, 'float32'), E.Const(hi, 'float32')]
    k = [torch.tensor(x, dtype=torch.float64).to(dtype) for x in (lo, hi)]
    want = {'clamp': a.clamp(k[0], k[1]), 'clamp_max': torch.minimum(a, k[1]), 'clamp_min': torch.maximum(a, k[0]),
            'mins_experiment': torch.minimum(a, k[1]),
            'abs_experiment': a.abs(), 'sub_experiment': (wide(a) - wide(b)).to(dtype),
            'round': torch.where(a >= 0, (a.float() + 0.5).floor(), (a.float() - 0.5).ceil()).to(dtype)}
    args = {'clamp': f, 'clamp_max': f[1:], 'clamp_min': f[:1], 'mins_experiment': f[1:]}

    def body(u):
        return [op(name, u[name], u['a'], *([u['b']] if name == 'sub_experiment' else args.get(name, [])), count) for name in want]

    got = run_ub({'a': a, 'b': b, **{name: torch.full((n,), 7.0, dtype=dtype) for name in want}}, body, exact=exact)
    for name, expected in want.items():
        same(got[name], torch.cat([expected[:count], torch.full((n - count,), 7.0, dtype=dtype)]))
