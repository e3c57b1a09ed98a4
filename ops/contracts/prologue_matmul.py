"""Matrix products with a vector prologue."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import overlap, routes, signals, spaces, tiles
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant


def abs_sqrt_reference(x, y, **_):
    # The cast is part of the contract: the product takes the halves of the roots. A root in float64 rounded to float32 is the correctly
    # rounded root; torch's own in float32 is off by a unit in the last place for some numbers, which a tie then carries into the half.
    return ((x.double().abs().sqrt().float().half().double() @ y.double().T).float(),)


def mnk(M, N, K):
    return {'M': M, 'N': N, 'K': K}


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


ALIGNED = {'M': (32, 'each vector core prepares half of the rows of a tile, in whole fractals of 16'),
           'N': (16, 'the contract covers whole fractals of 16 columns'), 'K': (16, 'the contract covers whole fractals of 16 numbers')}
LONGEST = 1024  # numbers of K


def limits(sizes, settings):
    for dim, (step, why) in ALIGNED.items():
        if sizes[dim] % step:
            raise CallError(f'prologue_matmul.abs_sqrt_nd: {dim} is {sizes[dim]}', why=why, instead=f'a multiple of {step}')
    if sizes['K'] > LONGEST:
        raise CallError(f'prologue_matmul.abs_sqrt_nd: K is {sizes["K"]}', why='the prepared rows stay on chip for all columns of the result',
                        instead=f'at most {LONGEST}')


def pair(M=32, N=16, K=16):
    return half(M, K), half(N, K)


ABS_SQRT_ND = Variant(
    name='prologue_matmul.abs_sqrt_nd',
    row='prologue_matmul.abs_sqrt_nd',
    topology='vec->cube',
    formula='z = sqrt(abs(x)) @ y.T',
    kernel='abs_sqrt_nd',
    chips=('a5',),
    inputs=(Operand('x', ('M', 'K'), ('float16',)), Operand('y', ('N', 'K'), ('float16',))),
    attributes={'cores': None},
    reference=abs_sqrt_reference,
    outputs=lambda s, a, t: (Output('z', (s['M'], s['N']), 'float32'),),
    policy=lambda dtype: 'allclose 2e-3/2e-3 + l2 1e-6',
    must_show=(
        routes('row', has=('UB L1',), never=('UB GM',)),
        signals('C0.13', 'many-items', C=('MTE1',), V=('MTE3',)),
        spaces('C4.30', 'L1', 'L0C', 'UB'),
        tiles('C4.30', modes=('developer',),
              x=('UB', '', None, None), root=('UB', '', None, None), a=('L1', '', None, None), z=('L0C', '', None, None)),
        # The vector cores prepare the next rows while the cube core multiplies.
        overlap('row', 'AIC M', 'AIV0 V', 0.6, 'steady'),
    ),
    limits=limits,
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    # One product over all of K against one per panel: sums of up to 1024 terms in another order.
    twins='ulp 4/1e-4',
    war_cover='single_shot',
    forms={'developer': Form({'cores': 'it has one block per tile: a second tile would overwrite the workspace of the first'})},
    cases=(
        Case('minimum', 'minimum', mnk(32, 16, 16), {'cores': 1}),
        Case('source', 'source', mnk(128, 128, 128)),
        Case('source-wide', 'source', mnk(256, 256, 512)),
        Case('longest', 'tail', mnk(32, 64, 1024), {'cores': 1}),
        Case('odd-fractals', 'tail', mnk(96, 48, 80), {'cores': 2}),
        Case('reuse', 'reuse', mnk(256, 192, 192), {'cores': 1}),
        Case('many-items', 'reuse', mnk(160, 32, 32), {'cores': 1}),
        Case('shared-rows', 'reuse', mnk(64, 640, 256), {'cores': 4}),
        Case('steady', 'reuse', mnk(1024, 512, 512), {'cores': 2}),
        Case('idle', 'idle', mnk(64, 16, 64), {'cores': 4}),
        Case('uneven', 'uneven', mnk(192, 64, 128), {'cores': 2}),
    ),
    bad=(
        BadInput('dtype', lambda: ((pair()[0].float(), pair()[1]), {}), CallError, 'x is float32'),
        BadInput('rows', lambda: (pair(M=48), {}), CallError, 'M is 48'),
        BadInput('columns', lambda: (pair(N=40), {}), CallError, 'N is 40'),
        BadInput('contraction-tail', lambda: (pair(K=24), {}), CallError, 'K is 24'),
        BadInput('too-long', lambda: (pair(K=2048), {}), CallError, 'K is 2048'),
        BadInput('contraction', lambda: ((half(32, 16), half(16, 32)), {}), CallError, 'K is 16 before and 32 in y'),
        BadInput('rank', lambda: ((half(1, 32, 16), half(16, 16)), {}), CallError, 'x has shape (1, 32, 16)'),
        BadInput('transposed', lambda: ((half(32, 16), half(16, 16).t()), {}), CallError, 'y is not contiguous'),
        BadInput('missing', lambda: (pair()[:1], {}), CallError, 'takes 2 tensors'),
        BadInput('attribute', lambda: (pair(), {'bias': 1}), CallError, "no attribute 'bias'"),
    ),
)

CONTRACT = Contract('prologue_matmul', (ABS_SQRT_ND,))
