"""Sparse flash attention: rows of KV chosen by index."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import DEVELOPER, copied, overlap, routes, starts_afresh, tiles, whole_blocks
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant

TILE = 64


def reference(q, kv, indices, Dt, **_):
    """Dense softmax over the gathered rows; the values are the first D numbers of a row."""
    B, S, H, depth = q.shape
    G, D = kv.shape[2], depth - Dt
    out = torch.empty(B, S, H, D, dtype=torch.float32)
    for b in range(B):
        for g in range(G):
            heads = slice(g * (H // G), (g + 1) * (H // G))
            for s in range(S):
                rows = kv[b, indices[b, s, g].long(), g].float()
                p = torch.softmax(q[b, s, heads].float() @ rows.T * depth ** -0.5, -1)
                out[b, s, heads] = p @ rows[:, :D]
    return (out.half(),)


def draw_indices(shape, generator, sizes, attributes):
    """Rows in no order, some of them more than once."""
    return torch.randint(0, sizes['Skv'], shape, generator=generator)


def limits(name):
    def check(sizes, settings):
        H, G, Dt = sizes['H'], sizes['G'], settings['Dt']
        if not isinstance(Dt, int) or Dt not in (16, 32, 64):
            raise CallError(f'{name}: Dt is {Dt!r}', why='it is the part of a key that is no value, in whole fractals', instead='16, 32 or 64')
        D = sizes['D+Dt'] - Dt
        if D not in (64, 128, 256, 512):
            raise CallError(f'{name}: D is {D}', why='values are cut into products of whole fractals that fit L0', instead='64, 128, 256 or 512')
        if sizes['topk'] % TILE:
            raise CallError(f'{name}: topk is {sizes["topk"]}', why=f'indices are taken in whole tiles of {TILE} and there is no mask',
                            instead=f'a multiple of {TILE}')
        if H % G:
            raise CallError(f'{name}: {H} heads in {G} groups', why='every group has the same number of heads')
        if H // G > 64 and H // G % 64:
            raise CallError(f'{name}: {H // G} heads per group', why='more than 64 heads are taken in whole blocks of 64',
                            instead='at most 64, or a multiple of 64')
    return check


def check_indices(name):
    def check(q, kv, indices, **_):
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= kv.shape[1]:
            raise CallError(f'{name}: Indices holds {low if low < 0 else high}', why=f'KV has {kv.shape[1]} rows and a gather is not clipped',
                            instead=f'indices from 0 to {kv.shape[1] - 1}')
    return check


def arguments(sizes, settings, dtypes):
    depth = sizes['D+Dt']
    return {**{k: v for k, v in sizes.items() if k != 'D+Dt'}, 'D': depth - settings['Dt'], **settings}


def shape(B, S, H, D, Dt, Skv, topk, G=1):
    return {'B': B, 'S': S, 'H': H, 'D+Dt': D + Dt, 'Skv': Skv, 'G': G, 'topk': topk}


def three(H=16, D=64, Skv=128, topk=64, G=1, index=0):
    return (torch.zeros(1, 1, H, D + 64, dtype=torch.float16), torch.zeros(1, Skv, G, D + 64, dtype=torch.float16),
            torch.full((1, 1, G, topk), index, dtype=torch.int32))


CASES = (
    Case('minimum', 'minimum', shape(1, 1, 1, 64, 16, 16, 64), {'cores': 1, 'Dt': 16}),
    Case('source', 'source', shape(1, 4, 16, 512, 64, 1024, 128)),
    Case('source-heads', 'source', shape(1, 2, 128, 512, 64, 2048, 512), {'cores': 2}),
    Case('tail-heads', 'tail', shape(1, 2, 24, 128, 64, 300, 192), {'cores': 1}),
    Case('tail-groups', 'tail', shape(1, 2, 20, 128, 32, 100, 128, G=2), {'cores': 1, 'Dt': 32}),
    Case('reuse', 'reuse', shape(1, 2, 64, 256, 64, 900, 576), {'cores': 1}),
    Case('one-step-items', 'reuse', shape(1, 5, 16, 64, 64, 128, 64), {'cores': 1}),
    Case('idle', 'idle', shape(1, 2, 16, 64, 64, 128, 128), {'cores': 4}),
    Case('uneven', 'uneven', shape(1, 3, 32, 128, 64, 256, 128), {'cores': 2}),
    Case('heads', 'heads', shape(2, 2, 64, 64, 64, 256, 128, G=2), {'cores': 3}),
    # The source runs 128 queries. They are independent and rows are gathered one by one, so 24 of them, one a core, are computed here.
    Case('source-full', 'source', shape(1, 24, 128, 512, 64, 32768, 2048), slow=True),
)


SHOWS = {
    'workspace_vid': (
        copied('C4.12', 'KV', ('kv_ub',), modes=DEVELOPER),
        tiles('C4.11', 'uneven', modes=DEVELOPER, o_ub=('UB', 'float32', 16, 128)),
    ),
    'vid_eliminated': (
        copied('C4.12', 'KV', ('kv_l1',), modes=DEVELOPER),
        # 32 heads per block: the compiler halves the tile of the source.
        tiles('C4.11', 'uneven', modes=DEVELOPER, o_ub=('UB', 'float32', 16, 128)),
    ),
}
BOTH_SHOW = (
    routes('C0.14', never=('L0C UB', 'UB L1')),
    whole_blocks('C4.23'),
    starts_afresh('C0.11'),
    # While the vector unit works, rows of a later tile arrive.
    overlap('row', 'AIV0 V', 'AIV0 MTE2', 0.6, 'reuse'),
)


def variant(name, fallback=''):
    full = f'sparse_flash_attn.{name}'
    bad = (
        BadInput('dtype', lambda: ((three()[0].float(), *three()[1:]), {}), CallError, 'Q is float32'),
        BadInput('index-dtype', lambda: ((*three()[:2], three()[2].long()), {}), CallError, 'Indices is int64'),
        BadInput('rank', lambda: ((three()[0][0], *three()[1:]), {}), CallError, 'Q has shape (1, 16, 128)'),
        BadInput('transposed', lambda: ((torch.zeros(1, 16, 4, 128).half().transpose(1, 2), *three()[1:]), {}), CallError, 'Q is not contiguous'),
        BadInput('missing', lambda: (three()[:2], {}), CallError, 'takes 3 tensors'),
        BadInput('topk', lambda: (three(topk=96), {}), CallError, 'topk is 96'),
        BadInput('D', lambda: (three(D=96), {}), CallError, 'D is 96'),
        BadInput('Dt', lambda: (three(), {'Dt': 48}), CallError, 'Dt is 48'),
        BadInput('heads', lambda: (three(H=80), {}), CallError, '80 heads per group'),
        BadInput('groups', lambda: (three(H=16, G=3), {}), CallError, '16 heads in 3 groups'),
        BadInput('index-beyond', lambda: (three(index=128), {}), CallError, 'Indices holds 128'),
        BadInput('index-negative', lambda: (three(index=-1), {}), CallError, 'Indices holds -1'),
        BadInput('attribute', lambda: (three(), {'causal': True}), CallError, "no attribute 'causal'"),
    )
    return Variant(
        name=full, row='sparse_flash_attn', kernel=name, chips=('a2', 'a3'),
        topology='cube->vec->cube->vec', formula='softmax(q @ KV[Indices].T * scale) @ KV[Indices]',
        inputs=(Operand('Q', ('B', 'S', 'H', 'D+Dt'), ('float16',)), Operand('KV', ('B', 'Skv', 'G', 'D+Dt'), ('float16',)),
                Operand('Indices', ('B', 'S', 'G', 'topk'), ('int32',), draw_indices)),
        attributes={'Dt': 64, 'cores': None}, reference=reference, policy=lambda dtype: 'allclose 1e-2/1e-2 + l2 3e-3',
        outputs=lambda s, a, t: (Output('O', (s['B'], s['S'], s['H'], s['D+Dt'] - a['Dt']), 'float16'),),
        limits=limits(full), check_values=check_indices(full), arguments=arguments,
        cases=CASES, bad=bad,
        must_show=SHOWS[name] + BOTH_SHOW,
        # The same products of tiles in the same order; the scale rides on another instruction, and rows are divided by a reciprocal.
        twins='ulp 2/2e-3', war_cover='reverse_edge', fallback_reason=fallback,
        forms={'developer': Form({'cores': 'it has one block per query position and block of heads, whatever the number of cores'},
                                 {'tail-groups': 'padding a group to whole fractals would overwrite the heads of the next'})})


CONTRACT = Contract('sparse_flash_attn', (variant('workspace_vid', 'compiler_reject'), variant('vid_eliminated')))
