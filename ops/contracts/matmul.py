"""Matrix products."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Variant, choice


def mkkn_reference(a, b, out_dtype, **_):
    return ((a.double() @ b.double()).to(getattr(torch, out_dtype)),)


def mkkn_limits(sizes, settings):
    choice('matmul.mkkn_gemm', settings, 'out_dtype', ('float32', 'float16'))
    choice('matmul.mkkn_gemm', settings, 'schedule', ('mma', 'barrier'))


# Blocks of a developer form: one per tile.
ONE_TILE = 'it has one block per tile, whatever the number of cores'
NO_SCHEDULE = 'when loads, products and stores run is the business of the compiler'


def mkkn(M, N, K):
    return {'M': M, 'N': N, 'K': K}


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


MKKN = Variant(
    name='matmul.mkkn_gemm',
    row='matmul.mkkn_gemm',
    kernel='mkkn_gemm',
    chips=('a2', 'a3', 'a5'),
    inputs=(Operand('A', ('M', 'K'), ('float16',)), Operand('B', ('K', 'N'), ('float16',))),
    attributes={'out_dtype': 'float32', 'schedule': 'mma', 'cores': None},
    reference=mkkn_reference,
    policy=lambda dtype: 'allclose 1e-2/1e-2 + l2 1e-3' if dtype == 'float16' else 'allclose 1e-2/1e-2 + l2 1e-5',
    limits=mkkn_limits,
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    forms={'developer': Form({'cores': ONE_TILE, 'schedule': NO_SCHEDULE},
                             dict.fromkeys(('minimum-barrier', 'source-barrier', 'tail-barrier'), 'it runs another schedule of the expert form'))},
    cases=(
        Case('minimum', 'minimum', mkkn(1, 1, 1), {'cores': 1}),
        Case('minimum-barrier', 'minimum', mkkn(1, 1, 1), {'schedule': 'barrier'}),
        Case('one-step', 'minimum', mkkn(64, 64, 64), {'cores': 1, 'out_dtype': 'float16'}),
        Case('source', 'source', mkkn(1024, 1024, 512)),
        Case('source-barrier', 'source', mkkn(1024, 1024, 512), {'schedule': 'barrier'}),
        Case('source-half', 'source', mkkn(1024, 1024, 512), {'out_dtype': 'float16'}),
        Case('tail', 'tail', mkkn(200, 333, 150), {'cores': 3}),
        Case('tail-barrier', 'tail', mkkn(200, 333, 150), {'schedule': 'barrier', 'out_dtype': 'float16'}),
        Case('tail-k', 'tail', mkkn(70, 40, 5), {'cores': 2}),
        Case('reuse', 'reuse', mkkn(256, 512, 832), {'cores': 1}),
        Case('reuse-small-tiles', 'reuse', mkkn(64, 320, 330), {'cores': 2}),
        Case('idle', 'idle', mkkn(128, 256, 128), {'cores': 4}),
        Case('uneven', 'uneven', mkkn(640, 256, 192), {'cores': 2}),
    ),
    bad=(
        BadInput('dtype', lambda: ((half(16, 16).float(), half(16, 16)), {}), CallError, 'A is float32'),
        BadInput('contraction', lambda: ((half(16, 32), half(16, 16)), {}), CallError, 'K is 32 before and 16 in B'),
        BadInput('rank', lambda: ((half(1, 16, 16), half(16, 16)), {}), CallError, 'A has shape (1, 16, 16)'),
        BadInput('transposed', lambda: ((half(16, 16), half(32, 16).t()), {}), CallError, 'B is not contiguous'),
        BadInput('empty', lambda: ((half(0, 16), half(16, 16)), {}), CallError, 'M is 0'),
        BadInput('missing', lambda: ((half(16, 16),), {}), CallError, 'takes 2 tensors'),
        BadInput('out-dtype', lambda: ((half(16, 16), half(16, 16)), {'out_dtype': 'int8'}), CallError, "out_dtype is 'int8'"),
        BadInput('schedule', lambda: ((half(16, 16), half(16, 16)), {'schedule': 'fast'}), CallError, "schedule is 'fast'"),
        BadInput('attribute', lambda: ((half(16, 16), half(16, 16)), {'bias': 1}), CallError, "no attribute 'bias'"),
        BadInput('not-a-tensor', lambda: ((half(16, 16), [[1.0]]), {}), CallError, 'B is a list'),
    ),
)

CONTRACT = Contract('matmul', (MKKN,))
