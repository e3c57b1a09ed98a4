"""Operators on the simulator against torch, alternating in one process."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any, Callable


@dataclass(frozen=True, slots=True)
class Ratio:
    name: str
    target: float
    ratio: float  # of a whole launch: analysis, generated code, data
    again: float  # of a launch whose analysis and generated code are kept
    engine_ms: float
    again_ms: float
    torch_ms: float
    verdict: str
    right: bool


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    target: float
    kernel: Callable[..., Any]
    inputs: tuple[Any, ...]
    reference: Callable[[], Any]  # the same maths in float32
    rtol: float


def subjects() -> list[Subject]:
    import torch

    from ops.expert.flash_attn import ws3
    from ops.expert.matmul import mkkn_gemm
    from ops.expert.softmax import softmax

    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2048, 2048, generator=g) for _ in range(2))
    q, k, v = (torch.randn(1, 8, 2048, 128, generator=g) for _ in range(3))
    x = torch.randn(4096, 4096, generator=g)
    af, bf, qf, kf, vf = (t.half().float() for t in (a, b, q, k, v))
    attention = torch.nn.functional.scaled_dot_product_attention
    return [
        Subject('GEMM 2048^3 f16, mma 128x256x64', 3.0, mkkn_gemm(2048, 2048, 2048), (a.half(), b.half()), lambda: af @ bf, 1e-3),
        Subject('flash attention B1 H8 S2048 D128 f16', 6.0, ws3(1, 8, 2048, 128), (q.half(), k.half(), v.half()),
                lambda: attention(qf, kf, vf), 1e-2),
        Subject('softmax 4096x4096 f32', 5.0, softmax(4096, 4096), (x,), lambda: torch.softmax(x, -1), 1e-4),
    ]


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return (time.perf_counter() - start) * 1e3, result


def measure(subject: Subject, rounds: int) -> Ratio:
    import torch

    import tiletwin
    from tiletwin.backends.simulator import forget

    launches: list[Any] = []
    whole, again, reference = [], [], []
    with tiletwin.observe(launches.append):
        out = subject.kernel(*subject.inputs)
        right = subject.reference()
        close = bool(torch.allclose(out.float(), right, rtol=subject.rtol, atol=subject.rtol))
        for _ in range(rounds):
            forget()
            whole.append(_timed(lambda: subject.kernel(*subject.inputs))[0])
            reference.append(_timed(subject.reference)[0])
            again.append(_timed(lambda: subject.kernel(*subject.inputs))[0])
            reference.append(_timed(subject.reference)[0])
    w, n, t = statistics.median(whole), statistics.median(again), statistics.median(reference)
    return Ratio(subject.name, subject.target, w / t, n / t, w, n, t, launches[-1].verdict.level, close)
