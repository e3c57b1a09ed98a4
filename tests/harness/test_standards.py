"""The named policies against their published limits; the oracle works on Python numbers, one element at a time."""

import math

import pytest
import torch

from tiletwin.errors import DialectError
from tiletwin.harness.precision import policy

THRESHOLD = {torch.float16: 2**-10, torch.bfloat16: 2**-7, torch.float32: 2**-13, torch.float8_e4m3fn: 2**-3, torch.float8_e5m2: 2**-2}
SMALL = {torch.float16: (2**-11, 2**-16), torch.bfloat16: (2**-8, 2**-16), torch.float32: (2**-14, 2**-30)}
CANCELLED = {torch.float16: 2**-5, torch.bfloat16: 2**-3, torch.float32: 2**-8}


def ecosystem(actual, golden, peer, dtype):
    def counts(values):
        errors, small, cancelled = [], 0, 0
        for a, g in zip(values, golden):
            relative = abs(a - g) / (abs(g) + 1e-7)
            if abs(g) < SMALL[dtype][0]:
                small += abs(a - g) > SMALL[dtype][1]
            elif abs(g) < CANCELLED[dtype]:
                cancelled += relative > 10 * THRESHOLD[dtype]
            else:
                errors.append(relative)
        return errors, small, cancelled

    errors, small, cancelled = counts(actual)
    _, small_too, cancelled_too = counts(peer) if peer else ([], 0, 0)
    mean = sum(errors) / len(errors) if errors else 0.0
    return (mean < THRESHOLD[dtype] and max(errors, default=0.0) < 10 * THRESHOLD[dtype]
            and small <= 2 * small_too and cancelled <= 2 * cancelled_too)


@pytest.mark.parametrize('dtype', list(SMALL), ids=str)
@pytest.mark.parametrize('with_peer', [False, True])
def test_ecosystem_agrees_with_its_definition(dtype, with_peer):
    g = torch.Generator().manual_seed(5)
    verdicts = set()
    for scale in (1e-6, 1e-3, 1e-2, 1.0):
        for noise in (0.0, 1e-5, 3e-4, 2e-3, 1e-2, 0.05, 0.2):
            golden = (torch.randn(64, generator=g) * scale).to(dtype).double()
            actual = (golden * (1 + noise * torch.randn(64, generator=g))).to(dtype)
            peer = (golden * (1 + noise * torch.randn(64, generator=g))).to(dtype) if with_peer else None
            right = ecosystem(actual.double().tolist(), golden.tolist(), None if peer is None else peer.double().tolist(), dtype)
            assert policy('ecosystem').compare(actual, golden, peer).ok == right
            verdicts.add(right)
    assert verdicts == {True, False}


@pytest.mark.parametrize('dtype', list(THRESHOLD), ids=str)
@pytest.mark.parametrize('factor, ok', [(0.5, True), (4.0, False)])
def test_mean_relative_error_has_the_threshold_of_its_dtype(dtype, factor, ok):
    golden = torch.ones(8, dtype=torch.float64)
    actual = torch.full((8,), 1 + factor * THRESHOLD[dtype]).to(dtype)
    assert policy('ecosystem').compare(actual, golden).ok == ok


def test_hf32_is_wider_than_float32_and_leaves_float16_alone():
    golden = torch.ones(8, dtype=torch.float64)
    between = torch.full((8,), 1 + 2**-12)
    assert not policy('ecosystem').compare(between, golden).ok and policy('ecosystem hf32').compare(between, golden).ok
    half = torch.full((8,), 1 + 2**-9).half()
    assert policy('ecosystem hf32').compare(half, golden).ok == policy('ecosystem').compare(half, golden).ok


def test_one_element_far_off_fails_the_maximum_though_the_mean_passes():
    golden = torch.ones(4096, dtype=torch.float64)
    actual = torch.ones(4096)
    actual[7] = 1 + 11 * 2**-13
    found = policy('ecosystem').compare(actual, golden)
    assert not found.ok and found.first == (7,) and 'largest' in found.message and 'mean' not in found.message


@pytest.mark.parametrize('mine, theirs, ok', [(2, 1, True), (3, 1, False), (1, 0, False), (0, 0, True)])
@pytest.mark.parametrize('value, off', [(1e-6, 1e-8), (2**-10, 2**-10)], ids=['small', 'cancelled'])
def test_counted_elements_may_be_wrong_twice_as_often_as_the_processor(mine, theirs, ok, value, off):
    golden = torch.full((16,), value, dtype=torch.float64)

    def wrong(n):
        x = golden.float()
        x[:n] += off
        return x

    assert policy('ecosystem').compare(wrong(mine), golden, wrong(theirs)).ok == ok


@pytest.mark.parametrize('dtype', [torch.int8, torch.int32])
def test_integers_are_exact_in_the_ecosystem(dtype):
    x = torch.arange(5, dtype=dtype)
    assert policy('ecosystem').compare(x.clone(), x).ok
    assert not policy('ecosystem').compare(x + 1, x).ok


@pytest.mark.parametrize('name, ratios', [('commercial_L0', (10, 2, 2)), ('commercial_L1', (5, 1.5, 1.5)), ('commercial_L2', (2, 1.2, 1.2))])
def test_commercial_limits_are_ratios_of_two_errors(name, ratios):
    golden = torch.ones(100, dtype=torch.float64)
    peer = torch.ones(100)
    peer += 1e-3
    for factor in (0.5, 1.1, 1.3, 1.8, 3.0):
        actual = torch.ones(100)
        actual += factor * 1e-3
        assert policy(name).compare(actual, golden, peer).ok == (factor <= min(ratios)), factor
    lone = torch.ones(100)
    lone += 1e-3
    lone[0] += 6e-3
    assert policy(name).compare(lone, golden, peer).ok == (7 <= ratios[0] and math.sqrt((99 + 49) / 100) <= ratios[2])


def test_commercial_needs_a_second_implementation_and_takes_two_exact_ones():
    x = torch.ones(3)
    assert policy('commercial_L2').compare(x, x, x).ok
    with pytest.raises(DialectError, match='second implementation'):
        policy('commercial_L0').compare(x, x)


@pytest.mark.parametrize('dtype, rtol, atol, share', [(torch.float16, 1e-3, 1e-5, 1e-3), (torch.float32, 1e-6, 1e-9, 1e-4)])
def test_double_thousandth_lets_its_share_of_elements_be_wrong(dtype, rtol, atol, share):
    n = 20000
    golden = torch.ones(n, dtype=dtype)
    allowed = round(share * n)
    for wrong in (allowed - 1, allowed, allowed + 1):
        actual = golden.clone()
        actual[:wrong] += 0.01
        found = policy('double_thousandth').compare(actual, golden)
        assert found.mismatches == wrong and found.ok == (wrong <= allowed)
    inside = torch.full((4,), 1.0 + 0.9 * rtol, dtype=torch.float64).to(dtype)
    assert policy('double_thousandth').compare(inside, golden[:4]).mismatches == 0


def test_double_thousandth_names_no_limits_for_bfloat16():
    x = torch.ones(3).bfloat16()
    with pytest.raises(DialectError, match='names no limits for bfloat16'):
        policy('double_thousandth').compare(x, x)


@pytest.mark.parametrize('name', ['ecosystem', 'commercial_L0', 'double_thousandth', 'ulp 1000000', 'ulp 4/100'])
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_an_unexpected_non_finite_element_fails_the_share_and_the_means_too(name, bad):
    x = torch.ones(5000)
    y = x.clone()
    y[3] = bad
    assert not policy(name).compare(y, x, x).ok
    assert not policy(name).compare(x, y, y if name.startswith('comm') else None).ok


@pytest.mark.parametrize('steps, ok', [(0, True), (3, True), (4, True), (5, False)])
def test_ulp_budget_counts_neighbours(steps, ok):
    x = torch.tensor([1.0, -3.0, 1e-20])
    y = x.clone()
    for _ in range(steps):
        y = torch.nextafter(y, torch.full((3,), 10.0))
    found = policy('ulp 4').compare(y, x)
    assert found.ok == ok and found.equal == (steps == 0)


def test_ulp_budget_with_a_floor_ignores_differences_below_it():
    x, y = torch.tensor([0.0, 1.0]), torch.tensor([1e-8, 1.0])
    assert not policy('ulp 4').compare(y, x).ok and policy('ulp 4/1e-7').compare(y, x).ok
    assert not policy('ulp 4/1e-7').compare(torch.tensor([0.0, 1.001]), x).ok


def test_an_unrounded_reference_is_compared_as_it_is():
    golden = torch.tensor([1.0 + 2**-12], dtype=torch.float64)
    actual = golden.half()
    found = policy('allclose 1e-3/0').compare(actual, golden)
    assert found.ok and found.max_abs == 2**-12 and found.ulps['0'] == 1


def test_bias_tells_a_systematic_error_from_rounding():
    x = torch.zeros(4)
    assert policy('l2 9').compare(torch.tensor([1.0, -1.0, 1.0, -1.0]), x).bias == 0.0
    assert policy('l2 9').compare(torch.ones(4), x).bias == 1.0
