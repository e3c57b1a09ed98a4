"""Addresses without memory planning: linear per memory, as the compiler assigns them by default (dialect 8.19, "off").

Annotated buffers keep their address. L1 and L0 tiles are bumped from 0 in order of first use and ignore annotated ones;
UB tiles start behind the largest annotated end. The compiler checks no limit here; this package does, per chip.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import Instr, Program, Region, Store, walk
from ..machine.chip import Chip, capacity_error


def first_use(program: Program) -> list[str]:
    """On-chip buffers in the order the program touches them, then the untouched ones."""
    order: dict[str, None] = {}

    def touch(name: str) -> None:
        root = program.root(name)[0]
        if root.space not in ('GM', 'VAR'):
            order.setdefault(root.name)

    def expr(e: E.Expr) -> None:
        for x in E.loads(e):
            touch(x.buffer)

    for s in walk(program.body):
        if isinstance(s, Instr):
            for a in s.args:
                if isinstance(a, Region):
                    touch(a.buffer)
                    for e in a.starts:
                        expr(e)
                elif not isinstance(a, str):
                    expr(a)
        elif isinstance(s, Store):
            expr(s.value)
            touch(s.buffer)
    for b in program.on_chip():
        if b.alias_of is None:
            order.setdefault(b.name)
    return list(order)


def _align(n: int, to: int = 32) -> int:
    return -(-n // to) * to


def assign_linear(program: Program) -> Program:
    buffers = dict(program.buffers)
    ends: dict[str, int] = {'UB': 0}
    for b in buffers.values():
        if b.annotated and b.space == 'UB':
            ends['UB'] = max(ends['UB'], _align(b.address + b.bytes))
    for name in first_use(program):
        b = buffers[name]
        if b.address is None and b.alias_of is None:
            buffers[name] = replace(b, address=ends.get(b.space, 0))
            ends[b.space] = ends.get(b.space, 0) + _align(b.bytes)
    return program.with_buffers(buffers)


def check_capacity(program: Program, chip: Chip) -> None:
    """Refuses a program whose tiles do not fit, with the byte map of the memory."""
    for space, memory in chip.memories.items():
        rows = [(b.name, b.address, b.bytes, b.span) for b in program.on_chip(space) if b.alias_of is None and b.address is not None]
        if any(address + size > memory.bytes for _, address, size, _ in rows):
            raise capacity_error(chip, space, rows)


def peak(program: Program) -> dict[str, int]:
    """Highest byte in use per memory."""
    out: dict[str, int] = {}
    for b in program.on_chip():
        if b.alias_of is None and b.address is not None:
            out[b.space] = max(out.get(b.space, 0), b.address + b.bytes)
    return out
