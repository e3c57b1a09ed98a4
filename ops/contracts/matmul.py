"""Matrix products."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import overlap, peak, routes, spaces, starts_afresh, tiles, uses
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant, choice


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
    topology='cube-only',
    formula='C = A @ B',
    kernel='mkkn_gemm',
    chips=('a2', 'a3', 'a5'),
    inputs=(Operand('A', ('M', 'K'), ('float16',)), Operand('B', ('K', 'N'), ('float16',))),
    attributes={'out_dtype': 'float32', 'schedule': 'mma', 'cores': None},
    reference=mkkn_reference,
    outputs=lambda s, a, t: (Output('C', (s['M'], s['N']), a['out_dtype']),),
    policy=lambda dtype: 'allclose 1e-2/1e-2 + l2 1e-3' if dtype == 'float16' else 'allclose 1e-2/1e-2 + l2 1e-5',
    must_show=(
        starts_afresh('C0.11'),
        spaces('C4.30', 'L1', 'L0C'),
        uses('C4.1', has=('gemm_v0',), modes=('developer',)),
        uses('C4.2', 'minimum-barrier', 'source-barrier', 'tail-barrier', has=('gemm_v0', 'pipe_barrier'), never=('set_flag', 'wait_flag')),
        uses('C4.2', 'source', 'reuse', has=('mma', 'set_flag', 'wait_flag'), never=('pipe_barrier',)),
        # Loads of the next panel run under the products of this one.
        overlap('row', 'AIC MTE2', 'AIC M', 0.6, 'steady'),
    ),
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
        Case('reuse-small-tiles', 'reuse', mkkn(64, 700, 330), {'cores': 1}),
        Case('steady', 'reuse', mkkn(512, 512, 1024), {'cores': 2}),
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


def transposed_reference(x, y, **_):
    return ((x.double() @ y.double().T).float(),)


def aligned(name, step, why):
    """Refuses sizes that leave part of a tile empty."""
    def check(sizes, settings):
        for dim, size in sizes.items():
            if dim in step and size % step[dim]:
                raise CallError(f'{name}: {dim} is {size}', why=why, instead=f'a multiple of {step[dim]}')
    return check


def flat(*shape):
    return torch.zeros(shape)


MKNK_F32 = Variant(
    name='matmul.mknk_f32',
    row='matmul.mknk_f32',
    topology='cube-only',
    formula='z = x @ y.T',
    kernel='mknk_f32',
    chips=('a5',),
    inputs=(Operand('x', ('M', 'K'), ('float32',)), Operand('y', ('N', 'K'), ('float32',))),
    attributes={'cores': None},
    reference=transposed_reference,
    outputs=lambda s, a, t: (Output('z', (s['M'], s['N']), 'float32'),),
    policy=lambda dtype: 'allclose 1e-4/1e-4 + l2 1e-6',
    must_show=(
        routes('row', has=('GM L1', 'L1 L0A', 'L1 L0B', 'L0C GM')),
        starts_afresh('C0.11'),
        overlap('row', 'AIC MTE2', 'AIC M', 0.6, 'steady'),
    ),
    limits=aligned('matmul.mknk_f32', dict.fromkeys('MNK', 64), 'the contract covers whole tiles of 64 x 64 x 64'),
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    forms={'developer': Form({'cores': ONE_TILE})},
    cases=(
        Case('minimum', 'minimum', mkkn(64, 64, 64), {'cores': 1}),
        Case('source', 'source', mkkn(64, 64, 64)),
        Case('odd-steps', 'tail', mkkn(64, 64, 320), {'cores': 1}),
        Case('steady', 'reuse', mkkn(512, 512, 512), {'cores': 2}),
        Case('reuse', 'reuse', mkkn(128, 192, 256), {'cores': 1}),
        Case('idle', 'idle', mkkn(64, 128, 64), {'cores': 4}),
        Case('uneven', 'uneven', mkkn(192, 64, 128), {'cores': 2}),
    ),
    bad=(
        BadInput('dtype', lambda: ((half(64, 64), flat(64, 64)), {}), CallError, 'x is float16'),
        BadInput('contraction', lambda: ((flat(64, 64), flat(64, 128)), {}), CallError, 'K is 64 before and 128 in y'),
        BadInput('rank', lambda: ((flat(1, 64, 64), flat(64, 64)), {}), CallError, 'x has shape (1, 64, 64)'),
        BadInput('transposed', lambda: ((flat(64, 64), flat(64, 64).t()), {}), CallError, 'y is not contiguous'),
        BadInput('tail', lambda: ((flat(64, 64), flat(100, 64)), {}), CallError, 'N is 100'),
        BadInput('missing', lambda: ((flat(64, 64),), {}), CallError, 'takes 2 tensors'),
        BadInput('attribute', lambda: ((flat(64, 64), flat(64, 64)), {'out_dtype': 'float16'}), CallError, "no attribute 'out_dtype'"),
    ),
)


def qk_reference(q, k, **_):
    return ((q.double() @ k.double().transpose(-1, -2)).float().flatten(0, 1),)


def qk_limits(sizes, settings):
    aligned('matmul.qk_batched', {'S1': 128, 'S2': 128}, 'the contract covers whole tiles of 128 queries and 128 keys')(sizes, settings)
    if sizes['D'] != 128:
        raise CallError(f'matmul.qk_batched: D is {sizes["D"]}', why='one product takes the whole head', instead='128')


def bhs(B, H, S1, S2):
    return {'B': B, 'H': H, 'S1': S1, 'S2': S2, 'D': 128}


def heads(S1=128, S2=128, H=1, D=128):
    return half(1, H, S1, D), half(1, H, S2, D)


QK_BATCHED = Variant(
    name='matmul.qk_batched',
    row='matmul.qk_batched',
    topology='cube-only',
    formula='qk = q @ k.T per batch and head',
    kernel='qk_batched',
    chips=('a2',),
    inputs=(Operand('q', ('B', 'H', 'S1', 'D'), ('float16',)), Operand('k', ('B', 'H', 'S2', 'D'), ('float16',))),
    attributes={'cores': None},
    reference=qk_reference,
    outputs=lambda s, a, t: (Output('s', (s['B'] * s['H'], s['S1'], s['S2']), 'float32'),),
    policy=lambda dtype: 'allclose 2e-3/2e-3 + l2 1e-6',
    must_show=(
        tiles('C0.37', qk_l0=('L0C', 'float32', 2, 128, 128)),
        peak('C0.37', 'L0C', 2 * 128 * 128 * 4),
        starts_afresh('C0.11'),
        spaces('C4.30', 'L1', 'L0C'),
        # Nothing waits for the results to leave but the next ones to leave: FIX is the busiest pipe.
        overlap('row', 'AIC FIX', 'AIC MTE2', 0.6, 'steady'),
    ),
    limits=qk_limits,
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    forms={'developer': Form({'cores': 'it has one block per tile of queries, whatever the number of cores'})},
    cases=(
        Case('minimum', 'minimum', bhs(1, 1, 128, 128), {'cores': 1}),
        Case('source', 'source', bhs(1, 1, 128, 128)),
        Case('source-heads', 'source', bhs(2, 4, 256, 512)),
        Case('odd-keys', 'tail', bhs(1, 1, 128, 640), {'cores': 1}),
        Case('shared-rows', 'tail', bhs(1, 1, 128, 512), {'cores': 2}),
        Case('steady', 'reuse', bhs(1, 4, 512, 1024), {'cores': 2}),
        Case('reuse', 'reuse', bhs(1, 2, 256, 384), {'cores': 1}),
        Case('idle', 'idle', bhs(1, 1, 128, 256), {'cores': 4}),
        Case('uneven', 'uneven', bhs(1, 3, 128, 256), {'cores': 2}),
        Case('heads', 'heads', bhs(2, 3, 128, 128), {'cores': 4}),
    ),
    bad=(
        BadInput('dtype', lambda: ((heads()[0].float(), heads()[1]), {}), CallError, 'q is float32'),
        BadInput('query-tail', lambda: (heads(S1=100), {}), CallError, 'S1 is 100'),
        BadInput('key-tail', lambda: (heads(S2=200), {}), CallError, 'S2 is 200'),
        BadInput('head', lambda: (heads(D=64), {}), CallError, 'D is 64'),
        BadInput('heads', lambda: ((heads(H=2)[0], heads(H=1)[1]), {}), CallError, 'H is 2 before and 1 in k'),
        BadInput('rank', lambda: ((half(128, 128), half(128, 128)), {}), CallError, 'q has shape (128, 128)'),
        BadInput('transposed', lambda: ((half(1, 1, 128, 128).transpose(2, 3), heads()[1]), {}), CallError, 'q is not contiguous'),
        BadInput('missing', lambda: (heads()[:1], {}), CallError, 'takes 2 tensors'),
    ),
)

CONTRACT = Contract('matmul', (MKKN, MKNK_F32, QK_BATCHED))
