"""Metrics and policies, against torch's own comparisons and neighbours."""

import pytest
import torch

from tiletwin.errors import DialectError
from tiletwin.harness.precision import compare, policy, ulp_distance, ulp_histogram

FLOATS = (torch.float16, torch.bfloat16, torch.float32)


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('start', [-1.0, -0.0, 0.0, 3.5, 1e-6])
def test_ulp_distance_counts_neighbours(dtype, start):
    x = torch.tensor([start], dtype=dtype)
    y, up = x.clone(), torch.tensor([float('inf')], dtype=dtype)
    for steps in range(6):
        assert int(ulp_distance(y, x)) == int(ulp_distance(x, y)) == steps
        y = torch.nextafter(y, up)


def test_ulp_distance_crosses_zero_without_a_gap():
    below, above = torch.tensor([-1e-45]), torch.tensor([1e-45])
    assert int(ulp_distance(below, above)) == 2
    assert int(ulp_distance(torch.tensor([-0.0]), torch.tensor([0.0]))) == 0


def test_ulp_histogram_puts_each_element_in_one_bin():
    x = torch.ones(5)
    y = x.clone().view(torch.int32)
    y += torch.tensor([0, 1, 2, 3, 1000], dtype=torch.int32)
    assert list(ulp_histogram(y.view(torch.float32), x).values()) == [1, 1, 1, 1, 0, 0, 1]


@pytest.mark.parametrize('rtol, atol', [(1e-2, 1e-2), (1e-4, 1e-4), (0.0, 1e-3), (1e-3, 0.0)])
def test_allclose_agrees_with_torch(rtol, atol):
    g = torch.Generator().manual_seed(1)
    for scale in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        x = torch.randn(50, generator=g)
        y = x + scale * torch.randn(50, generator=g)
        assert policy(f'allclose {rtol}/{atol}').compare(y, x).ok == torch.allclose(y.double(), x.double(), rtol=rtol, atol=atol)


@pytest.mark.parametrize('dtype', FLOATS)
def test_torch_policy_is_assert_close(dtype):
    g = torch.Generator().manual_seed(2)
    for scale in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        x = torch.randn(40, generator=g).to(dtype)
        y = (x.float() * (1 + scale)).to(dtype)
        try:
            torch.testing.assert_close(y.double(), x.double(), **dict(zip(('rtol', 'atol'), _defaults(dtype))))
            right = True
        except AssertionError:
            right = False
        assert policy('torch').compare(y, x).ok == right


def _defaults(dtype):
    from torch.testing._comparison import _DTYPE_PRECISIONS

    return _DTYPE_PRECISIONS[dtype]


def test_relative_l2_catches_what_atol_lets_through():
    x = torch.full((10,), 1e-3)
    assert policy('allclose 1e-2/1e-2').compare(torch.zeros(10), x).ok
    found = policy('allclose 1e-2/1e-2 + l2 1e-3').compare(torch.zeros(10), x)
    assert not found.ok and found.rel_l2 == pytest.approx(1.0) and 'L2' in found.message


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('name', ['bitwise', 'torch', 'allclose 1/1', 'l2 0.5'])
def test_one_unexpected_non_finite_element_fails_every_policy(bad, name):
    x = torch.ones(4)
    y = x.clone()
    y[2] = bad
    assert not policy(name).compare(y, x).ok
    assert not policy(name).compare(x, y).ok


@pytest.mark.parametrize('name', ['bitwise', 'torch', 'allclose 1e-2/1e-2', 'l2 1e-3'])
def test_equal_tensors_with_nan_inf_and_signed_zero_pass(name):
    x = torch.tensor([float('nan'), float('inf'), -float('inf'), 0.0, 1.0])
    y = torch.tensor([float('nan'), float('inf'), -float('inf'), -0.0, 1.0])
    assert policy(name).compare(y, x).ok


def test_bitwise_refuses_one_ulp():
    x = torch.ones(3)
    y = torch.nextafter(x, torch.full((3,), 2.0))
    found = policy('bitwise').compare(y, x)
    assert not found.ok and found.mismatches == 3 and found.first == (0,)


def test_metrics_are_what_they_say():
    x, y = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 2.0])
    found = policy('bitwise').compare(y, x)
    assert (found.max_abs, found.max_rel, found.mismatches, found.first) == (2.0, 0.5, 2, (1,))
    assert found.rmse == pytest.approx((5 / 3) ** 0.5)
    assert found.rel_l2 == pytest.approx((5 / 21) ** 0.5)


@pytest.mark.parametrize('other', [torch.ones(3), torch.ones(2, 2), torch.ones(4).half()])
def test_other_shape_or_dtype_is_a_mismatch(other):
    assert not compare(policy('torch'), other, torch.ones(4)).ok


@pytest.mark.parametrize('name', ['', 'close', 'allclose 1e-2', 'bitwise 3', 'l2', 'torch+bitwise'])
def test_unknown_policy_is_refused(name):
    with pytest.raises(DialectError, match='unknown precision policy'):
        policy(name)


def test_large_tensors_are_judged_piece_by_piece_as_if_whole():
    from tiletwin.harness import precision

    g = torch.Generator().manual_seed(3)
    x = torch.randn(700, 3001, generator=g)
    y = x + 1e-3 * torch.randn(700, 3001, generator=g)
    assert x.numel() > 2 * precision._PIECE
    found = policy('allclose 1e-3/1e-3 + l2 1').compare(y, x)
    gap = (y.double() - x.double()).abs()
    bad = gap > 1e-3 + 1e-3 * x.double().abs()
    assert found.mismatches == int(bad.sum()) and found.first == tuple(bad.nonzero()[0].tolist())
    assert found.max_abs == float(gap.max())
    assert found.rel_l2 == pytest.approx(float(gap.norm() / x.double().norm()))
    assert sum(found.ulps.values()) == x.numel()
