"""The vector kernels of the fidelity table compute what their rows name, without a finding, at small and ragged shapes."""

import json

import pytest
import torch
import torch.nn.functional as F

from bench.fidelity import elementwise, fused_norm, gated, gated_narrow, group_norm, maximum, norms, quant, softmax, softmax_inner, tiles
from bench.fidelity.registry import Modelled, Skip
from bench.fidelity.rows import Row

TOLERANCE = {'float32': 3e-6, 'float16': 2e-3, 'bfloat16': 1.6e-2}
EPS = 1e-5


def tensor(shape, dtype, seed=0, scale=1.0):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale).to(getattr(torch, dtype))


def agree(kernel, got, want, dtype, extra=0.0):
    assert kernel.last.verdict.clean, kernel.last.verdict.findings
    scale = TOLERANCE[dtype] * want.abs().clamp(min=1.0) + extra
    assert ((got.double() - want).abs() <= scale).all(), (got.double() - want).abs().max()


UNARY = {'sigmoid': ((), torch.sigmoid), 'gelu_tanh': ((), lambda x: F.gelu(x, approximate='tanh')), 'gelu_erf': (elementwise.ERF4, F.gelu),
         'mish': ((), F.mish), 'exp': ((0.5, 0.25), lambda x: torch.exp(0.5 * x + 0.25))}


@pytest.mark.parametrize('op', UNARY)
@pytest.mark.parametrize('dtype, exact', [('float32', True), ('float16', True), ('bfloat16', False)])
def test_elementwise_kernels(op, dtype, exact):
    args, reference = UNARY[op]
    n, x = 3001, tensor((3001,), dtype, scale=3.0)
    kernel = elementwise.unary(n, dtype, op, 2, 320, args, exact)
    agree(kernel, kernel(x), reference(x.double()), dtype, extra=1.3e-5 if op == 'gelu_erf' else 0.0)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'int32'])
def test_maximum_of_equal_shapes(dtype):
    a, b = (tensor((1003,), dtype, s, 100.0) for s in (1, 2))
    kernel = maximum.flat(1003, dtype, 2, 128)
    assert torch.equal(kernel(a, b), torch.maximum(a, b)) and kernel.last.verdict.clean


@pytest.mark.parametrize('a, b', [((49, 53), (1, 53)), ((2, 3, 8, 37), (8, 1)), ((4, 5, 6), (5, 6)), ((30, 32), (30, 1))])
def test_maximum_spreads_its_second_tensor(a, b):
    M, N, period, along = maximum.pattern(a, b)
    rows = maximum.divisor(period, 4) if along else 4
    kernel = maximum.spread(M, N, period, along, 'int32', 2, rows, tiles.up(N, 16))
    x, y = tensor(a, 'int32', 1, 100.0), tensor(b, 'int32', 2, 100.0)
    assert torch.equal(kernel(x.reshape(M, N), y.reshape(-1)).reshape(a), torch.maximum(x, y)) and kernel.last.verdict.clean


@pytest.mark.parametrize('a, b', [((4, 5, 6), (4, 1, 6)), ((4, 5), (1, 1)), ((4, 5), (3, 5))])
def test_other_broadcasts_have_no_pattern(a, b):
    assert maximum.pattern(a, b) is None


# Whole rows with every way of loading them: aligned, ragged, ragged with unequal pitch, padded.
ROWS = [(7, 64, 2), (13, 1023, 3), (9, 1030, 2), (53, 100, 4)]


@pytest.mark.parametrize('M, N, rows', ROWS)
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_rms_norm_of_whole_rows(M, N, rows, dtype):
    x, g = tensor((M, N), dtype), tensor((N,), dtype, 1)
    kernel = norms.rms_norm(M, N, dtype, EPS, 2, rows)
    agree(kernel, kernel(x, g), rms(x, g), dtype)


@pytest.mark.parametrize('N, chunk', [(1000, 512), (1024, 256)])
def test_rms_norm_of_a_long_row(N, chunk):
    x, g = tensor((5, N), 'float16'), tensor((1, N), 'float16', 1)
    kernel = norms.rms_norm_long(5, N, 'float16', EPS, 2, chunk)
    agree(kernel, kernel(x, g), rms(x, g), 'float16')


def rms(x, g):
    return x.double() * torch.rsqrt(x.double().square().mean(-1, keepdim=True) + EPS) * g.double()


def quantised(x):
    scale = x.abs().amax(-1).clamp(min=1e-12) / 127
    return torch.round(x / scale[:, None]), scale


def same_levels(got, want):
    """A value within rounding of a tie may fall to either side."""
    away = (got.double() - want).abs()
    assert away.max() <= 1 and (away > 0).float().mean() < 2e-3


@pytest.mark.parametrize('M, N, rows', ROWS)
def test_dynamic_quant_of_whole_rows(M, N, rows):
    x = tensor((M, N), 'float16')
    x[2] = 0
    kernel = quant.dynamic_quant(M, N, 'float16', 2, rows)
    y, scale = kernel(x)
    want, step = quantised(x.double())
    same_levels(y, want)
    assert torch.allclose(scale.double(), step, rtol=1e-6) and kernel.last.verdict.clean


def test_dynamic_quant_of_a_long_row():
    x = tensor((5, 1000), 'bfloat16')
    kernel = quant.dynamic_quant_long(5, 1000, 'bfloat16', 2, 512)
    y, scale = kernel(x)
    want, step = quantised(x.double())
    same_levels(y, want)
    assert torch.allclose(scale.double(), step, rtol=1e-6) and kernel.last.verdict.clean


@pytest.mark.parametrize('make, N', [(lambda N: fused_norm.add_norm_quant(9, N, 'float16', EPS, 2, 2), 1030),
                                     (lambda N: fused_norm.add_norm_quant(9, N, 'float16', EPS, 2, 2), 1024),
                                     (lambda N: fused_norm.add_norm_quant_long(9, N, 'float16', EPS, 2, 512), 1000)])
def test_sum_norm_and_quantisation_together(make, N):
    a, b, g = tensor((9, N), 'float16'), tensor((9, N), 'float16', 1), tensor((1, N), 'float16', 2)
    kernel = make(N)
    y, x, scale = kernel(a, b, g)
    total = a.float() + b.float()
    want, step = quantised(rms(total, g))
    same_levels(y, want)
    assert torch.equal(x, total.half()) and torch.allclose(scale.double(), step, rtol=1e-5) and kernel.last.verdict.clean


@pytest.mark.parametrize('M, H, rows, cols', [(53, 100, 4, 100), (130, 7, 16, 7), (7, 64, 2, 32), (5, 250, 2, 64)])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_swi_glu(M, H, rows, cols, dtype):
    x = tensor((M, 2 * H), dtype, scale=3.0)
    kernel = gated.swi_glu(M, H, dtype, 2, rows, cols)
    agree(kernel, kernel(x), F.silu(x[:, :H].double()) * x[:, H:].double(), dtype)


@pytest.mark.parametrize('M, H, rows', [(531, 7, 32), (97, 31, 16)])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_swi_glu_of_narrow_rows(M, H, rows, dtype):
    x = tensor((M, 2 * H), dtype, scale=3.0)
    kernel = gated_narrow.swi_glu_narrow(M, H, dtype, 2, rows)
    agree(kernel, kernel(x.reshape(-1)).reshape(M, H), F.silu(x[:, :H].double()) * x[:, H:].double(), dtype)


@pytest.mark.parametrize('M, N, rows', ROWS)
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'bfloat16'])
def test_softmax_of_whole_rows_far_below_zero(M, N, rows, dtype):
    x = tensor((M, N), dtype, scale=5.0) - 100
    kernel = softmax.softmax_rows(M, N, dtype, 2, rows)
    agree(kernel, kernel(x), x.double().softmax(-1), dtype)


def test_softmax_of_a_long_row():
    x = tensor((5, 1000), 'float16', scale=5.0) - 100
    kernel = softmax.softmax_long(5, 1000, 'float16', 2, 512)
    agree(kernel, kernel(x), x.double().softmax(-1), 'float16')


@pytest.mark.parametrize('outer, axis, inner, rows, cols', [(5, 37, 50, 8, 50), (1, 16, 100, 4, 32), (3, 9, 63, 9, 63)])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_softmax_along_another_dim(outer, axis, inner, rows, cols, dtype):
    x = tensor((outer, axis, inner), dtype, scale=5.0)
    kernel = softmax_inner.slab_softmax(outer, axis, inner, dtype, 2, rows, cols)
    agree(kernel, kernel(x), x.double().softmax(1), dtype)


@pytest.mark.parametrize('N, C, inner, norm_groups, chunk', [(2, 6, 600, 3, 512), (5, 3, 700, 1, 2176)])
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_group_norm(N, C, inner, norm_groups, chunk, dtype):
    x, g, b = tensor((N, C, inner), dtype, scale=2.0) + 0.5, tensor((C,), dtype, 1), tensor((C,), dtype, 2)
    kernel = group_norm.group_norm(N * norm_groups, norm_groups, C // norm_groups, inner, dtype, EPS, 2, chunk)
    got = kernel(x.reshape(-1), g, b).reshape(N, C, inner)
    agree(kernel, got, F.group_norm(x.double(), norm_groups, g.double(), b.double(), EPS), dtype)


def row(cat, shape, dtype, hw='910B2', **attributes):
    cores = '32/64' if hw == '950PR' else '24/48'
    return Row('x', cat, hw, cores, 'CANN op', 'any', json.dumps(shape), json.dumps(dtype), 50.0, (), json.dumps(attributes), 'elsewhere')


# Families, at shapes that no published row has: what decides is the category, the shape, the type and the attributes.
UNSEEN = [
    ('cann_sigmoid', [[1000, 999]], ['float16'], {}), ('cann_gelu', [[77, 1001]], ['float32'], {'approximate': 'tanh'}),
    ('cann_exp', [[4096, 100]], ['bfloat16'], {'base': 2.0, 'scale': 1.0, 'shift': 1.0}), ('cann_mish', [[5, 6, 7, 8]], ['float32'], {}),
    ('cann_maximum', [[300, 40], [300, 1]], ['float32', 'float32'], {}), ('cann_softmax', [[64, 200, 3]], ['float32'], {'dim': 0}),
    ('cann_softmax', [[10, 60000]], ['float32'], {'dim': -1}), ('cann_rms_norm', [[4, 100, 12000], [12000]], ['float16'] * 2, {'epsilon': 1e-6}),
    ('cann_group_norm', [[2, 64, 30, 30], [64], [64]], ['float16'] * 3, {'num_groups': 8, 'epsilon': '1e-5'}),
    ('cann_swi_glu', [[10, 20000]], ['float32'], {'dim': -1}),
    ('cann_swi_glu', [[40000, 6]], ['float16'], {'dim': -1}), ('cann_dynamic_quant', [[100, 20000]], ['bfloat16'], {}),
    ('cann_add_rms_norm_dynamic_quant', [[64, 12288], [64, 12288], [12288]], ['bfloat16'] * 3, {'epsilon': '1e-06'}),
]


@pytest.mark.parametrize('hw', ['910B2', '950PR'])
@pytest.mark.parametrize('cat, shape, dtype, attributes', UNSEEN, ids=lambda v: str(v)[:24])
def test_rows_of_the_families_are_modelled_by_what_they_say(cat, shape, dtype, attributes, hw):
    from bench.fidelity.evaluate import time
    from bench.fidelity.registry import find

    r = row(cat, shape, dtype, hw, **attributes)
    found = find(r)
    assert isinstance(found, Modelled) and found.kind == 'bound'
    assert 2 < time(r, found).us < 1000


@pytest.mark.parametrize('cat, shape, dtype', [('cann_maximum', [[8, 8], [8, 8]], ['int64'] * 2),
                                               ('cann_group_norm', [[99, 64], [64], [64]], ['float16'] * 3)])
def test_what_the_kernels_cannot_do_is_said(cat, shape, dtype):
    from bench.fidelity.registry import find

    found = find(row(cat, shape, dtype, num_groups=1))
    assert isinstance(found, Skip) and found.reason
