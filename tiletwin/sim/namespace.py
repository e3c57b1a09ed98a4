"""The names generated data code may use."""

from __future__ import annotations

import numpy as np
import torch

from .codegen import tdiv, tmod
from .memory import NARROW
from .numerics import broadcast, cast, compare, cube, debug, elementwise, fill, gather, interpolate, reduce, rounding, scalars, sort, transpose
from .scalars import SCALAR_FUNCTIONS
from .views import Clipped, Views, make, put_rows, rows_of


def view_at(flat, start: int, shape: tuple, strides: tuple, name: str, as_torch: bool):
    """A view whose size is only known now."""
    reach = 1 + sum((s - 1) * p for s, p in zip(shape, strides)) if all(shape) else 0
    return make(flat, start, shape, strides, reach, name, as_torch)


def put(out, value, dtype: str) -> None:
    """An array (or one scalar) of values into a view, as the stores of a T.Parallel nest do."""
    if isinstance(out, torch.Tensor):
        out.copy_(torch.from_numpy(np.array(np.broadcast_to(np.asarray(value, np.float32), tuple(out.shape)))))
    elif dtype in NARROW:
        np.copyto(out, rounding.rounded(value, dtype))
    elif out.dtype.kind == 'f':
        np.copyto(out, value, casting='same_kind')
    else:
        np.copyto(out, np.asarray(value), casting='unsafe')


def elements(flat, index: np.ndarray) -> np.ndarray:
    """Elements at computed positions."""
    if isinstance(flat, torch.Tensor):
        return flat[torch.from_numpy(np.ascontiguousarray(index))].to(torch.float32).numpy()
    return flat[index]


def _public(module, *names: str) -> dict:
    return {n: getattr(module, n) for n in names}


NAMES: dict = {
    **SCALAR_FUNCTIONS,
    **_public(np, 'add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum', 'absolute', 'exp', 'log', 'sqrt', 'sin', 'cos', 'reciprocal',
              'invert',
              'bitwise_and', 'bitwise_or', 'bitwise_xor', 'copyto', 'where', 'logical_and', 'logical_or', 'logical_not', 'arange', 'float32',
              'ndarray',
              'broadcast_to', 'asarray'),
    **_public(elementwise, 'int_div', 'reciprocal_of', 'reciprocals', 'rsqrt', 'sigmoid', 'sigmoid_pto', 'silu', 'silu_pto', 'leaky_relu', 'mul_add',
              'power', 'power_pto', 'round_away', 'shift_left', 'shift_right', 'clamp'),
    **_public(rounding, 'settle', 'rounded', 'half', 'bf16', 'wrap', 'scalar', 'store', 'array_to'),
    **_public(scalars, 'unary', 'cast', 'quotient', 'remainder'),
    **_public(compare, 'compare', 'select'),
    **_public(fill, 'progression', 'sort_buffer', 'fill_masked'),
    **_public(broadcast, 'expand_rows', 'block_broadcast'),
    **_public(reduce, 'reduce_axis', 'reduce_tile', 'whole_reduce', 'block_reduce', 'sum_masked', 'sum_rows', 'accumulate', 'lower', 'raised'),
    **_public(gather, 'gather', 'gather_pto', 'gather_blocks', 'mask_pattern', 'mask_indices', 'mask_indices_pto', 'mask_bits'),
    **_public(sort, 'sort32', 'sort', 'topk', 'merge_sort'),
    **_public(transpose, 'transpose', 'transpose_pto'),
    **_public(cube, 'mma_float', 'mma_int', 'gemm_sliced', 'slice_index'),
    **_public(debug, 'printf', 'dump'),
    'bilinear': interpolate.bilinear, 'convert': cast.convert, 'put': put, 'elements': elements,
    'mm': torch.mm, 'amax': torch.amax, 'amin': torch.amin, 'tsum': torch.sum, 'from_numpy': torch.from_numpy, 'float32_t': torch.float32,
    'tdiv': tdiv, 'tmod': tmod,
    'Views': Views, 'Clipped': Clipped, 'view_at': view_at, 'put_rows': put_rows, 'rows_of': rows_of,
}
