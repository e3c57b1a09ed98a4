"""Scalar functions that generated control code may call."""

from __future__ import annotations

import math


def swizzle(cid: int, rows: int, cols: int, off: int, direction: int) -> int:
    """Block order of `T.use_swizzle` on AscendC: catlass' identity swizzle over `rows` x `cols` tiles (dialect 2.3)."""
    if direction == 1:
        rows, cols = cols, rows
    group, rest = divmod(cid, off * cols)
    height = min(off, rows - off * group)
    major, minor = group * off + rest % height, rest // height
    if group % 2:
        minor = cols - 1 - minor
    return minor * rows + major if direction == 1 else major * cols + minor


def half_away(x: float) -> int:
    """To the nearest integer, halves away from zero, as C's round."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def cast(dtype: str, value):
    if 'int' in dtype:
        return int(value)
    if dtype == 'bool':
        return bool(value)
    if dtype == 'float32':
        import numpy as np

        return float(np.float32(value))
    return float(value)


def reinterpret(source: str, to: str, value):
    """The same bits as another type of the same size."""
    import torch

    return torch.tensor([value], dtype=getattr(torch, source)).view(getattr(torch, to)).item()


SCALAR_FUNCTIONS = {
    'f_reinterpret': reinterpret,
    'f_swizzle': swizzle, 'f_cast': cast, 'f_abs': abs, 'f_exp': math.exp, 'f_log': math.log, 'f_sqrt': math.sqrt,
    'f_rsqrt': lambda x: 1.0 / math.sqrt(x), 'f_sin': math.sin, 'f_cos': math.cos, 'f_tanh': math.tanh, 'f_floor': math.floor,
    'f_ceil': math.ceil, 'f_round': half_away, 'f_trunc': math.trunc, 'f_sigmoid': lambda x: 1.0 / (1.0 + math.exp(-x)), 'pow': pow,
}
