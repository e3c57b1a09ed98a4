"""On-chip bridges between the cube and the vector cores of a block (a5 only): L0C -> UB and UB -> L1.

L0C -> UB goes to both vector cores. A UB tile with half the rows of the L0C tile receives its core's half (ROW_SPLIT of
the FIX pipe); one with all the rows receives the whole tile.
"""

from __future__ import annotations

from ...errors import DialectError
from ...ir.nodes import Instr, Region
from .operands import Operands


def bridge_rows(rows: int, tile_rows: int, vectors: int) -> list[int] | None:
    """First L0C row each vector core receives; None when the shapes allow neither form."""
    if tile_rows == rows:
        return [0] * vectors
    if tile_rows * vectors == rows:
        return [v * tile_rows for v in range(vectors)]
    return None


class Bridges(Operands):
    def l0c_to_ub(self, s: Instr, src: Region, dst: Region) -> None:
        a, b = self.buffer(src.buffer), self.buffer(dst.buffer)
        rows, cols = a.dims[-2:]
        tile_rows = self.static(dst.extents[-2], 'the rows of the UB tile') if len(dst.extents) > 1 else 1
        vectors = self.program.launch.vectors
        first = bridge_rows(rows, tile_rows, vectors)
        if first is None or self.static(dst.extents[-1], 'the columns of the UB tile') != cols:
            raise DialectError(f'{a.name} of {rows} rows does not fit {b.name} of {tile_rows} rows', where=s.span,
                               why='the FIX pipe writes the whole tile to both vector cores, or one half of the rows to each',
                               instead=f'a UB tile of {rows} or {rows // 2} rows and {cols} columns')
        start = self.expr(self.offset(dst))
        for v, row in enumerate(first):
            value = f'rows_of({self.flat(src.buffer)}, {self.expr(self.offset(src))} + {row * cols}, {tile_rows}, {cols}, {cols})'
            if s.attrs.get('relu'):
                value = f'maximum({value}, 0)'
            if a.dtype != b.dtype:
                value = f'array_to({value}, {b.dtype!r}, {a.dtype!r})'
            self.emit(f'put_rows({self.hoist(f"mem[{remote(dst.buffer, v)!r}]", "far")}, {start}, {b.dims[-1]}, {value})')

    def ub_to_l1(self, s: Instr, src: Region, dst: Region) -> None:
        a, b = self.buffer(src.buffer), self.buffer(dst.buffer)
        rows = self.static(src.extents[-2], 'the rows of the UB tile') if len(src.extents) > 1 else 1
        cols = self.static(src.extents[-1], 'the columns of the UB tile')
        value = f'rows_of({self.flat(src.buffer)}, {self.expr(self.offset(src))}, {rows}, {cols}, {a.dims[-1]})'
        if a.dtype != b.dtype:
            value = f'array_to({value}, {b.dtype!r}, {a.dtype!r})'
        self.emit(f'put_rows({self.flat(dst.buffer)}, {self.expr(self.offset(dst))}, {b.dims[-1]}, {value})')


def remote(buffer: str, vector: int) -> str:
    """Name under which the cube core finds a vector core's UB tile."""
    return f'{buffer}@AIV{vector}'
