"""Flash attention over the on-chip bridges of a5, one tile of keys after the other."""

from tiletwin.errors import CallError
from tiletwin.harness.claims import flags, one_by_one, routes, starts_afresh, tiles
from tiletwin.harness.contract import BadInput, Case, Form, Operand, Output, Variant

from .inputs import half, multiple, refuse_scale, softmax_attention, three

NAME = 'flash_attn.a5_serial'
L0_BYTES = 65536


def a5_serial_reference(q, k, v, scale, **_):
    return (softmax_attention(q, k, v, scale).to(q.dtype),)


def blocks(sizes, settings):
    """(block_m, block_n): 128 where it divides S and the tiles of both products fit L0 side by side."""
    block = 128 if sizes['S'] % 128 == 0 and sizes['D'] <= 128 else 64
    return settings['block_m'] or block, settings['block_n'] or block


def a5_serial_limits(sizes, settings):
    bm, bn = blocks(sizes, settings)
    for name, block, step in (('block_m', bm, 32), ('block_n', bn, 16)):
        if not isinstance(block, int) or isinstance(block, bool) or block < 1 or block % step:
            raise CallError(f'{NAME}: {name} is {block!r}', why='each vector core takes whole fractals of half the rows' if step == 32 else
                            'a fractal is 16 columns wide', instead=f'a multiple of {step}')
    multiple(NAME, sizes, {'D': 16}, 'a fractal is 16 columns wide')
    for name, block in (('block_m', bm), ('block_n', bn)):
        if sizes['S'] % block:
            raise CallError(f'{NAME}: S is {sizes["S"]}', why=f'the kernel has no tail mask and {name} is {block}', instead=f'a multiple of {block}')
    if 2 * bm * (sizes['D'] + bn) > L0_BYTES or 4 * bn * sizes['D'] > L0_BYTES:
        raise CallError(f'{NAME}: D is {sizes["D"]} with blocks of {bm} x {bn}', why='the operands of both products stay in L0A and L0B side by side',
                        instead='smaller blocks, or D up to 128')
    refuse_scale(NAME, settings['scale'])


def arguments(sizes, settings, dtypes):
    bm, bn = blocks(sizes, settings)
    return {**sizes, **settings, 'block_m': bm, 'block_n': bn, 'dtype': dtypes[0]}


def check_values(q, k, v, **_):
    if not q.dtype == k.dtype == v.dtype:
        raise CallError(f'{NAME}: q, k and v are {q.dtype}, {k.dtype} and {v.dtype}', instead='one dtype for all three',
                        why='the probabilities take the dtype of q and are multiplied with v')


def bhsd(B, H, S, D):
    return {'B': B, 'H': H, 'S': S, 'D': D}


def square(block):
    return {'block_m': block, 'block_n': block}


DIMS = ('B', 'H', 'S', 'D')
BF16 = ('bfloat16',) * 3

A5_SERIAL = Variant(
    name=NAME,
    row='flash_attn.a5_serial',
    topology='cube->vec->cube->vec',
    formula='softmax(q @ k.T * scale) @ v',
    kernel='a5_serial',
    chips=('a5',),
    inputs=tuple(Operand(n, DIMS, ('float16', 'bfloat16')) for n in ('q', 'k', 'v')),
    attributes={'scale': None, 'block_m': None, 'block_n': None, 'cores': None},
    reference=a5_serial_reference,
    outputs=lambda s, a, t: (Output('o', (s['B'], s['H'], s['S'], s['D']), t[0]),),
    attribute_types={'scale': float},
    policy=lambda dtype: f'allclose 1e-2/1e-2 + l2 {"1e-3" if dtype == "float16" else "6e-3"}',
    limits=a5_serial_limits,
    twins='ulp 2/5e-4',
    must_show=(
        # Each vector core has half of the rows of a score or product tile; a probability tile is one tile of L1.
        tiles('C2.1', 'reuse', qk_ub=('UB', 'float32', 32, 64), pv_ub=('UB', 'float32', 32, 64), p_l1=('L1', 'float16', 64, 64)),
        tiles('C2.1', 'one-step-items', qk_ub=('UB', 'float32', 64, 128), pv_ub=('UB', 'float32', 64, 128), p_l1=('L1', 'float16', 128, 128)),
        routes('C2.2', has=('L0C UB', 'UB L1'), never=('L0C GM', 'GM UB')),
        flags('C2.5', C=('set 0 FIX', 'wait 1 MTE1', 'set 2 FIX'), V=('wait 0 V', 'set 1 MTE3', 'wait 2 V')),
        # One tile after the other: scores leave L0C, probabilities reach L1, products leave L0C.
        one_by_one('C2.5', 'scores, probabilities and products take turns',
                   (('AIC FIX', 'qk_ub'), ('AIV0 MTE3', 'p_l1'), ('AIC FIX', 'pv_ub')), 'reuse', 'one-step-items'),
        starts_afresh('C0.11'),
    ),
    war_cover='reverse_edge',
    check_values=check_values,
    arguments=arguments,
    forms={'developer': Form({'cores': 'it has one block per tile of queries, whatever the number of cores'})},
    cases=(
        Case('minimum', 'minimum', bhsd(1, 1, 32, 16), {'cores': 1, 'block_m': 32, 'block_n': 16}),
        Case('source', 'source', bhsd(1, 2, 256, 64), square(64)),
        Case('source-wide', 'source', bhsd(2, 4, 512, 128), square(128), slow=True),
        Case('source-bf16', 'source', bhsd(1, 2, 256, 64), square(128), dtypes=BF16),
        Case('bench', 'source', bhsd(1, 8, 2048, 128), slow=True),
        Case('uneven-blocks', 'tail', bhsd(1, 1, 192, 96), {'cores': 1, 'block_m': 64, 'block_n': 48}),
        Case('scale', 'tail', bhsd(1, 1, 128, 64), {'cores': 1, 'scale': 0.5}),
        Case('one-tile', 'tail', bhsd(1, 1, 64, 64), {'cores': 1}),
        Case('reuse', 'reuse', bhsd(1, 1, 256, 64), {'cores': 1, **square(64)}),
        Case('one-step-items', 'reuse', bhsd(1, 3, 128, 128), {'cores': 1, **square(128)}),
        Case('idle', 'idle', bhsd(1, 1, 128, 128), {'cores': 3}),
        Case('uneven', 'uneven', bhsd(1, 1, 192, 64), {'cores': 2}),
        Case('heads', 'heads', bhsd(2, 2, 128, 64), {'cores': 3, **square(64)}),
    ),
    bad=(
        BadInput('dtype', lambda: ((half(1, 1, 64, 64).float(), *three(1, 1, 64, 64)[1:]), {'arch': 'a5'}), CallError, 'q is float32'),
        BadInput('two-dtypes', lambda: ((*three(1, 1, 64, 64)[:2], half(1, 1, 64, 64).bfloat16()), {'arch': 'a5'}), CallError, 'one dtype'),
        BadInput('tail', lambda: (three(1, 1, 100, 64), {'arch': 'a5'}), CallError, 'S is 100'),
        BadInput('head', lambda: (three(1, 1, 64, 72), {'arch': 'a5'}), CallError, 'D is 72'),
        BadInput('wide-head', lambda: (three(1, 1, 128, 256), {'arch': 'a5', **square(128)}), CallError, 'D is 256 with blocks of 128 x 128'),
        BadInput('block-m', lambda: (three(1, 1, 64, 64), {'arch': 'a5', 'block_m': 16}), CallError, 'block_m is 16'),
        BadInput('block-n', lambda: (three(1, 1, 64, 64), {'arch': 'a5', 'block_n': 8}), CallError, 'block_n is 8'),
        BadInput('shapes', lambda: ((half(1, 1, 64, 64), *three(1, 1, 128, 64)[1:]), {'arch': 'a5'}), CallError, 'S is 64 before and 128 in k'),
        BadInput('rank', lambda: (three(64, 64), {'arch': 'a5'}), CallError, 'q has shape (64, 64)'),
        BadInput('transposed', lambda: ((half(1, 64, 2, 64).transpose(1, 2), *three(1, 2, 64, 64)[1:]), {'arch': 'a5'}), CallError, 'not contiguous'),
        BadInput('scale', lambda: (three(1, 1, 64, 64), {'arch': 'a5', 'scale': -1.0}), CallError, 'scale is -1.0'),
        BadInput('causal', lambda: (three(1, 1, 64, 64), {'arch': 'a5', 'causal': True}), CallError, "no attribute 'causal'"),
        BadInput('missing', lambda: (three(1, 1, 64, 64)[:2], {'arch': 'a5'}), CallError, 'takes 3 tensors'),
    ),
)
