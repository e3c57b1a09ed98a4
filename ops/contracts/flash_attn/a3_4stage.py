"""Flash attention as a four-stage pipeline with lookahead through queues in GM."""

from tiletwin.errors import CallError
from tiletwin.harness.claims import in_flight, kept_busy, overlap, peak, products, routes, sentinel, stages, starts_afresh, tiles, waits, writers
from tiletwin.harness.contract import BadInput, Case, Form, Operand, Output, Variant, Waiver

from .inputs import half, multiple, refuse_scale, softmax_attention, three

NAME = 'flash_attn.a3_4stage'
S0 = HEAD = CUBE_S1 = 128
VECTOR_CORES = 2
KIB = 1024
QK_READY, PV_READY = 0, 2  # cross flags
UB_BYTES = 192 * KIB
UB_COMPILER = 196352  # what the compiler lays tiles out in


def a3_4stage_reference(q, k, v, scale, **_):
    return (softmax_attention(q, k, v, scale).float(),)


def pick_s1_tile(sk, threshold=16384):
    """Keys per tile: fewer, larger tiles pay once the pipeline is long; where exactly is a heuristic to beat."""
    return 512 if sk >= threshold else 256


def ub_bytes(s1_tile, ring, row_slice=True):
    """UB of one vector core: scores, scratch and exponents of a slice, its half probabilities, product and output, row state."""
    factor = s1_tile // CUBE_S1 if row_slice else 1
    rows = S0 // VECTOR_CORES // factor
    tile = rows * s1_tile * 4
    return 3 * tile + tile // 2 + 2 * factor * rows * HEAD * 4 + (4 + ring) * factor * rows * 4


def queue_bytes(s1_tile, slots=8):
    """GM bytes per core of the queues of scores, products and probabilities."""
    return slots * S0 * s1_tile * 4, slots * S0 * HEAD * 4, slots * S0 * s1_tile * 2


def operations(sq, sk):
    """Floating-point operations as attention benchmarks count them: both products, scaling, softmax."""
    return 4 * sq * sk * HEAD + sq * sk + 3 * sq * sk + 2 * sq * (sk - 1)


def tuned(sizes, settings):
    """(s1_tile, qk_preload, exp_ring) with defaults filled in."""
    preload = settings['qk_preload'] or 3
    return settings['s1_tile'] or pick_s1_tile(sizes['Sk']), preload, settings['exp_ring'] or preload


def a3_4stage_limits(sizes, settings):
    s1_tile, preload, ring = tuned(sizes, settings)
    if sizes['D'] != HEAD:
        raise CallError(f'{NAME}: D is {sizes["D"]}', why='head, query tile and key tile of a product are 128', instead='128')
    if s1_tile not in (256, 512):
        raise CallError(f'{NAME}: s1_tile is {s1_tile!r}', why='a tile is 2 or 4 products of 128 keys', instead='256 or 512')
    if preload not in (3, 4):
        raise CallError(f'{NAME}: qk_preload is {preload!r}', why='fewer tiles ahead leave the cores waiting, more outgrow UB', instead='3 or 4')
    if ring != preload:
        raise CallError(f'{NAME}: exp_ring is {ring!r} and qk_preload is {preload}',
                        why='a smaller ring overwrites factors before they are used, a larger one is never filled', instead=f'exp_ring={preload}')
    multiple(NAME, sizes, {'Sq': S0, 'Sk': s1_tile}, 'the kernel has no tail mask')
    if sizes['Sk'] < s1_tile * preload:
        raise CallError(f'{NAME}: Sk is {sizes["Sk"]}', why=f'the prologue computes {preload} tiles of {s1_tile} keys ahead',
                        instead=f'at least {s1_tile * preload} keys')
    need = ub_bytes(s1_tile, ring, settings['row_slice'])
    if need > min(UB_BYTES, UB_COMPILER):
        raise CallError(f'{NAME}: {need / KIB:g} KiB of UB', why=f'a vector core has {UB_BYTES // KIB} KiB', instead='row_slice=True')
    refuse_scale(NAME, settings['scale'])


def arguments(sizes, settings, dtypes):
    s1_tile, preload, ring = tuned(sizes, settings)
    return {**sizes, **settings, 's1_tile': s1_tile, 'qk_preload': preload, 'exp_ring': ring}


def shape(Sq, Sk):
    return {'Sq': Sq, 'Sk': Sk, 'D': HEAD}


def bad(name, says, tensors=None, **attributes):
    return BadInput(name, lambda: (tensors() if tensors else three(768, 128), attributes), CallError, says)


KEYS = ('Sk', 'D')
# What a developer kernel has no say in.
FROM_THE_COMPILER = {
    'cores': 'it has one block per 128 queries, whatever the number of cores',
    's1_tile': 'a tile of keys is one product wide',
    'qk_preload': 'how far the scores run ahead is the number of stages of the pipelined loop',
    'exp_ring': 'the compiler gives the factors as many slots as it has stages',
    'row_slice': 'each vector core takes half the rows of every tile',
    'gu_barrier': 'its barriers are the business of the compiler',
}

A3_4STAGE = Variant(
    name=NAME,
    row='flash_attn.a3_4stage',
    topology='cube->vec->cube->vec',
    formula='softmax(q @ k.T / sqrt(128)) @ v',
    kernel='a3_4stage',
    chips=('a3',),
    inputs=(Operand('q', ('Sq', 'D'), ('float16',)), Operand('k', KEYS, ('float16',)), Operand('v', KEYS, ('float16',))),
    attributes={'scale': None, 's1_tile': None, 'qk_preload': None, 'exp_ring': None, 'row_slice': True, 'gu_barrier': True, 'cores': None},
    reference=a3_4stage_reference,
    outputs=lambda s, a, t: (Output('o', (s['Sq'], s['D']), 'float32'),),
    attribute_types={'scale': float},
    policy=lambda dtype: 'allclose 1e-3/1e-3 + l2 1e-3',
    limits=a3_4stage_limits,
    twins='ulp 1/5e-4',
    # X5: the public kernel takes this barrier out; only a wait for the load of the product stands between the two.
    waivers=(Waiver('gu', ('row_expand_mul_experiment', 'add'), 'o_ub',
                    'without its barrier, gu rescales the sum and adds the product with nothing but the wait for the load in between'),),
    must_show=(
        # The computed totals, and one working tile of 32 KiB whatever its width.
        peak('C1.6', 'UB', 177 * KIB + 768, 'reuse', 'source-512'),
        peak('C1.6', 'UB', 178 * KIB, 'preload-4'),
        tiles('C1.6', 'reuse', s_ub=('UB', 'float32', 32, 256)),
        tiles('C1.6', 'source-512', s_ub=('UB', 'float32', 16, 512)),
        stages('C1.7', 'the cube core has a prologue, a steady loop and an epilogue', 'C', (3, 8, 3), 'reuse'),
        stages('C1.7', 'the vector cores have a prologue, a steady loop and an epilogue', 'V', (3, 8, 3), 'reuse'),
        # Three tiles of two products ahead, then product by product in turn, then the rest.
        products('C1.8', 'products run three tiles ahead, then in turn', {'k_l1': 'qk', 'v_l1': 'pv'},
                 ['qk'] * 6 + ['pv', 'qk'] * 16 + ['pv'] * 6, 'reuse'),
        waits('C1.9', 'the steady loop of the vector cores rescales the sum before it makes probabilities', 'V', 1, (PV_READY, QK_READY),
              'reuse', 'steady'),
        tiles('C1.11', 'reuse', workspace_qk=('GM', 'float32', 1, 8, 128, 256), workspace_pv=('GM', 'float32', 1, 8, 128, 128),
              workspace_p=('GM', 'float16', 1, 8, 128, 256)),
        in_flight('C1.11', 'a queue never holds more than eight tiles', ('AIC FIX', 's_l0', 2), ('AIV0 MTE2', 's_ub', 2), 8, 'reuse'),
        routes('C1.11', has=('L0C GM', 'GM UB', 'UB GM', 'GM L1'), never=('L0C UB', 'UB L1')),
        # The scale rides on the exponent: nothing that writes a maximum multiplies.
        writers('C1.12', ('top', 'new_top'), ('fill', 'max', 'copy', 'reduce')),
        sentinel('C0.26', -1e30),
        starts_afresh('C0.11'),
        overlap('row', 'AIC MTE2', 'AIC M', 0.6, 'steady'),
        overlap('row', 'AIV0 V', 'AIC M', 0.6, 'steady'),
        overlap('row', 'AIC FIX', 'AIV0 V', 0.6, 'steady'),
        kept_busy('row', 'AIV0 V', 0.6, 'steady'),
    ),
    war_cover='reverse_edge',
    arguments=arguments,
    forms={'developer': Form(FROM_THE_COMPILER,
                             {'source-512': 'it is about the width of a tile', 'preload-4': 'it is about the lookahead',
                              'without-gu-barrier': 'it is about a barrier written by hand'})},
    cases=(
        Case('minimum', 'minimum', shape(128, 768), {'cores': 1}),
        Case('source', 'source', shape(128, 768)),
        Case('source-256', 'source', shape(256, 1024)),
        Case('source-512', 'source', shape(128, 2048), {'s1_tile': 512}),
        Case('1024', 'source', shape(1024, 1024), slow=True),
        Case('2048', 'source', shape(2048, 2048), slow=True),
        Case('8192', 'source', shape(8192, 8192), slow=True),
        Case('preload-4', 'tail', shape(128, 1280), {'cores': 1, 'qk_preload': 4}),
        Case('without-gu-barrier', 'tail', shape(128, 1280), {'cores': 1, 'gu_barrier': False}),
        Case('scale', 'tail', shape(128, 1024), {'cores': 1, 'scale': 0.5}),
        Case('reuse', 'reuse', shape(128, 2816), {'cores': 1}),
        Case('items', 'reuse', shape(384, 768), {'cores': 1}),
        Case('steady', 'reuse', shape(512, 4096), {'cores': 1}),
        Case('idle', 'idle', shape(128, 768), {'cores': 3}),
        Case('uneven', 'uneven', shape(384, 1024), {'cores': 2}),
    ),
    timed=tuple(Case(str(n), 'source', shape(n, n)) for n in (4096, 16384, 32768, 65536, 131072)),
    bad=(
        bad('dtype', 'q is float32', lambda: (half(128, 128).float(), *three(768, 128)[1:])),
        bad('query-tail', 'Sq is 100', lambda: (half(100, 128), *three(768, 128)[1:])),
        bad('key-tail', 'Sk is 900', lambda: (half(128, 128), *three(900, 128)[1:])),
        bad('few-keys', 'Sk is 512', lambda: three(512, 128)),
        bad('few-keys-512', 'Sk is 1024', lambda: three(1024, 128), s1_tile=512),
        bad('head', 'D is 64', lambda: three(768, 64)),
        bad('tile', 's1_tile is 128', s1_tile=128),
        bad('preload', 'qk_preload is 2', qk_preload=2),
        bad('ring-smaller', 'exp_ring is 2 and qk_preload is 3', exp_ring=2),
        bad('ring-larger', 'exp_ring is 4 and qk_preload is 3', exp_ring=4),
        bad('whole-rows', '289.75 KiB of UB', row_slice=False),
        bad('whole-rows-512', '513.75 KiB of UB', lambda: three(1536, 128), row_slice=False, s1_tile=512),
        bad('causal', "no attribute 'causal'", causal=True),
        bad('heads', 'q has shape (1, 768, 128)', lambda: three(1, 768, 128)),
        bad('rank', 'q has shape (128,)', lambda: three(128)),
        bad('transposed', 'q is not contiguous', lambda: (half(128, 768).t(), *three(768, 128)[1:])),
        bad('keys-and-values', 'Sk is 768 before and 1024 in v', lambda: (half(128, 128), half(768, 128), half(1024, 128))),
        bad('scale', 'scale is 0', scale=0),
        bad('missing', 'takes 3 tensors', lambda: three(768, 128)[:2]),
    ),
)
