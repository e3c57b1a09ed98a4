"""int8 activations times int4 weights."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import BOTH, overlap, routes, shared_rows, whole_blocks
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant


def unpack(packed):
    """[N, K/2] bytes -> [N, K] numbers: the low nibble stands first, both are two's complement."""
    nibbles = torch.stack((packed & 15, packed >> 4), -1).flatten(-2).to(torch.int32)
    return torch.where(nibbles >= 8, nibbles - 16, nibbles)


def reference(a, packed, **_):
    # Sums of products of at most 128 * 8: exact in float64.
    return ((a.double() @ unpack(packed).double().T).to(torch.int32),)


def int8(shape, generator, *_):
    return torch.randint(-128, 128, shape, generator=generator)


def nibbles(shape, generator, *_):
    return torch.randint(0, 256, shape, generator=generator)


def limits(name, longest):
    def check(sizes, settings):
        N, half = sizes['N'], sizes['K/2']
        if N % 16:
            raise CallError(f'{name}: N is {N}', why='a step of B is at least one fractal of 16 rows, half of them per vector core',
                            instead='B_packed padded to a multiple of 16 rows')
        if half % 32:
            raise CallError(f'{name}: K is {2 * half}', why='packed rows are cut into whole 32-byte blocks, 64 numbers each',
                            instead='a multiple of 64: zeros in A make any padding of B vanish')
        if sizes['K'] != 2 * half:
            raise CallError(f'{name}: K is {sizes["K"]} in A and {2 * half} in B_packed', why='a byte of B_packed holds two numbers of K')
        if longest and 2 * half > longest:
            raise CallError(f'{name}: K is {2 * half}', why=f'sixteen unpacked rows stay in L1, at most {longest} numbers each',
                            instead="tiletwin.operator('w4a8_gemm.workspace_vid')")
        block = settings['block_N']
        if block is not None and (not isinstance(block, int) or block < 16 or block % 16 or N % block or block > 128):
            raise CallError(f'{name}: block_N is {block!r}', why='L0B and L0C are made of fractals of 16',
                            instead='a multiple of 16 up to 128 that divides N')
    return check


L1_BYTES, UB_BYTES = 524032, 196352  # what the compiler lays tiles out in
DEVELOPER_BLOCK = 16  # rows of B, unless block_N says otherwise


def whole_rows(sizes, settings):
    """The developer form unpacks all of K at once: rows of A and B in L1, and on each vector core half a block as bytes, halves and words."""
    block = settings['block_N'] or DEVELOPER_BLOCK
    longest = min(L1_BYTES // (64 + block), 4 * UB_BYTES // (7 * block)) // 64 * 64
    if sizes['K'] > longest:
        raise CallError(f'w4a8_gemm.vid_eliminated: K is {sizes["K"]} for the developer form', instead="tiletwin.operator('w4a8_gemm.workspace_vid')",
                        why=f'in a loop over K nothing keeps the next rows off the workspace; whole rows of {block} fit up to {longest} numbers')


def arguments(sizes, settings, dtypes):
    return {'M': sizes['M'], 'N': sizes['N'], 'K': sizes['K'], **settings}


def mnk(M, N, K):
    return {'M': M, 'N': N, 'K': K, 'K/2': K // 2}


def pair(M=16, N=16, K=64, packed=None):
    return (torch.zeros(M, K, dtype=torch.int8), torch.zeros(N, K // 2 if packed is None else packed, dtype=torch.uint8))


CASES = (
    Case('minimum', 'minimum', mnk(1, 16, 64), {'cores': 1}),
    Case('source', 'source', mnk(64, 64, 256)),
    Case('source-128', 'source', mnk(128, 128, 512)),
    Case('source-256', 'source', mnk(256, 256, 1024)),
    Case('large', 'source', mnk(512, 1024, 2048), slow=True),
    Case('tail-m', 'tail', mnk(200, 48, 320), {'cores': 2}),
    Case('tail-k', 'tail', mnk(33, 32, 832), {'cores': 2}),
    Case('reuse', 'reuse', mnk(300, 64, 1536), {'cores': 1}),
    Case('steady', 'reuse', mnk(512, 512, 1024), {'cores': 2}),
    # The vector cores unpack faster than the cube multiplies: without back-pressure they run away from it.
    Case('many-blocks', 'reuse', mnk(512, 384, 128), {'cores': 1, 'block_N': 16}),
    Case('wide-blocks', 'reuse', mnk(160, 256, 512), {'cores': 2}),
    Case('idle', 'idle', mnk(64, 32, 256), {'cores': 4}),
    Case('uneven', 'uneven', mnk(64, 48, 256), {'cores': 2}),
)


SHOWS = (
    shared_rows('C4.22', modes=BOTH),
    whole_blocks('C4.23', modes=BOTH),
    routes('row', has=('UB GM', 'GM L1'), never=('UB L1',), modes=BOTH),
    # Loads of A and of unpacked rows of B run under the products of those before them.
    overlap('row', 'AIC MTE2', 'AIC M', 0.6, 'steady'),
)


def variant(name, longest, cover, fallback='', developer=None):
    full = f'w4a8_gemm.{name}'
    bad = (
        BadInput('dtype', lambda: ((pair()[0].int(), pair()[1]), {}), CallError, 'A is int32'),
        BadInput('signed', lambda: ((pair()[0], pair()[1].view(torch.int8)), {}), CallError, 'B_packed is int8'),
        BadInput('rank', lambda: ((pair()[0][None], pair()[1]), {}), CallError, 'A has shape (1, 16, 64)'),
        BadInput('transposed', lambda: ((pair()[0], torch.zeros(32, 16, dtype=torch.uint8).t()), {}), CallError, 'B_packed is not contiguous'),
        BadInput('missing', lambda: (pair()[:1], {}), CallError, 'takes 2 tensors'),
        BadInput('N', lambda: (pair(N=24), {}), CallError, 'N is 24'),
        BadInput('K', lambda: (pair(K=96), {}), CallError, 'K is 96'),
        BadInput('contraction', lambda: (pair(packed=64), {}), CallError, 'K is 64 in A and 128 in B_packed'),
        BadInput('block-8', lambda: (pair(), {'block_N': 8}), CallError, 'block_N is 8'),
        BadInput('attribute', lambda: (pair(), {'bias': 1}), CallError, "no attribute 'bias'"),
    )
    if longest:
        bad += (BadInput('too-long', lambda: (pair(K=2 * longest), {}), CallError, f'K is {2 * longest}'),
                BadInput('too-long-for-developer', lambda: (pair(K=6592), {'mode': 'developer'}), CallError, 'K is 6592 for the developer form'),
                BadInput('too-long-in-blocks', lambda: (pair(N=64, K=1792), {'mode': 'developer', 'block_N': 64}), CallError, 'up to 1728 numbers'))
    return Variant(name=full, row='w4a8_gemm', kernel=name, chips=('a2', 'a3', 'a5'),
                   topology='vec->cube', formula='C = A @ unpack_w4(B).T',
                   inputs=(Operand('A', ('M', 'K'), ('int8',), int8), Operand('B_packed', ('N', 'K/2'), ('uint8',), nibbles)),
                   attributes={'block_N': None, 'cores': None}, reference=reference, policy=lambda dtype: 'bitwise',
                   outputs=lambda s, a, t: (Output('C', (s['M'], s['N']), 'int32'),),
                   limits=limits(full, longest), arguments=arguments, cases=CASES, bad=bad,
                   war_cover=cover, fallback_reason=fallback, must_show=SHOWS,
                   forms={'developer': Form({'cores': 'its blocks are those of the result, whatever the number of cores'}, limits=developer)})


CONTRACT = Contract('w4a8_gemm', (variant('workspace_vid', 0, 'slots>=trips', 'multi_version'),
                                  variant('vid_eliminated', 16384, 'single_shot', developer=whole_rows)))
