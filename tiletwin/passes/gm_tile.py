"""The 2-D view a copy has of a GM region (dialect 4.1.3), symbolically."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import expr as E
from .ranges import Known


@dataclass(frozen=True, slots=True)
class GmTile:
    valid_rows: E.Expr
    valid_cols: E.Expr
    pitch: E.Expr


def _one(e: E.Expr) -> bool:
    return E.int_value(e) == 1


def valid(size: E.Expr, at: E.Expr, extent: E.Expr, known: Known) -> E.Expr:
    """Elements of a dimension inside the tensor, clipped at its upper end."""
    left = E.sub(size, at)
    # The compiler proves a full tile from a condition only when that is the very condition.
    if known.at_least(E.sub(left, extent), 0, literally=True):
        return extent
    inside = left if known.at_least(left, 0) else E.emax(left, 0)
    return E.fold(E.Select(E.fold(E.Bin('<=', extent, left, 'bool')), extent, inside, 'int32'))


def gm_tile(shape: tuple[E.Expr, ...], starts: tuple[E.Expr, ...], extents: tuple[E.Expr, ...], known: Known) -> GmTile:
    rank = len(shape)
    pitch, d = shape[-1], rank - 2
    while d >= 0 and _one(extents[d]):
        pitch = E.mul(pitch, shape[d])
        d -= 1
    cols = valid(shape[-1], starts[-1], extents[-1], known)
    if rank == 1:
        return GmTile(E.Const(1), cols, pitch)
    active = [d for d in range(rank) if not _one(extents[d])]
    if not active or active[-1] != rank - 1:
        active.append(rank - 1)
    row = active[-2] if len(active) > 1 else rank - 2
    return GmTile(valid(shape[row], starts[row], extents[row], known), cols, pitch)
