"""`T.tile`: the vector operations, and the atomic add."""

from __future__ import annotations

from ...errors import DialectNameError
from ..movement import atomic_add
from .elementwise import (
    abs, add, axpy, bitwise_and, bitwise_lshift, bitwise_not, bitwise_or, bitwise_rshift, bitwise_xor, clamp, clamp_max, clamp_min, cos, div, exp,
    leaky_relu,
    ln, max, min, mul, mul_add_dst, pow, reciprocal, relu, round, rsqrt, sigmoid, silu, sin, sqrt, sub,
)
from .gather import gather, gather_mask, gatherb, gathermask_experiment, transpose
from .generate import arith_progression, clear, createvecindex, fill, init_sort_buf
from .raw import (
    abs_experiment, bilinear_interpolation, block_reduce_max, block_reduce_min, block_reduce_sum, brcb_experiment,
    datacachecleanandinvalid_experiment,
    fill_experiment, mins_experiment, reduce_sum_experiment, reduce_sum_mask_experiment, row_expand_div_experiment, row_expand_mul,
    row_expand_mul_experiment,
    row_expand_sub_experiment, sub_experiment, sum_experiment, wholereducemax, wholereducemin, wholereducesum,
)
from .select import broadcast, cast, compare, select
from .sort import merge_sort, sort, sort32, topk

__all__ = [
    'abs', 'abs_experiment', 'add', 'arith_progression', 'atomic_add', 'axpy', 'bilinear_interpolation', 'bitwise_and', 'bitwise_lshift',
    'bitwise_not', 'bitwise_or',
    'bitwise_rshift', 'bitwise_xor', 'block_reduce_max', 'block_reduce_min', 'block_reduce_sum', 'brcb_experiment', 'broadcast', 'cast', 'clamp',
    'clamp_max', 'clamp_min',
    'clear', 'compare', 'cos', 'createvecindex', 'datacachecleanandinvalid_experiment', 'div', 'exp', 'fill', 'fill_experiment', 'gather',
    'gather_mask', 'gatherb',
    'gathermask_experiment', 'init_sort_buf', 'leaky_relu', 'ln', 'max', 'merge_sort', 'min', 'mins_experiment', 'mul', 'mul_add_dst', 'pow',
    'reciprocal',
    'reduce_sum_experiment', 'reduce_sum_mask_experiment', 'relu', 'round', 'row_expand_div_experiment', 'row_expand_mul',
    'row_expand_mul_experiment',
    'row_expand_sub_experiment', 'rsqrt', 'select', 'sigmoid', 'silu', 'sin', 'sort', 'sort32', 'sqrt', 'sub', 'sub_experiment', 'sum_experiment',
    'topk', 'transpose',
    'wholereducemax', 'wholereducemin', 'wholereducesum',
]

_NEAREST = {'log': 'ln', 'brcb': 'brcb_experiment', 'mod': 'sub', 'floor': 'cast with "CAST_FLOOR"', 'ceil': 'cast with "CAST_CEIL"',
            'neg': 'mul by -1.0', 'tanh': 'exp, add and div',
            'duplicate': 'fill', 'adds': 'add with a scalar', 'muls': 'mul with a scalar', 'reduce_sum': 'T.reduce_sum', 'reduce_max': 'T.reduce_max',
            'where': 'select'}


def __getattr__(name: str):
    if name.startswith('__'):
        raise AttributeError(name)
    import difflib

    near = _NEAREST.get(name) or ', '.join(difflib.get_close_matches(name, __all__, 3))
    raise DialectNameError(f'T.tile has no {name!r}', why='the dialect has no vector operation of this name', instead=near)
