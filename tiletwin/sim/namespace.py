"""The names generated data code may use."""

from __future__ import annotations

import numpy as np
import torch

from .codegen import tdiv, tmod
from .numerics import broadcast, cast, compare, cube, debug, elementwise, fill, gather, interpolate, reduce, rounding, scalars, sort, transpose
from .views import Clipped, Views, make, put_rows, rows_of


def view_at(flat, start: int, shape: tuple, strides: tuple, name: str, as_torch: bool):
    """A view whose size is only known now."""
    reach = 1 + sum((s - 1) * p for s, p in zip(shape, strides)) if all(shape) else 0
    return make(flat, start, shape, strides, reach, name, as_torch)


def _public(module, *names: str) -> dict:
    return {n: getattr(module, n) for n in names}


NAMES: dict = {
    **_public(np, 'add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum', 'absolute', 'exp', 'log', 'sqrt', 'sin', 'cos', 'reciprocal', 'invert',
              'bitwise_and', 'bitwise_or', 'bitwise_xor', 'copyto', 'where', 'logical_and', 'logical_or', 'logical_not', 'arange', 'float32', 'ndarray',
              'broadcast_to', 'asarray'),
    **_public(elementwise, 'int_div', 'reciprocal_of', 'reciprocals', 'rsqrt', 'sigmoid', 'sigmoid_pto', 'silu', 'silu_pto', 'leaky_relu', 'axpy', 'mul_add',
              'power', 'power_pto', 'round_away', 'shift_left', 'shift_right', 'clamp'),
    **_public(rounding, 'settle', 'rounded', 'half', 'bf16', 'wrap', 'scalar', 'store', 'array_to'),
    **_public(scalars, 'unary', 'control_unary', 'cast', 'quotient', 'remainder'),
    **_public(compare, 'compare', 'select'),
    **_public(fill, 'progression', 'sort_buffer', 'fill_masked'),
    **_public(broadcast, 'expand_rows', 'block_broadcast'),
    **_public(reduce, 'reduce_rows', 'reduce_columns', 'reduce_tile', 'whole_reduce', 'block_reduce', 'sum_masked', 'sum_rows', 'accumulate', 'lower', 'raised'),
    **_public(gather, 'gather', 'gather_pto', 'gather_blocks', 'mask_pattern', 'mask_indices', 'mask_indices_pto', 'mask_bits'),
    **_public(sort, 'sort32', 'sort', 'topk', 'merge_sort'),
    **_public(transpose, 'transpose', 'transpose_pto'),
    **_public(cube, 'mma_float', 'mma_int'),
    **_public(debug, 'printf', 'dump'),
    'bilinear': interpolate.bilinear, 'convert': cast.convert, 'f_swizzle': scalars.swizzle, 'f_cast': scalars.control_cast, 'pow': pow,
    'mm': torch.mm, 'from_numpy': torch.from_numpy, 'float32_t': torch.float32, 'tdiv': tdiv, 'tmod': tmod,
    'Views': Views, 'Clipped': Clipped, 'view_at': view_at, 'put_rows': put_rows, 'rows_of': rows_of,
}
