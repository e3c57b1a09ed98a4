"""Paged attention, one query position per sequence, KV split over the cores."""

import math

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import BOTH, instructions, kept_busy, of_program, operands, routes, signals, tiles
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant, choice

PAGE = 128
LOWEST = torch.finfo(torch.float32).min
SPLIT_TOKENS = 8192  # most KV positions of one split


def split_reference(q, k, v, scale):
    """Online softmax over pages of 128: weighted sum, its normaliser m + ln l. [H, D], [n, H, D] -> [H, D], [H]"""
    heads, dim = q.shape
    top, total, out = torch.full((heads,), LOWEST), torch.zeros(heads), torch.zeros(heads, dim)
    for tile in range(0, k.shape[0], PAGE):
        s = torch.einsum('hd,nhd->hn', q, k[tile:tile + PAGE]) * scale
        new = torch.maximum(top, s.amax(-1))
        shrink = torch.exp(top - new) if tile else torch.zeros(heads)
        p = torch.exp(s - new[:, None])
        total = total * shrink + p.sum(-1)
        out = out * shrink[:, None] + torch.einsum('hn,nhd->hd', p.half().float(), v[tile:tile + PAGE])
        top = new
    if not k.shape[0]:
        return out, top
    return out / total[:, None], top + torch.log(total)


def reference(q, k_cache, v_cache, block_table, kv_lens, splits, scale, **_):
    B, Hq, D = q.shape
    share = Hq // k_cache.shape[2]
    scale = D ** -0.5 if scale is None else scale
    partial_out, partial_l = torch.empty(B, splits, Hq, D), torch.empty(B, splits, Hq)
    for b in range(B):
        length = int(kv_lens[b])
        pages = math.ceil(length / PAGE)
        ids = block_table[b, :pages].long()
        k, v = (x[ids].flatten(0, 1)[:length].float().repeat_interleave(share, 1) for x in (k_cache, v_cache))
        per = math.ceil(pages / splits) * PAGE
        for s in range(splits):
            part = slice(s * per, (s + 1) * per)
            partial_out[b, s], partial_l[b, s] = split_reference(q[b].float(), k[part], v[part], scale)
    weights = torch.softmax(partial_l.double(), 1).float()
    return (weights[..., None] * partial_out).sum(1).half(), partial_out, partial_l


def draw_table(shape, generator, sizes, attributes):
    """The pages of all sequences in shuffled order; rows share no page unless the cache is too small for that."""
    pages = torch.randperm(sizes['blocks'], generator=generator)
    return pages.repeat(math.ceil(shape[0] * shape[1] / sizes['blocks']))[:shape[0] * shape[1]].reshape(shape)


def draw_lengths(shape, generator, sizes, attributes):
    """One sequence ends with its last page, of several the first ends inside it and the others anywhere."""
    longest = sizes['maxblk'] * PAGE
    drawn = torch.randint(1, longest + 1, shape, generator=generator)
    drawn[0] = longest if len(drawn) == 1 else longest - drawn[0] % (PAGE - 1) - 1
    return drawn


def limits(sizes, settings):
    Hq, Hkv, splits = sizes['Hq'], sizes['Hkv'], settings['splits']
    if sizes['D'] != 128 or sizes['page'] != PAGE:
        raise CallError(f'paged_attn.split_kv: heads of {sizes["D"]}, pages of {sizes["page"]}', why='tiles are 128 by 128', instead='128 and 128')
    if Hq != 4 * Hkv:
        raise CallError(f'paged_attn.split_kv: {Hq} query heads on {Hkv} KV heads', why='4 query heads share a KV head', instead='Hq = 4 * Hkv')
    if Hq % 16:
        raise CallError(f'paged_attn.split_kv: Hq is {Hq}', why='a work item is 16 query heads, the rows of one fractal', instead='a multiple of 16')
    if not isinstance(splits, int) or not 2 <= splits <= 63:
        raise CallError(f'paged_attn.split_kv: splits is {splits!r}', why='the combination weighs 2 to 63 splits at once', instead='2 to 63')
    tokens = math.ceil(sizes['maxblk'] / splits) * PAGE
    if tokens > SPLIT_TOKENS:
        raise CallError(f'paged_attn.split_kv: {tokens} KV positions per split', why=f'a split holds at most {SPLIT_TOKENS}', instead='more splits')
    choice('paged_attn.split_kv', settings, 'combine', ('bulk', 'scalar'))
    scale = settings['scale']
    if scale is not None and not (isinstance(scale, (int, float)) and 0 < scale < float('inf')):
        raise CallError(f'paged_attn.split_kv: scale is {scale!r}', instead='a positive number')


def check_values(q, k_cache, v_cache, block_table, kv_lens, **_):
    longest = block_table.shape[1] * PAGE
    if int(kv_lens.min()) < 1 or int(kv_lens.max()) > longest:
        raise CallError(f'paged_attn.split_kv: kv_lens from {int(kv_lens.min())} to {int(kv_lens.max())}',
                        why=f'block_table names {block_table.shape[1]} pages of {PAGE} per sequence', instead=f'1 to {longest}')
    for b, length in enumerate(kv_lens.tolist()):
        used = block_table[b, :math.ceil(length / PAGE)]
        if int(used.min()) < 0 or int(used.max()) >= k_cache.shape[0]:
            raise CallError(f'paged_attn.split_kv: block_table[{b}] names page {int(used.min()) if int(used.min()) < 0 else int(used.max())}',
                            why=f'the cache has {k_cache.shape[0]} pages and a page load is not clipped', instead=f'0 to {k_cache.shape[0] - 1}')


def arguments(sizes, settings, dtypes):
    return {k: v for k, v in sizes.items() if k not in ('D', 'page')} | settings


def shape(B, maxblk, blocks, Hkv=4):
    return {'B': B, 'Hq': 4 * Hkv, 'D': 128, 'blocks': blocks, 'page': PAGE, 'Hkv': Hkv, 'maxblk': maxblk}


def inputs(B=1, Hq=16, Hkv=4, D=128, page=128, maxblk=2, length=100, entry=0):
    cache = torch.zeros(2, page, Hkv, D, dtype=torch.float16)
    return (torch.zeros(B, Hq, D, dtype=torch.float16), cache, cache.clone(), torch.full((B, maxblk), entry, dtype=torch.int32),
            torch.full((B,), length, dtype=torch.int32))


def bad(name, says, attributes=None, **changes):
    return BadInput(name, lambda: (inputs(**changes), attributes or {}), CallError, says)


CACHE = ('blocks', 'page', 'Hkv', 'D')


def sixteen_rows(p):
    found = {s.attrs['M'] for s in instructions(p, 'mma', 'gemm_v0')}
    return '' if found <= {16} else f'{sorted(found)} rows'


def four_stored(p):
    """X14: stores of whole tiles would run over the next KV head."""
    kept = {int(s.args[1].extents[-2].value) for s in instructions(p, 'copy') if p.buffers[s.args[0].buffer].space == 'L0C'}
    return '' if kept == {4} else f'{sorted(kept)} rows'


def scaled_first(p):
    ops = [s.op for s in instructions(p, 'muls', 'reduce') if (s.attrs['kind'] == 'max' if s.op == 'reduce' else s.args[0].buffer == 's_ub')]
    return '' if ops[:2] == ['muls', 'reduce'] else ', '.join(ops) or 'neither'


SPLIT_KV = Variant(
    name='paged_attn.split_kv',
    row='paged_attn.split_kv',
    topology='cube->vec->cube->vec',
    formula='softmax(q @ K[block_table].T * scale) @ V[block_table]',
    kernel='split_kv',
    chips=('a2', 'a3'),
    inputs=(Operand('q', ('B', 'Hq', 'D'), ('float16',)), Operand('k_cache', CACHE, ('float16',)), Operand('v_cache', CACHE, ('float16',)),
            Operand('block_table', ('B', 'maxblk'), ('int32',), draw_table), Operand('kv_lens', ('B',), ('int32',), draw_lengths)),
    attributes={'splits': 4, 'scale': None, 'combine': 'bulk', 'cores': None},
    reference=reference,
    attribute_types={'scale': float},
    outputs=lambda s, a, t: (Output('o', (s['B'], s['Hq'], s['D']), 'float16'), Output('partial', (s['B'], a['splits'], s['Hq'], s['D']), 'float32'),
                             Output('lse', (s['B'], a['splits'], s['Hq']), 'float32')),
    policy=lambda dtype: 'allclose 5e-3/2e-2 + l2 3e-3' if dtype == 'float16' else 'allclose 5e-3/2e-2 + l2 2e-3',
    limits=limits,
    check_values=check_values,
    arguments=arguments,
    twins='ulp 2/2e-3',
    must_show=(
        # Two slots per workspace, the lowest bit of the page.
        tiles('C3.3', workspace_s=('GM', 'float32', None, 2, 16, 128), workspace_p=('GM', 'float16', None, 2, 16, 128),
              workspace_o=('GM', 'float32', None, 2, 16, 128)),
        # READY of scores and products, FREE of probabilities; READY of probabilities, FREE of scores and products; and the barrier of all.
        signals('C3.3', C=('FIX', 'FIX', 'MTE2'), V=('MTE2', 'MTE2', 'MTE3', 'MTE3')),
        of_program('C3.7', 'products have sixteen rows', sixteen_rows, modes=BOTH),
        of_program('C3.7', 'of which the four of the KV head are stored', four_stored),
        of_program('C3.8', 'scores are scaled before their maximum is taken', scaled_first),
        routes('C0.14', has=('L0C GM', 'GM UB', 'UB GM', 'GM L1'), never=('L0C UB', 'UB L1')),
        operands('C0.25', 'float32', 'reduce', modes=BOTH),
        # Pages stream in while the cube and the vector cores work on earlier ones.
        kept_busy('row', 'AIC MTE2', 0.6, 'steady'),
    ),
    war_cover='reverse_edge',
    fallback_reason='compiler_reject',
    forms={'developer': Form({'cores': 'it has one block per sequence, 16 heads and split, whatever the number of cores',
                              'combine': 'its splits join in a launch of their own, in bulk'},
                             {'scalar-combine': 'it is the other form of the last step of the expert kernel'})},
    cases=(
        Case('minimum', 'minimum', shape(1, 1, 1), {'splits': 2, 'cores': 1}),
        Case('source', 'source', shape(1, 1, 1, Hkv=8)),
        Case('source-4096', 'source', shape(1, 32, 40, Hkv=8), {'splits': 8}),
        Case('tail', 'tail', shape(2, 3, 8), {'splits': 2, 'cores': 2}),
        Case('tail-many', 'tail', shape(5, 4, 20), {'splits': 3, 'cores': 4}),
        Case('reuse', 'reuse', shape(1, 12, 12), {'splits': 2, 'cores': 1}),
        Case('steady', 'reuse', shape(1, 16, 16), {'splits': 2, 'cores': 2}),
        Case('one-page-splits', 'reuse', shape(1, 4, 6), {'splits': 4, 'cores': 1, 'scale': 0.125}),
        Case('empty-splits', 'idle', shape(1, 3, 5), {'splits': 8, 'cores': 2}),
        Case('idle', 'idle', shape(1, 4, 4), {'splits': 2, 'cores': 5}),
        Case('uneven', 'uneven', shape(1, 6, 6), {'splits': 3, 'cores': 2}),
        Case('scalar-combine', 'tail', shape(2, 2, 4), {'splits': 2, 'cores': 1, 'combine': 'scalar'}),
        Case('heads', 'heads', shape(2, 5, 16, Hkv=8), {'splits': 2, 'cores': 3}),
        Case('most-splits', 'heads', shape(1, 63, 63), {'splits': 63}, slow=True),
    ),
    bad=(
        BadInput('dtype', lambda: ((inputs()[0].float(), *inputs()[1:]), {}), CallError, 'q is float32'),
        BadInput('table-dtype', lambda: ((*inputs()[:3], inputs()[3].long(), inputs()[4]), {}), CallError, 'block_table is int64'),
        BadInput('rank', lambda: ((inputs()[0][0], *inputs()[1:]), {}), CallError, 'q has shape (16, 128)'),
        BadInput('transposed', lambda: ((torch.zeros(1, 128, 16).half().transpose(1, 2), *inputs()[1:]), {}), CallError, 'q is not contiguous'),
        BadInput('missing', lambda: (inputs()[:4], {}), CallError, 'takes 5 tensors'),
        bad('head-dim', 'heads of 64', D=64),
        bad('page', 'pages of 64', page=64),
        bad('shared', '16 query heads on 8 KV heads', Hkv=8),
        bad('heads', 'Hq is 8', Hq=8, Hkv=2),
        bad('one-split', 'splits is 1', {'splits': 1}),
        bad('many-splits', 'splits is 64', {'splits': 64}),
        bad('combine', "combine is 'both'", {'combine': 'both'}),
        bad('long-split', '8320 KV positions per split', {'splits': 2}, maxblk=130),
        bad('no-keys', 'kv_lens from 0', length=0),
        bad('too-long', 'kv_lens from 257', length=257),
        bad('page-beyond', 'names page 2', entry=2),
        bad('page-negative', 'names page -1', entry=-1),
        bad('attribute', "no attribute 'causal'", {'causal': True}),
    ),
)

CONTRACT = Contract('paged_attn', (SPLIT_KV,))
