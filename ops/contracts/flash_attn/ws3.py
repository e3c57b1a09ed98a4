"""Flash attention over three workspaces, scores and sums of every key."""

from tiletwin.errors import CallError
from tiletwin.harness.claims import BOTH, overlap, routes, sentinel, starts_afresh, tiles
from tiletwin.harness.contract import BadInput, Case, Form, Operand, Output, Variant

from .inputs import half, multiple, refuse_scale, softmax_attention, three


def ws3_reference(q, k, v, scale, **_):
    return (softmax_attention(q, k, v, scale).half(),)


def ws3_limits(sizes, settings):
    multiple('flash_attn.ws3', sizes, {'S': 64}, 'scores are computed in whole tiles of 64 keys and the kernel has no tail mask')
    if sizes['D'] not in (64, 128, 256, 512):
        raise CallError(f'flash_attn.ws3: D is {sizes["D"]}', why='a head is cut into whole products of at most 128 that fit L1 twice',
                        instead='64, 128, 256 or 512')
    refuse_scale('flash_attn.ws3', settings['scale'])


def bhsd(B, H, S, D):
    return {'B': B, 'H': H, 'S': S, 'D': D}


DIMS = ('B', 'H', 'S', 'D')

WS3 = Variant(
    name='flash_attn.ws3',
    row='flash_attn.ws3',
    topology='cube->vec->cube->vec',
    formula='softmax(q @ k.T / sqrt(D)) @ v',
    kernel='ws3',
    chips=('a2', 'a3'),
    inputs=tuple(Operand(n, DIMS, ('float16',)) for n in ('q', 'k', 'v')),
    attributes={'scale': None, 'cores': None},
    reference=ws3_reference,
    outputs=lambda s, a, t: (Output('o', (s['B'], s['H'], s['S'], s['D']), t[0]),),
    attribute_types={'scale': float},
    policy=lambda dtype: 'allclose 1e-2/1e-2 + l2 3e-3',
    limits=ws3_limits,
    must_show=(
        # Scores, probabilities, products: one workspace each, a ring of slots per core.
        tiles('C4.3', 'reuse', workspace_1=('GM', 'float32', 1, 3, 128, 128), workspace_2=('GM', 'float16', 1, 3, 128, 128),
              workspace_3=('GM', 'float32', 1, 3, 128, 128)),
        tiles('C4.3', 'reuse', modes=('developer',), workspace_1=('GM', 'float32', None, None, 64, 64),
              workspace_2=('GM', 'float16', None, None, 64, 64),
              workspace_3=('GM', 'float32', None, None, 64, 128)),
        routes('C0.14', has=('L0C GM', 'GM UB', 'UB GM', 'GM L1'), never=('L0C UB', 'UB L1'), modes=BOTH),
        starts_afresh('C0.11'),
        sentinel('C0.26', -1e30),
        # Scores of later steps are loaded and computed while the vector cores turn this one into probabilities.
        overlap('row', 'AIC FIX', 'AIV0 V', 0.6, 'steady'),
        overlap('row', 'AIV0 V', 'AIC M', 0.6, 'steady'),
    ),
    arguments=lambda sizes, settings, dtypes: {**sizes, **settings},
    # Tiles of another size round the probabilities against other running maxima.
    twins='ulp 1/2e-3',
    war_cover='reverse_edge',
    fallback_reason='multi_version',
    forms={'developer': Form({'cores': 'it has one block per 64 queries, whatever the number of cores'})},
    cases=(
        Case('minimum', 'minimum', bhsd(1, 1, 64, 64), {'cores': 1}),
        Case('source', 'source', bhsd(1, 1, 128, 512)),
        Case('wide-head', 'source', bhsd(1, 1, 256, 256), {'cores': 2}),
        Case('bench', 'source', bhsd(1, 8, 2048, 128), slow=True),
        Case('odd-tiles', 'tail', bhsd(1, 1, 192, 128), {'cores': 2}),
        Case('scale', 'tail', bhsd(1, 1, 128, 64), {'cores': 1, 'scale': 0.5}),
        Case('reuse', 'reuse', bhsd(1, 1, 512, 128), {'cores': 1}),
        Case('one-step-items', 'reuse', bhsd(1, 3, 64, 128), {'cores': 1}),
        Case('steady', 'reuse', bhsd(1, 1, 1024, 128), {'cores': 2}),
        Case('idle', 'idle', bhsd(1, 1, 128, 128), {'cores': 3}),
        Case('uneven', 'uneven', bhsd(1, 1, 320, 64), {'cores': 2}),
        Case('heads', 'heads', bhsd(2, 3, 128, 128), {'cores': 4}),
    ),
    bad=(
        BadInput('dtype', lambda: ((half(1, 1, 64, 64).float(), half(1, 1, 64, 64), half(1, 1, 64, 64)), {}), CallError, 'q is float32'),
        BadInput('tail', lambda: (three(1, 1, 100, 64), {}), CallError, 'S is 100'),
        BadInput('head', lambda: (three(1, 1, 64, 80), {}), CallError, 'D is 80'),
        BadInput('shapes', lambda: ((half(1, 1, 64, 64), half(1, 1, 128, 64), half(1, 1, 128, 64)), {}), CallError, 'S is 64 before and 128 in k'),
        BadInput('rank', lambda: (three(64, 64), {}), CallError, 'q has shape (64, 64)'),
        BadInput('transposed', lambda: ((half(1, 64, 2, 64).transpose(1, 2), *three(1, 2, 64, 64)[1:]), {}), CallError, 'q is not contiguous'),
        BadInput('scale', lambda: (three(1, 1, 64, 64), {'scale': -1.0}), CallError, 'scale is -1.0'),
        BadInput('causal', lambda: (three(1, 1, 64, 64), {'causal': True}), CallError, "no attribute 'causal'"),
        BadInput('missing', lambda: (three(1, 1, 64, 64)[:2], {}), CallError, 'takes 3 tensors'),
    ),
)
