"""Sizes and addresses of on-chip buffers: what each takes, whether all fit the chip, how much of each memory is in use."""

from __future__ import annotations

from ..ir.nodes import Buffer, Program
from ..machine.chip import Chip, capacity_error
from .liveness import lifetimes


def align(n: int, to: int = 32) -> int:
    return -(-n // to) * to


def footprint(b: Buffer) -> int:
    """Bytes the planner sets aside: whole 32-byte blocks, in UB for every row; a column is stored as a row."""
    if b.space == 'UB' and len(b.dims) > 1:
        cols = b.dims[-1]
        rows = b.elements // cols
        if cols == 1:
            rows, cols = 1, rows
        return rows * align(cols * b.es)
    return align(b.bytes)


def check_capacity(program: Program, chip: Chip) -> None:
    """Refuses a program whose tiles do not fit, with the byte map of the memory. The compiler checks this only when it plans."""
    for space, memory in chip.memories.items():
        placed = [b for b in program.on_chip(space) if b.alias_of is None and b.address is not None]
        if any(b.address + b.bytes > memory.bytes for b in placed):
            live = lifetimes(program)
            raise capacity_error(chip, space, [(b.name, b.address, b.bytes, b.span, live.get(b.name, 'never')) for b in placed])


def peak(program: Program) -> dict[str, int]:
    """Highest byte in use per memory."""
    out: dict[str, int] = {}
    for b in program.on_chip():
        if b.alias_of is None and b.address is not None:
            out[b.space] = max(out.get(b.space, 0), b.address + b.bytes)
    return out
