"""Flash attention in tiles of 128 keys: the end of the a2 chain score, score_pv, unnorm, full."""

import math

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import (columns, kept_busy, narrow_factors, operands, overlap, peak, products, routes, sentinel, starts_afresh, tiles,
                                     written)
from tiletwin.harness.contract import BadInput, Case, Form, Operand, Output, Variant

from .inputs import half, multiple, refuse_scale, three

TILE = 128
NEGATIVE = -1e30  # a running maximum before the first tile: finite, so that nothing is subtracted from infinity


def streamed(q, k, v, scale):
    """(out, maximum, sum) in float32, tile by tile; the sum is taken from the float probabilities, the product from their halves."""
    q, k, v = q.float(), k.float(), v.float()
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    m = torch.full((*q.shape[:-1], 1), NEGATIVE)
    total, out = torch.zeros_like(m), torch.zeros_like(q)
    for j in range(0, k.shape[1], TILE):
        s = (q @ k[:, j:j + TILE].transpose(-1, -2)) * scale
        new = torch.maximum(m, s.amax(-1, keepdim=True))
        shrink, p = torch.exp(m - new), torch.exp(s - new)
        total = total * shrink + p.sum(-1, keepdim=True)
        out = out * shrink + p.half().float() @ v[:, j:j + TILE]
        m = new
    return out, m, total


def full_reference(q, k, v, scale, **_):
    out, _, total = streamed(q, k, v, scale)
    return ((out / total).reshape(-1, q.shape[-1]),)


def full_limits(sizes, settings):
    multiple('flash_attn.full', sizes, {'S1': TILE, 'S2': TILE}, 'the contract covers whole tiles of 128 queries and 128 keys')
    if sizes['D'] != 128:
        raise CallError(f'flash_attn.full: D is {sizes["D"]}', why='both products of a step share one pair of 128 x 128 tiles in L0C', instead='128')
    refuse_scale('flash_attn.full', settings['scale'])


def shape(BH, S1, S2):
    return {'BH': BH, 'S1': S1, 'S2': S2, 'D': 128}


KEYS = ('BH', 'S2', 'D')

FULL = Variant(
    name='flash_attn.full',
    row='flash_attn.full',
    topology='cube->vec->cube->vec',
    formula='softmax(q @ k.T * scale) @ v',
    kernel='full',
    chips=('a2',),
    inputs=(Operand('q', ('BH', 'S1', 'D'), ('float16',)), Operand('k', KEYS, ('float16',)), Operand('v', KEYS, ('float16',))),
    attributes={'scale': None, 'cores': None},
    reference=full_reference,
    outputs=lambda s, a, t: (Output('o', (s['BH'] * s['S1'], s['D']), 'float32'),),
    attribute_types={'scale': float},
    policy=lambda dtype: 'allclose 1e-3/1e-3 + l2 5e-4',
    limits=full_limits,
    must_show=(
        # 12 steps of scores, probabilities and products, and the result.
        written('C0.12', 12 * 128 * 128 * (4 + 2 + 4) + 256 * 128 * 4, 'reuse'),
        routes('C0.14', has=('L0C GM', 'GM UB', 'UB GM', 'GM L1'), never=('L0C UB', 'UB L1')),
        # The third bridge lags: four score products before the first with V, then one of each in turn, then the rest.
        products('C0.23', 'score products run four steps ahead and are drained', {'k_l1': 'qk', 'v_l1': 'pv'},
                 ['qk'] * 4 + ['pv', 'qk'] * 8 + ['pv'] * 4, 'reuse'),
        operands('C0.25', 'float32', 'reduce', 'add', 'row_expand_mul_experiment'),
        sentinel('C0.26', NEGATIVE),
        peak('C0.37', 'L0C', 2 * 128 * 128 * 4),
        tiles('C0.40', 'uneven', workspace_1=('GM', 'float32', 2, 4, 128, 128), workspace_2=('GM', 'float16', 2, 4, 128, 128),
              workspace_3=('GM', 'float32', 2, 4, 128, 128)),
        narrow_factors('C0.43', 64, 8),
        columns('C0.44'),
        starts_afresh('C0.11'),
        overlap('row', 'AIC MTE2', 'AIC M', 0.6, 'steady'),
        overlap('row', 'AIC FIX', 'AIV0 V', 0.6, 'steady'),
        overlap('row', 'AIV0 V', 'AIV0 MTE2', 0.6, 'steady'),
        # Lookahead leaves the vector cores without a gap.
        kept_busy('row', 'AIV0 V', 0.6, 'steady'),
    ),
    twins='ulp 16/2e-6',
    war_cover='reverse_edge',
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    forms={'developer': Form({'cores': 'it has one block per 128 queries, whatever the number of cores'})},
    cases=(
        Case('minimum', 'minimum', shape(1, 128, 128), {'cores': 1}),
        Case('source', 'source', shape(1, 256, 512)),
        Case('source-heads', 'source', shape(3, 256, 256)),
        Case('bench', 'source', shape(8, 2048, 2048), slow=True),
        Case('few-keys', 'tail', shape(1, 384, 128), {'cores': 2}),
        Case('odd-tiles', 'tail', shape(1, 128, 640), {'cores': 1}),
        Case('scale', 'tail', shape(1, 128, 256), {'cores': 1, 'scale': 0.5}),
        Case('reuse', 'reuse', shape(1, 256, 768), {'cores': 1}),
        Case('one-step-items', 'reuse', shape(5, 128, 128), {'cores': 1}),
        Case('steady', 'reuse', shape(1, 1024, 1024), {'cores': 2}),
        Case('idle', 'idle', shape(1, 128, 256), {'cores': 3}),
        Case('uneven', 'uneven', shape(1, 384, 256), {'cores': 2}),
        Case('heads', 'heads', shape(4, 128, 256), {'cores': 2}),
    ),
    bad=(
        BadInput('dtype', lambda: ((half(1, 128, 128).float(), *three(1, 128, 128)[1:]), {}), CallError, 'q is float32'),
        BadInput('query-tail', lambda: ((half(1, 100, 128), *three(1, 128, 128)[1:]), {}), CallError, 'S1 is 100'),
        BadInput('key-tail', lambda: ((half(1, 128, 128), *three(1, 200, 128)[1:]), {}), CallError, 'S2 is 200'),
        BadInput('head', lambda: (three(1, 128, 64), {}), CallError, 'D is 64'),
        BadInput('keys-and-values', lambda: ((*three(1, 128, 128)[:2], half(1, 256, 128)), {}), CallError, 'S2 is 128 before and 256 in v'),
        BadInput('rank', lambda: (three(128, 128), {}), CallError, 'q has shape (128, 128)'),
        BadInput('transposed', lambda: ((half(1, 128, 128).transpose(1, 2), *three(1, 128, 128)[1:]), {}), CallError, 'q is not contiguous'),
        BadInput('scale', lambda: (three(1, 128, 128), {'scale': 0.0}), CallError, 'scale is 0.0'),
        BadInput('causal', lambda: (three(1, 128, 128), {'causal': True}), CallError, "no attribute 'causal'"),
        BadInput('missing', lambda: (three(1, 128, 128)[:2], {}), CallError, 'takes 3 tensors'),
    ),
)
