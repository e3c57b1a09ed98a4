"""A kernel in the sound profile against the meaning of its source."""

from __future__ import annotations

import torch

from tiletwin.backends.simulator import forget, simulate
from tiletwin.ir.nodes import Program
from tiletwin.passes.context import KEYS
from tiletwin.passes.pipeline import lower
from tiletwin.sim.access import evaluate
from tiletwin.sim.options import Options

from .sequential import TORCH, interpret

ALL = {k: True for k in KEYS}


def tensors(program: Program, scalars: dict[str, int], zero: tuple[str, ...], seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    out = {}
    for b in program.tensors:
        shape = torch.Size(evaluate(d, scalars) for d in b.shape)
        if b.dtype == 'int32':  # row numbers
            values = torch.randperm(8, generator=g).repeat(shape.numel() // 8 + 1)[:shape.numel()].reshape(shape)
        else:
            values = torch.zeros(shape) if b.name in zero else torch.randint(-2, 3, shape, generator=g).float()
        out[b.name] = values.to(TORCH[b.dtype])
    return out


def launch(program: Program, scalars: dict[str, int], outputs: tuple[str, ...], configs=None, profile: str = 'sound', on: str = 'a3',
           lowered: Program | None = None):
    """(launch, tensors after it, tensors the source means)."""
    low = lowered or lower(program, ALL if configs is None else configs, profile=profile, chip=on)
    given = tensors(program, scalars, outputs)
    meant = interpret(program, given, scalars)
    got = {n: t.clone() for n, t in given.items()}
    auto = frozenset(low.attrs.get('auto_gm',
                                   ())) | {b.name for b in low.tensors if got.get(b.name) is not None and got[b.name].dim() != len(b.shape)}
    for name in auto:
        b = low.buffers[name]
        got[name] = torch.full(tuple(evaluate(d, scalars) for d in b.shape), float('nan')).to(TORCH[b.dtype])
    result = simulate(low, got, scalars, Options(chip=on, threads=1), auto)
    forget()
    return result, got, meant
