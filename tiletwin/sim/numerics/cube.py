"""Matrix multiplication on the cube core: float32 or int32 accumulation."""

from __future__ import annotations

import torch

# products of int8 values summed over this many terms stay exact in float32
_EXACT_K = 1024


def mma_float(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, init) -> None:
    if init:
        torch.mm(a, b, out=c)
    else:
        c.addmm_(a, b)


def mma_int(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, init) -> None:
    """int8 operands, int32 accumulator that wraps."""
    if init:
        c.zero_()
    fa, fb = a.to(torch.float32), b.to(torch.float32)
    for k in range(0, fa.shape[1], _EXACT_K):
        c.add_(torch.mm(fa[:, k:k + _EXACT_K], fb[k:k + _EXACT_K]).to(torch.int64).to(torch.int32))
