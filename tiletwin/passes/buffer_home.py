"""The innermost loop that holds every use of a buffer: where the compiler moves its allocation (PlanAndUpdateBufferAllocationLocation)."""

from __future__ import annotations

from ..ir.nodes import For, Program, Scope, Stmt, bodies
from .uses import touched


def homes(program: Program, body: tuple[Stmt, ...] | None = None) -> dict[str, Stmt]:
    """Buffer name -> that loop or scope; buffers used at the top level are missing."""
    paths: dict[str, tuple[Stmt, ...]] = {}

    def visit(block: tuple[Stmt, ...], path: tuple[Stmt, ...]) -> None:
        for s in block:
            for name in touched(s):
                old = paths.get(name)
                paths[name] = path if old is None else _common(old, path)
            inside = path + (s,) if isinstance(s, (For, Scope)) else path
            for b in bodies(s):
                visit(b, inside)

    visit(program.body if body is None else body, ())
    return {name: path[-1] for name, path in paths.items() if path}


def _common(a: tuple[Stmt, ...], b: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    n = 0
    while n < min(len(a), len(b)) and a[n] is b[n]:
        n += 1
    return a[:n]
