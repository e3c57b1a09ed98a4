"""Row softmax."""

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import BOTH, operands, overlap, uses
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant

FLOATS = ('float32', 'float16', 'bfloat16')
# The row of UB the base variant needs, and what UB holds (20 or 16 bytes per element, 1 KiB aside).
LONGEST = {'float32': 9760, 'float16': 12192, 'bfloat16': 12192}


def reference(x, **_):
    return (torch.softmax(x.double(), -1).to(x.dtype),)


def policy(dtype):
    return {'float32': 'allclose 1e-4/1e-4 + l2 1e-5', 'float16': 'allclose 1e-2/1e-3 + l2 2e-3', 'bfloat16': 'allclose 1e-2/1e-3 + l2 5e-3'}[dtype]


def draw(shape, generator):
    """Rows whose maximum moves: an online softmax that forgets to rescale would pass on rows of equal spread."""
    x = torch.randn(shape, generator=generator)
    return x * 2.0 + torch.linspace(-3.0, 3.0, shape[-1])


def arguments(variant):
    def of(sizes, settings, dtypes):
        (dtype,) = dtypes
        if variant == 'base' and sizes['N'] > LONGEST[dtype]:
            raise CallError(f'softmax: a row of {sizes["N"]} {dtype} elements',
                            why=f'the base variant keeps whole rows in UB, at most {LONGEST[dtype]}',
                            instead="tiletwin.operator('softmax.online')")
        return {**sizes, **settings, 'dtype': dtype, 'variant': variant}
    return of


SHOWS = (
    # Mixed mode: primitives by hand, synchronisation by the passes.
    uses('C4.4', has=('reduce', 'exp', 'set_flag', 'wait_flag'), modes=('developer',)),
    operands('row', 'float32', 'exp', 'reduce', cases=('source-half', 'source-bf16', 'tail-half'), modes=BOTH),
    overlap('row', 'AIV0 V', 'AIV0 MTE2', 0.6, 'steady'),
)


def variant(name, kind, cases, bad):
    return Variant(name=name, row='softmax', kernel='softmax', chips=('a2', 'a3', 'a5'), inputs=(Operand('x', ('M', 'N'), FLOATS),),
                   topology='vec-only', formula='softmax(x, -1)',
                   attributes={'cores': None}, reference=reference, outputs=lambda s, a, t: (Output('y', (s['M'], s['N']), t[0]),), policy=policy,
                   arguments=arguments(kind), draw=draw, cases=cases, bad=bad, must_show=SHOWS,
                   # The developer form divides by a scalar, which is a product with its reciprocal; and its tiles of N are others.
                   twins='ulp 8' if kind == 'online' else 'ulp 1',
                   forms={'developer': Form({'cores': 'it has one block per tile of rows, whatever the number of cores'})})


def mn(M, N):
    return {'M': M, 'N': N}


COMMON_BAD = (
    BadInput('dtype', lambda: ((torch.zeros(4, 8, dtype=torch.int32),), {}), CallError, 'x is int32'),
    BadInput('rank', lambda: ((torch.zeros(8),), {}), CallError, 'x has shape (8,)'),
    BadInput('transposed', lambda: ((torch.zeros(8, 4).t(),), {}), CallError, 'x is not contiguous'),
    BadInput('empty', lambda: ((torch.zeros(4, 0),), {}), CallError, 'N is 0'),
    BadInput('missing', lambda: ((), {}), CallError, 'takes 1 tensors'),
    BadInput('attribute', lambda: ((torch.zeros(4, 8),), {'dim': 0}), CallError, "no attribute 'dim'"),
)

BASE = variant('softmax', 'base', (
    Case('minimum', 'minimum', mn(1, 1), {'cores': 1}),
    Case('source', 'source', mn(34, 130)),
    Case('source-half', 'source', mn(34, 130), dtypes=('float16',)),
    Case('source-bf16', 'source', mn(34, 130), dtypes=('bfloat16',)),
    Case('square', 'source', mn(4096, 4096), slow=True),
    Case('tail', 'tail', mn(67, 1001), {'cores': 2}),
    Case('tail-half', 'tail', mn(67, 1001), {'cores': 2}, dtypes=('float16',)),
    Case('reuse', 'reuse', mn(37, 2048), {'cores': 1}),
    Case('reuse-half', 'reuse', mn(70, 2048), {'cores': 1}, dtypes=('float16',)),
    Case('steady', 'reuse', mn(96, 4096), {'cores': 2}),
    Case('idle', 'idle', mn(3, 64), {'cores': 4}),
    Case('uneven', 'uneven', mn(21, 4096), {'cores': 2}),
), COMMON_BAD + (
    BadInput('too-long', lambda: ((torch.zeros(2, 51200),), {}), CallError, 'a row of 51200 float32 elements'),
))

ONLINE = variant('softmax.online', 'online', (
    Case('minimum', 'minimum', mn(1, 1), {'cores': 1}),
    Case('source', 'source', mn(1024, 51200), slow=True),
    Case('source-half', 'source', mn(1024, 51200), dtypes=('float16',), slow=True),
    Case('source-bf16', 'source', mn(1024, 51200), dtypes=('bfloat16',), slow=True),
    Case('long-rows', 'source', mn(16, 51200)),
    Case('tail', 'tail', mn(13, 4321), {'cores': 2}),
    Case('tail-half', 'tail', mn(13, 4321), {'cores': 2}, dtypes=('float16',)),
    Case('tail-bf16', 'tail', mn(13, 4321), {'cores': 2}, dtypes=('bfloat16',)),
    Case('reuse', 'reuse', mn(26, 3900), {'cores': 1}),
    Case('one-tile', 'reuse', mn(30, 100), {'cores': 1}),
    Case('steady', 'reuse', mn(16, 20480), {'cores': 2}),
    Case('idle', 'idle', mn(3, 2560), {'cores': 4}),
    Case('uneven', 'uneven', mn(20, 2000), {'cores': 2}),
), COMMON_BAD)

CONTRACT = Contract('softmax', (BASE, ONLINE))
