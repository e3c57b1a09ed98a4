"""Runs instructions on UB tiles: every tile is loaded from GM before and stored after."""

from __future__ import annotations

import torch

from tests.sim.build import at, copy, gm, kernel, ub, vec
from tiletwin.sim.execute import DataEngine


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def run_ub(tiles: dict[str, torch.Tensor], body, target: str = 'ascendc', exact: bool = False, engine_only: bool = False):
    """`body(buffers) -> statements`. With `exact` a byte tile overlays all of UB, so that no tile can be a float32 shadow."""
    buffers, address = {}, 0
    for n, t in tiles.items():
        at = address if exact else None
        buffers[n] = ub(n, t.shape, name_of(t.dtype), address=at)
        address += -(-t.numel() * t.element_size() // 32) * 32
    outer = [ub('overlay', (address,), 'uint8', address=0)] if exact else []
    ins = {n: gm(f'in_{n}', (t.numel(),), name_of(t.dtype)) for n, t in tiles.items()}
    outs = {n: gm(f'out_{n}', (t.numel(),), name_of(t.dtype)) for n, t in tiles.items()}
    narrow = [n for n, t in tiles.items() if t.dtype in (torch.float16, torch.bfloat16)]
    wide = {n: ub(f'wide_{n}', (tiles[n].numel(),), address=(1 << 20) + (i << 16) if exact else None) for i, n in enumerate(narrow)}
    seen = {n: gm(f'seen_{n}', (tiles[n].numel(),)) for n in narrow}
    flat = {n: _flat(b) for n, b in buffers.items()}
    stmts = [*(copy(ins[n], flat[n]) for n in tiles), *body(buffers), *(copy(flat[n], outs[n]) for n in tiles),
             *(copy(flat[n], wide[n]) for n in narrow), *(copy(wide[n], seen[n]) for n in narrow)]
    program = kernel([*ins.values(), *outs.values(), *seen.values(), *buffers.values(), *wide.values(), *outer], [vec(*stmts)], form='threads1')
    engine = DataEngine(program, target)
    if engine_only:
        return engine
    given = {f'in_{n}': t.contiguous().view(-1) for n, t in tiles.items()}
    got = {f'out_{n}': torch.zeros(t.numel(), dtype=t.dtype) for n, t in tiles.items()}
    held = {f'seen_{n}': torch.zeros(tiles[n].numel()) for n in narrow}
    result = engine.run({**given, **got, **held})
    assert result.stuck == ()
    for n in narrow:  # a tile holds values of its dtype, not just rounds when stored
        same(held[f'seen_{n}'], got[f'out_{n}'].to(torch.float32))
    return {n: got[f'out_{n}'].view(t.shape) for n, t in tiles.items()}


def _flat(b):
    """The whole tile as one run of elements."""
    starts = [0] * len(b.shape)
    extents = [1] * (len(b.shape) - 1) + [b.elements]
    return at(b, starts, extents)


def data(seed: int, shape, dtype: torch.dtype, low: float = -4.0, high: float = 4.0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return (torch.rand(shape, generator=g, dtype=torch.float64) * (high - low) + low).to(dtype)
    info = torch.iinfo(dtype)
    lo, hi = max(info.min, -(1 << 40)), min(info.max, 1 << 40)
    return torch.randint(lo, hi, tuple(shape) if not isinstance(shape, int) else (shape,), generator=g, dtype=torch.int64).to(dtype)


def bits(t: torch.Tensor) -> torch.Tensor:
    return t.contiguous().view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[t.element_size()])


def same(got: torch.Tensor, want: torch.Tensor) -> None:
    """Equal values bit for bit, any NaN equal to any NaN."""
    assert got.dtype == want.dtype and got.shape == want.shape
    if got.dtype.is_floating_point:
        a, b = got.to(torch.float64), want.to(torch.float64)
        ok = (a == b) | (a.isnan() & b.isnan())
        assert ok.all(), f'{(~ok).sum().item()} differ, first: {a[~ok][:4].tolist()} wanted {b[~ok][:4].tolist()}'
    else:
        assert torch.equal(bits(got), bits(want)), (got[got != want][:4], want[got != want][:4]) if got.dtype not in (torch.uint16,
                                                                                                                      torch.uint32) else (got, want)


def within(got: torch.Tensor, want: torch.Tensor, ulps: float) -> None:
    """`want` is float64; the distance is counted in units of the last place of `got`'s type."""
    eps = torch.finfo(got.dtype).eps
    tiny = torch.finfo(got.dtype).smallest_normal
    unit = want.abs().clamp(min=tiny) * eps
    g = got.to(torch.float64)
    ok = ((g - want).abs() <= ulps * unit) | (g == want) | (g.isnan() & want.isnan())
    assert ok.all(), (g[~ok][:4], want[~ok][:4])
