"""What the attention contracts have in common."""

import math

import torch

from tiletwin.errors import CallError


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


def three(*shape):
    return half(*shape), half(*shape), half(*shape)


def refuse_scale(name, scale):
    if scale is not None and not (isinstance(scale, (int, float)) and 0 < scale < float('inf')):
        raise CallError(f'{name}: scale is {scale!r}', why='the row maximum is taken before scaling', instead='a positive number')


def multiple(name, sizes, of, why):
    """Refuses a size that is no multiple of the number its name maps to."""
    for dim, step in of.items():
        if sizes[dim] % step:
            raise CallError(f'{name}: {dim} is {sizes[dim]}', why=why, instead=f'a multiple of {step}')


def softmax_attention(q, k, v, scale):
    """Direct softmax in float64; `scale` None is 1 / sqrt(D)."""
    q, k, v = q.double(), k.double(), v.double()
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    return torch.softmax(q @ k.transpose(-1, -2) * scale, -1) @ v
