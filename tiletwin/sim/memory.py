"""Where the data of a simulated launch lives.

A tensor in GM stays in the caller's memory. On-chip tiles of 16- and 8-bit floats are kept as float32 `shadows` that hold
only values of the narrow type (rounded on every write), because arithmetic on the narrow type is far slower on a CPU.
Tiles that share bytes with a tile of another type cannot be shadows: they are `exact`, views of one byte array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..dtypes import dtype as dtype_of
from ..errors import CallError
from ..ir.nodes import Buffer, Program

POISON_BYTE = 0xA5
NARROW = ('float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2')


def torch_dtype(name: str) -> torch.dtype:
    return getattr(torch, name)


def numpy_dtype(name: str) -> np.dtype:
    """Type of the values in generated code: float32 stands for every narrow float."""
    if name in NARROW:
        return np.dtype(np.float32)
    return np.dtype(np.bool_ if name == 'bool' else name)


@dataclass(frozen=True, slots=True)
class Place:
    """One buffer: `arena` is its storage, `offset` its first element (shadow) or byte (exact or GM)."""

    name: str
    dtype: str
    elements: int
    arena: str
    offset: int
    exact: bool  # narrow floats in their own bits: a torch tensor; otherwise a numpy array


@dataclass(frozen=True, slots=True)
class Arena:
    """Storage shared by the buffers of one overlap group of one memory."""

    name: str
    space: str
    size: int  # elements of `dtype`, or bytes when dtype is None
    dtype: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    places: dict[str, Place]
    arenas: tuple[Arena, ...]


def plan(program: Program) -> Plan:
    """Decides which on-chip buffers share storage."""
    places: dict[str, Place] = {}
    arenas: list[Arena] = []
    for b in program.tensors:
        places[b.name] = Place(b.name, b.dtype, b.elements, b.name, 0, b.dtype in NARROW)
    spans: dict[str, list[tuple[int, int, Buffer]]] = {}
    loose = 1 << 40
    for b in program.buffers.values():
        if b.space == 'VAR' or b.name in places:
            continue
        root, offset = program.root(b.name)
        if root.space == 'GM':
            places[b.name] = Place(b.name, b.dtype, b.elements, root.name, offset, b.dtype in NARROW)
            continue
        base = root.address
        if base is None:
            base = loose + list(program.buffers).index(root.name) * (1 << 24)
        spans.setdefault(root.space, []).append((base + offset, base + offset + b.bytes, b))
    for space, rows in spans.items():
        rows.sort(key=lambda r: (r[0], r[1], r[2].name))
        group: list[tuple[int, int, Buffer]] = []
        end = -1
        for row in rows:
            if group and row[0] >= end:
                _close(space, group, places, arenas)
                group, end = [], -1
            group.append(row)
            end = max(end, row[1])
        if group:
            _close(space, group, places, arenas)
    return Plan(places, tuple(arenas))


def _close(space: str, group: list, places: dict[str, Place], arenas: list[Arena]) -> None:
    low, high = group[0][0], max(r[1] for r in group)
    dtypes = {b.dtype for _, _, b in group}
    name = f'{space}{len(arenas)}'
    es = group[0][2].es
    if len(dtypes) == 1 and all((start - low) % es == 0 for start, _, _ in group):
        arenas.append(Arena(name, space, -(-(high - low) // es), next(iter(dtypes))))
        for start, _, b in group:
            places[b.name] = Place(b.name, b.dtype, b.elements, name, (start - low) // es, False)
        return
    arenas.append(Arena(name, space, -(-(high - low) // 32) * 32, None))
    for start, _, b in group:
        places[b.name] = Place(b.name, b.dtype, b.elements, name, start - low, b.dtype in NARROW)


class Chip:
    """The on-chip memory of one core: a flat array (or exact torch tensor) per buffer."""

    def __init__(self, layout: Plan, spaces: tuple[str, ...]):
        self._raw: dict[str, np.ndarray] = {}
        self.flat: dict[str, np.ndarray | torch.Tensor] = {}
        for a in layout.arenas:
            if a.space in spaces:
                self._raw[a.name] = np.empty(a.size, np.uint8 if a.dtype is None else numpy_dtype(a.dtype))
        for p in layout.places.values():
            raw = self._raw.get(p.arena)
            if raw is None:
                continue
            if raw.dtype == np.uint8 and (p.exact or numpy_dtype(p.dtype) != np.uint8):
                size = p.elements * dtype_of(p.dtype).bytes
                piece = raw[p.offset:p.offset + size]
                self.flat[p.name] = torch.from_numpy(piece).view(torch_dtype(p.dtype)) if p.exact else piece.view(numpy_dtype(p.dtype))
            else:
                self.flat[p.name] = raw[p.offset:p.offset + p.elements]
        self.poison()

    def poison(self) -> None:
        """Floats become NaN, integers the 0xA5 pattern: what an uninitialised read must not look right with."""
        for raw in self._raw.values():
            if raw.dtype.kind == 'f':
                raw.fill(np.nan)
            else:
                raw.view(np.uint8).fill(POISON_BYTE)
        for flat in self.flat.values():
            if isinstance(flat, torch.Tensor):
                flat.fill_(float('nan'))
            elif flat.dtype.kind == 'f':
                flat.fill(np.nan)
            elif flat.dtype.kind == 'b':
                flat.fill(True)


def poison_tensor(t: torch.Tensor) -> None:
    if t.dtype.is_floating_point:
        t.fill_(float('nan'))
    elif t.dtype == torch.bool:
        t.fill_(True)
    else:
        t.view(-1).view(torch.uint8).fill_(POISON_BYTE)


def bind(program: Program, tensors: dict[str, torch.Tensor], poisoned: frozenset[str], layout: Plan) -> dict[str, np.ndarray | torch.Tensor]:
    """The flat view of every GM buffer, in the caller's own memory; refuses what the launch could not address."""
    flat: dict[str, torch.Tensor] = {}
    taken: list[tuple[int, int, str]] = []
    for b in program.tensors:
        t = tensors.get(b.name)
        if t is None:
            raise CallError(f'no tensor for the parameter {b.name}', where=b.span, instead='pass one tensor per parameter')
        if t.dtype != torch_dtype(b.dtype):
            raise CallError(f'{b.name} is {str(t.dtype).removeprefix("torch.")}, the kernel declares {b.dtype}', where=b.span,
                            instead=f'pass a {b.dtype} tensor')
        if not t.is_contiguous():
            raise CallError(f'{b.name} is not contiguous', where=b.span, why='a kernel addresses a tensor by its row-major offset',
                            instead=f'{b.name}.contiguous()')
        if t.numel() != b.elements:
            raise CallError(f'{b.name} has {t.numel()} elements, the kernel declares {b.dims}', where=b.span,
                            instead=f'pass a tensor of shape {b.dims}')
        lo, hi = t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()
        for other_lo, other_hi, name in taken:
            if lo < other_hi and other_lo < hi and (lo, hi) != (other_lo, other_hi):
                raise CallError(f'{b.name} and {name} are different views of the same memory', where=b.span,
                                why='the kernel may read one while it writes the other',
                                instead='pass one tensor twice, or two tensors that share no bytes')
        if hi > lo:
            taken.append((lo, hi, b.name))
        flat[b.name] = t.detach().view(-1)
    for name in sorted(poisoned):
        if name in flat:
            poison_tensor(flat[name])
    out: dict[str, np.ndarray | torch.Tensor] = {}
    for p in layout.places.values():
        if p.arena not in flat:
            continue
        t = flat[p.arena]
        if p.name != p.arena:
            size = p.elements * dtype_of(p.dtype).bytes
            t = t.view(torch.uint8)[p.offset:p.offset + size].view(torch_dtype(p.dtype))
        out[p.name] = t if p.exact else t.numpy()
    return out
