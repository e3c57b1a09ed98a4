"""Matrix products with a vector epilogue."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import overlap, routes, signals, spaces, starts_afresh, written
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant


def abs_add1_reference(x, y, **_):
    return (((x.double() @ y.double().T).abs() + 1.0).float(),)


def mnk(M, N, K):
    return {'M': M, 'N': N, 'K': K}


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


ABS_ADD1 = Variant(
    name='matmul_epilogue.abs_add1',
    row='matmul_epilogue.abs_add1',
    topology='cube->vec',
    formula='z = abs(x @ y.T) + 1',
    kernel='abs_add1',
    chips=('a5',),
    inputs=(Operand('x', ('M', 'K'), ('float16',)), Operand('y', ('N', 'K'), ('float16',))),
    attributes={'cores': None},
    reference=abs_add1_reference,
    outputs=lambda s, a, t: (Output('z', (s['M'], s['N']), 'float32'),),
    policy=lambda dtype: 'allclose 2e-3/2e-3 + l2 1e-6',
    must_show=(
        starts_afresh('C0.11'),
        # Half of the rows from each vector core, and no row twice.
        written('C0.12', 4 * 200 * 333, 'tail'),
        written('C0.12', 4 * 70 * 40, 'one-half-empty'),
        # A tile passes with a ready flag, and its slot comes back with another.
        signals('C0.13', 'reuse', C=('FIX',), V=('V',)),
        routes('C0.14', has=('L0C UB', 'UB GM'), never=('L0C GM', 'GM UB')),
        spaces('C4.30', 'L1', 'L0C', 'UB'),
        # The vector cores finish a tile while the cube core multiplies.
        overlap('row', 'AIC M', 'AIV0 V', 0.6, 'steady'),
        overlap('row', 'AIC M', 'AIV0 MTE3', 0.6, 'steady'),
    ),
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    war_cover='single_shot',
    forms={'developer': Form({'cores': 'it has one block per tile: a second tile would overwrite the workspace of the first'})},
    cases=(
        Case('minimum', 'minimum', mnk(1, 1, 1), {'cores': 1}),
        Case('source', 'source', mnk(128, 128, 128)),
        Case('source-wide', 'source', mnk(256, 512, 256)),
        Case('tail', 'tail', mnk(200, 333, 150), {'cores': 3}),
        # The second vector core has no row of the last tile of M.
        Case('one-half-empty', 'tail', mnk(70, 40, 5), {'cores': 2}),
        Case('reuse', 'reuse', mnk(256, 320, 832), {'cores': 1}),
        Case('large-tiles', 'reuse', mnk(256, 1280, 64), {'cores': 2}),
        Case('steady', 'reuse', mnk(1024, 1024, 512), {'cores': 2}),
        Case('idle', 'idle', mnk(64, 128, 64), {'cores': 4}),
        Case('uneven', 'uneven', mnk(320, 64, 192), {'cores': 2}),
    ),
    bad=(
        BadInput('dtype', lambda: ((half(16, 16).float(), half(16, 16)), {}), CallError, 'x is float32'),
        BadInput('contraction', lambda: ((half(16, 32), half(16, 16)), {}), CallError, 'K is 32 before and 16 in y'),
        BadInput('rank', lambda: ((half(1, 16, 16), half(16, 16)), {}), CallError, 'x has shape (1, 16, 16)'),
        BadInput('transposed', lambda: ((half(16, 16), half(16, 16).t()), {}), CallError, 'y is not contiguous'),
        BadInput('empty', lambda: ((half(0, 16), half(16, 16)), {}), CallError, 'M is 0'),
        BadInput('missing', lambda: ((half(16, 16),), {}), CallError, 'takes 2 tensors'),
        BadInput('attribute', lambda: ((half(16, 16), half(16, 16)), {'bias': 1}), CallError, "no attribute 'bias'"),
    ),
)

CONTRACT = Contract('matmul_epilogue', (ABS_ADD1,))
