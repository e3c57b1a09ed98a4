"""Rules of hif8_quant: the contract against the value set itself, and what the kernels may compute with."""

import math

import pytest
import torch

from ops.contracts.hif8_quant import EDGES, FLT_MAX, OVERFLOW, to_hif8
from tiletwin.harness.registry import operators

KINDS = {'sentinel': FLT_MAX, 'inf': math.inf}
NODES = [(kind, mode) for kind in KINDS for mode in ('expert', 'developer')]
IDS = ['-'.join(n) for n in NODES]


def levels():
    """The finite values that are not negative: seven powers of two at the bottom, then classes of exponents with fewer and fewer bits."""
    found = [0.0] + [2.0 ** (code - 23) for code in range(1, 8)]
    for e in range(-15, 16):
        bits = 3 if abs(e) <= 3 else 2 if abs(e) <= 7 else 1
        found += [(1 + f / 2 ** bits) * 2.0 ** e for f in range(2 ** bits)]
    found.remove(1.5 * 2.0 ** 15)  # its code is that of infinity
    return torch.tensor(sorted(found), dtype=torch.float64)


def nearest(x, overflow):
    """Looked up: the nearest level, ties away from zero."""
    table, size = levels(), x.double().abs()
    above = torch.searchsorted(table, size.nan_to_num(posinf=0.0)).clamp(max=len(table) - 1)
    below = (above - 1).clamp(min=0)
    found = torch.where(size - table[below] < table[above] - size, table[below], table[above])
    found = torch.where(size >= OVERFLOW, overflow, found) * x.double().sign()
    return torch.where(x.isfinite(), found.float(), x)


def same(a, b):
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def sample():
    table = levels().float()
    middle = ((levels()[1:] + levels()[:-1]) / 2).float()
    points = torch.cat([table, middle, EDGES[EDGES.isfinite()].abs()])
    around = [points, torch.nextafter(points, torch.tensor(math.inf)), torch.nextafter(points, torch.tensor(0.0))]
    g = torch.Generator().manual_seed(0)
    spread = torch.exp2(torch.rand(200000, generator=g) * 45 - 27)
    found = torch.cat([*around, spread])
    return torch.cat([found, -found, EDGES])


def test_the_value_set_has_127_levels():
    assert len(levels()) == 127 and levels()[-1] == 2.0 ** 15 and levels()[1] == 2.0 ** -22


@pytest.mark.parametrize('kind', KINDS)
def test_D_the_reference_is_the_nearest_level_with_ties_away_from_zero(kind):
    x = sample()
    assert same(to_hif8(x, KINDS[kind]), nearest(x, KINDS[kind]))


@pytest.mark.parametrize('kind, mode', NODES, ids=IDS)
def test_D_the_kernel_agrees_with_the_value_set_and_keeps_what_it_made(kind, mode):
    op = operators()[f'hif8_quant.{kind}']
    x = torch.cat([sample()[::97], EDGES])[None]
    once = op(x, mode=mode, arch='a2')
    assert op.last.verdict.clean
    assert same(once[0], nearest(x[0], KINDS[kind]))
    assert same(op(once, mode=mode, arch='a2'), once)


@pytest.mark.parametrize('kind, mode', NODES, ids=IDS)
def test_C0_4_overflow_becomes_the_sentinel_of_the_variant_and_the_rest_is_kept(kind, mode):
    big = KINDS[kind]
    x = torch.tensor([[40959.996, 40960.0, -40960.0, FLT_MAX, -FLT_MAX, math.inf, -math.inf, math.nan, -2.0 ** -23, -2.0 ** -24]])
    y = operators()[f'hif8_quant.{kind}'](x, mode=mode, arch='a2')
    assert y[0, :7].tolist() == [2.0 ** 15, big, -big, big, -big, math.inf, -math.inf]
    assert y[0, 7].isnan() and y[0, 8] == -2.0 ** -22 and y[0, 9] == 0.0
