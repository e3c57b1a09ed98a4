"""cast rounds as its mode says, bit for bit (dialect 5.3.8)."""

import bisect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.build import op
from tests.sim.chip import bits, data, run_ub, same
from tiletwin.ir import expr as E

HALF, BF, F32 = torch.float16, torch.bfloat16, torch.float32
SEED = st.integers(0, 1 << 20)
FEW = settings(max_examples=8)
MODES = ['CAST_RINT', 'CAST_FLOOR', 'CAST_CEIL', 'CAST_ROUND', 'CAST_TRUNC']
EXACT = pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])


def cast(x, dtype, mode, exact=False, count=None):
    d = torch.zeros(x.shape, dtype=dtype)
    return run_ub({'x': x, 'd': d}, lambda u: [op('cast', u['d'], u['x'], mode, count or x.numel())], exact=exact)['d']


def whole(x: float, mode: str) -> float:
    if not math.isfinite(x):
        return x
    return {'CAST_RINT': lambda: float(round(x)), 'CAST_FLOOR': lambda: float(math.floor(x)), 'CAST_CEIL': lambda: float(math.ceil(x)),
            'CAST_TRUNC': lambda: float(math.trunc(x)), 'CAST_ROUND': lambda: math.copysign(math.floor(abs(x) + 0.5), x)}[mode]()


def narrow(x: float, dtype, mode: str) -> float:
    """The neighbour of a float32 value in a narrow type, found by enumerating every value the type has."""
    values = _values(dtype)
    if x in values[1]:
        return x
    i = bisect.bisect_left(values[0], x)
    low, high = values[0][i - 1], values[0][i]
    if mode == 'CAST_FLOOR':
        return low
    if mode == 'CAST_CEIL':
        return high
    if mode == 'CAST_TRUNC':
        return low if x > 0 else high
    if mode == 'CAST_ODD':
        return low if int(bits(torch.tensor([low], dtype=torch.float64).to(dtype))[0]) & 1 else high
    far = 2 * values[0][-2] - values[0][-3]  # the value infinity stands for
    a, b = (max(low, -far), min(high, far))
    if x - a != b - x:
        return low if x - a < b - x else high
    if mode == 'CAST_ROUND':
        return high if x > 0 else low
    return low if not int(bits(torch.tensor([low], dtype=torch.float64).to(dtype))[0]) & 1 else high


_cache = {}


def _values(dtype):
    if dtype not in _cache:
        every = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype).to(torch.float64)
        table = sorted(set(every[~every.isnan()].tolist()))
        _cache[dtype] = table, frozenset(table)
    return _cache[dtype]


def probes(dtype, seed):
    """Random values, exact values, ties, neighbours of ties, subnormals, overflow."""
    base = data(seed, 60, dtype, -100, 100).to(torch.float64)
    step = torch.tensor([torch.finfo(dtype).eps], dtype=torch.float64)
    ties = base * (1 + step / 2)
    tiny = torch.tensor([1.0, 1.5, -0.5, 0.3, 2.5], dtype=torch.float64) * torch.finfo(dtype).smallest_normal * step
    big = torch.tensor([1.0, -1.0, 1.0001, 0.9999], dtype=torch.float64) * torch.finfo(dtype).max
    return torch.cat([base, ties, base * 1.0009, tiny, big, torch.tensor([0.0, math.inf, -math.inf], dtype=torch.float64)]).to(F32)


@EXACT
@pytest.mark.parametrize('mode', [*MODES, 'CAST_ODD', 'CAST_NONE'])
@pytest.mark.parametrize('dtype', [HALF, BF])
@FEW
@given(seed=SEED)
def test_float_to_a_narrow_float(dtype, mode, exact, seed):
    if dtype == BF and mode == 'CAST_ODD':
        return
    x = probes(dtype, seed)
    got = cast(x, dtype, mode, exact)
    want = torch.tensor([narrow(v, dtype, 'CAST_RINT' if mode == 'CAST_NONE' else mode) for v in x.to(torch.float64).tolist()],
                        dtype=torch.float64).to(dtype)
    same(got, want)


@EXACT
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('src,dst',
                         [(F32, torch.int32), (F32, torch.int16), (F32, torch.int64), (HALF, torch.int8), (HALF, torch.uint8), (HALF, torch.int16),
                                     (HALF, torch.int32), (BF, torch.int32), (F32, F32)])
@FEW
@given(seed=SEED)
def test_float_to_integer_saturates(src, dst, mode, exact, seed):
    x = torch.cat([data(seed, 40, src, -300, 300), torch.tensor([0.5, 1.5, -0.5, -2.5, 6e4, -6e4, 200.5, 0.0], dtype=src)])
    if src == F32:
        x = torch.cat([x, torch.tensor([3e9, -3e9, 1e20, -1e20])])
    whole_values = [whole(v, mode) for v in x.to(torch.float64).tolist()]
    if dst == F32:
        want = torch.tensor(whole_values, dtype=torch.float64).to(F32)
    else:
        info = torch.iinfo(dst)
        want = torch.tensor([int(min(max(v, info.min), info.max)) for v in whole_values], dtype=torch.int64).to(dst)
    same(cast(x, dst, mode, exact), want)


@pytest.mark.parametrize('src,dst',
                         [(torch.int8, HALF), (torch.uint8, HALF), (torch.int16, HALF), (torch.int16, F32), (torch.int32, F32), (torch.int64, F32),
                                     (HALF, F32), (BF, F32)])
@FEW
@given(seed=SEED)
def test_widening_and_integer_to_float_round_to_nearest(src, dst, seed):
    x = data(seed, 64, src, -1000, 1000)
    same(cast(x, dst, 'CAST_RINT' if src in (torch.int32, torch.int64) else 'CAST_NONE'), x.to(dst))


@FEW
@given(seed=SEED, scale=st.sampled_from([1.0, 0.5, 0.125]))
def test_int32_to_half_uses_the_dequantisation_scale(seed, scale):
    x = data(seed, 64, torch.int32) % 30000
    got = run_ub({'x': x, 'd': torch.zeros(64, dtype=HALF)},
                 lambda u: [op('set_deq_scale', E.Const(scale, 'float16')), op('cast', u['d'], u['x'], 'CAST_NONE', 64)])
    same(got['d'], (x.to(torch.float64) * scale).to(HALF))


@pytest.mark.parametrize('src,dst', [(torch.int32, torch.int16), (torch.int64, torch.int32), (torch.int32, torch.int64)])
@FEW
@given(seed=SEED)
def test_integer_to_integer_saturates(src, dst, seed):
    x = data(seed, 64, src)
    info = torch.iinfo(dst)
    same(cast(x, dst, 'CAST_NONE'), x.to(torch.int64).clamp(info.min, info.max).to(dst))


@FEW
@given(n=st.integers(1, 64), count=st.integers(1, 64), seed=SEED)
def test_cast_touches_count_elements(n, count, seed):
    count = min(n, count)
    x = data(seed, n, F32)
    got = run_ub({'x': x, 'd': torch.full((n,), 3.0, dtype=HALF)}, lambda u: [op('cast', u['d'], u['x'], 'CAST_RINT', count)])
    same(got['d'], torch.cat([x[:count].half(), torch.full((n - count,), 3.0, dtype=HALF)]))
