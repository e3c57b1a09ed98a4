"""float32 to the nearest HiF8 value, as float32."""

import math

import torch

from tiletwin.errors import CallError
from tiletwin.harness.claims import BOTH, instructions, of_program, overlap, tiles, uses
from tiletwin.harness.contract import BadInput, Case, Contract, Form, Operand, Output, Variant

FLT_MAX = torch.finfo(torch.float32).max
OVERFLOW = 40960.0  # 1.25 * 2^15: from here on, rounding leaves the largest finite value 2^15


def to_hif8(x, overflow):
    """The nearest of the HiF8 values, ties away from zero: fewer bits of mantissa the further the exponent is from zero."""
    size = x.double().abs()
    exponent = (torch.frexp(size)[1] - 1).clamp(min=-22)
    far = exponent.abs()
    bits = torch.where(far <= 3, 3, torch.where(far <= 7, 2, torch.where(far <= 15, 1, 0)))
    step = torch.pow(2.0, (exponent - bits).double())
    y = torch.floor(size / step + 0.5) * step * x.double().sign()
    y = torch.where(size < 2.0 ** -23, 0.0, y)
    y = torch.where(size >= OVERFLOW, overflow * x.double().sign(), y)
    return torch.where(x.isfinite(), y.float(), x)


def reference(overflow):
    return lambda x, **_: (to_hif8(x, overflow),)


def neighbours(value):
    one = torch.tensor(value)
    return [float(torch.nextafter(one, torch.tensor(0.0))), value, float(torch.nextafter(one, torch.tensor(math.inf)))]


SIZES = [0.0, *neighbours(2.0 ** -23), 1.0625, 7.5, 8.5, 127.5, 128.5, 32767.0, *neighbours(OVERFLOW), FLT_MAX, math.inf]
SIZES += [m * 2.0 ** e for e in (-22, -16, -15, -8, -7, -4, -3, 0, 3, 4, 7, 8, 15, 16) for m in (1.0, 1.5)]
EDGES = torch.tensor([math.nan, *SIZES, *(-v for v in SIZES)])  # 87 numbers
SCALES = {4645: 32.0, 4096: 1e-7, 21029: 1e4}  # by length: into the denormals, and past the overflow


def draw(shape, generator, *_):
    x = torch.randn(shape, generator=generator) * SCALES.get(shape[-1], 1.0)
    if shape[-1] == EDGES.numel():
        x[0] = EDGES
    elif shape[-1] > 512:
        # Every exponent, and some numbers that are none.
        some = x[0, ::7].shape
        x[0, ::7] = torch.exp2(torch.randint(-26, 20, some, generator=generator).float()) * (1 + torch.rand(some, generator=generator))
        x[0, 5::211], x[0, 6::223], x[0, 8::227] = math.nan, math.inf, -math.inf
    return x


def limits(name):
    def check(sizes, settings):
        if sizes['1'] != 1:
            raise CallError(f'{name}: x has {sizes["1"]} rows', why='the numbers form one row', instead='x.reshape(1, -1)')
    return check


def row(n):
    return {'1': 1, 'T': n}


def zeros(*shape):
    return torch.zeros(shape)


CASES = (
    Case('minimum', 'minimum', row(1), {'cores': 1}),
    Case('edges', 'source', row(87)),
    Case('source', 'source', row(512)),
    Case('source-wide', 'source', row(4645)),
    Case('source-tiny', 'source', row(4096)),
    Case('source-huge', 'source', row(21029)),
    Case('short', 'tail', row(31), {'cores': 1}),
    Case('tail', 'tail', row(257), {'cores': 1}),
    Case('reuse', 'reuse', row(9001), {'cores': 1}),
    Case('steady', 'reuse', row(131072), {'cores': 2}),
    Case('idle', 'idle', row(700), {'cores': 4}),
    Case('uneven', 'uneven', row(2600), {'cores': 2}),
)
BAD = (
    BadInput('dtype', lambda: ((zeros(1, 8).half(),), {}), CallError, 'x is float16'),
    BadInput('rank', lambda: ((zeros(8),), {}), CallError, 'x has shape (8,)'),
    BadInput('rows', lambda: ((zeros(2, 8),), {}), CallError, 'x has 2 rows'),
    BadInput('transposed', lambda: ((zeros(1, 16)[:, ::2],), {}), CallError, 'x is not contiguous'),
    BadInput('empty', lambda: ((zeros(1, 0),), {}), CallError, 'T is 0'),
    BadInput('missing', lambda: ((), {}), CallError, 'takes 1 tensors'),
    BadInput('attribute', lambda: ((zeros(1, 8),), {'overflow': 'nan'}), CallError, "no attribute 'overflow'"),
)


def guesses(p):
    """NaN is found by a comparison with a number: x != x is false of everything the vector unit compares."""
    compared = [s for s in instructions(p) if s.op.startswith('compare')]
    return 'a comparison of two tiles' if any(hasattr(s.args[2], 'buffer') for s in compared) else '' if compared else 'no comparison'


def roundings(p):
    found = [s.args[2] for s in instructions(p, 'cast')]
    return '' if found == ['CAST_TRUNC', 'CAST_RINT'] else ', '.join(found) or 'no cast'


SHOWS = (
    uses('C0.5', has=('bitwise_and', 'bitwise_not'), never=('ln', 'exp', 'pow', 'sqrt'), modes=BOTH),
    of_program('C0.4', 'numbers are rounded by a cast that truncates, after a half was added', roundings, modes=BOTH),
    of_program('C0.5', 'comparisons are with numbers', guesses, modes=BOTH),
    tiles('row', x=('UB', 'float32', 2, None), y=('UB', 'float32', 2, None), w=('UB', 'float32', 1, None)),
    overlap('row', 'AIV0 V', 'AIV0 MTE2', 0.6, 'steady'),
    overlap('row', 'AIV0 V', 'AIV0 MTE3', 0.6, 'steady'),
)


def variant(kind, overflow):
    name = f'hif8_quant.{kind}'
    return Variant(
        name=name, row='hif8_quant.sentinel', kernel=kind, chips=('a2',), inputs=(Operand('x', ('1', 'T'), ('float32',), draw),),
        topology='vec-only', formula='y = hif8(x)',
        attributes={'cores': None}, reference=reference(overflow), outputs=lambda s, a, t: (Output('y', (1, s['T']), 'float32'),),
        policy=lambda dtype: 'bitwise', limits=limits(name), must_show=SHOWS,
        arguments=lambda sizes, settings, dtypes: {'length': sizes['T'], **settings}, cases=CASES, bad=BAD,
        forms={'developer': Form({'cores': 'it has one block per tile, whatever the number of cores'})})


CONTRACT = Contract('hif8_quant', (variant('sentinel', FLT_MAX), variant('inf', math.inf)))
