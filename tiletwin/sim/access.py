"""Which bytes an instruction touches, once its scalars are known.

A `Span2D` is `rows` runs of `row_bytes`, `pitch` bytes apart, in one memory. On-chip memories are addressed from their
start, GM per tensor. Copies are rectangles (dialect 4.1), vector operands are contiguous runs (dialect 5.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..ir import expr as E
from ..ir.nodes import Buffer, Program, Region
from .scalars import SCALAR_FUNCTIONS


class Span2D(NamedTuple):
    memory: str  # 'UB', 'L1', 'L0A', 'L0B', 'L0C', 'GM:<tensor>', or 'UB@AIV1', 'L1@AIC' of another core of the block
    start: int
    rows: int
    row_bytes: int
    pitch: int

    @property
    def stop(self) -> int:
        return self.start + (self.rows - 1) * self.pitch + self.row_bytes

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes


class Access(NamedTuple):
    span: Span2D
    mode: str  # 'r' read, 'w' write, 'm' read and write, 'a' atomic accumulate
    buffer: str


class Fault(NamedTuple):
    """A memcheck complaint about one operand."""

    word: str  # 'oob' or 'misaligned'
    message: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rect:
    """A Region with integer starts and extents."""

    buffer: Buffer
    starts: tuple[int, ...]
    extents: tuple[int, ...]
    form: str
    literal_zero: bool  # every start is the literal 0 in the source

    @property
    def count(self) -> int:
        n = 1
        for e in self.extents:
            n *= e
        return n


class GmTile(NamedTuple):
    """The 2-D view a copy has of a GM region (dialect 4.1.3)."""

    start: int  # elements
    rows: int  # as asked for
    cols: int
    valid_rows: int  # inside the tensor
    valid_cols: int
    pitch: int  # elements between rows
    outside: str  # '' or what leaves the tensor and is not clipped


def gm_tile(name: str, shape: tuple[int, ...], starts: tuple[int, ...], extents: tuple[int, ...]) -> GmTile:
    rank = len(shape)
    if rank == 1:
        row, col = None, 0
    else:
        active = [d for d in range(rank) if extents[d] != 1]
        if not active or active[-1] != rank - 1:
            active.append(rank - 1)
        if len(active) == 1:
            active.insert(0, rank - 2)
        row, col = active[-2], active[-1]
    valid = [e if s - m >= e else max(s - m, 0) for m, e, s in zip(starts, extents, shape)]
    pitch, d = shape[-1], rank - 2
    while d >= 0 and extents[d] == 1:
        pitch *= shape[d]
        d -= 1
    flat = 0
    for m, s in zip(starts, shape):
        flat = flat * s + m
    outside = ''
    for d in range(rank):
        if starts[d] < 0:
            outside = f'{name} starts at {starts[d]} in dim {d}'
        elif d not in (row, col) and starts[d] + extents[d] > shape[d]:
            outside = f'{name}[{starts[d]}:{starts[d] + extents[d]}] leaves dim {d} of extent {shape[d]}'
    return GmTile(flat, extents[row] if row is not None else 1, extents[col], valid[row] if row is not None else 1, valid[col], pitch, outside)


class Geometry:
    """Byte addresses of operands for one Program with its symbolic sizes bound."""

    def __init__(self, program: Program, scalars: dict[str, int]):
        self.program = program
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.base: dict[str, int] = {}
        self.memory: dict[str, str] = {}
        for b in program.buffers.values():
            self.shapes[b.name] = tuple(evaluate(d, scalars) for d in b.shape)
            root, offset = program.root(b.name)
            self.base[b.name] = (root.address or 0) + offset if root.space != 'GM' else offset
            self.memory[b.name] = f'GM:{root.name}' if root.space == 'GM' else root.space
        self.limit = {b.name: self._root_bytes(b.name) for b in program.buffers.values()}

    def _root_bytes(self, name: str) -> int:
        root, _ = self.program.root(name)
        n = root.es
        for d in self.shapes[root.name]:
            n *= d
        return n

    def elements(self, name: str) -> int:
        n = 1
        for d in self.shapes[name]:
            n *= d
        return n

    def rect(self, r: Region, values: dict) -> Rect:
        starts = tuple(_int(e, values) for e in r.starts)
        extents = tuple(_int(e, values) for e in r.extents)
        literal = all(isinstance(e, E.Const) and e.value == 0 for e in r.starts)
        return Rect(self.program.buffers[r.buffer], starts, extents, r.form, literal)

    def flat(self, r: Rect) -> int:
        """Element offset of the region's start."""
        off = 0
        for m, s in zip(r.starts, self.shapes[r.buffer.name]):
            off = off * s + m
        return off

    def run(self, r: Rect, count: int | None = None, offset: int = 0, es: int | None = None) -> Span2D:
        """The contiguous run a vector operand denotes."""
        es = es or r.buffer.es
        n = r.count if count is None else count
        start = self.base[r.buffer.name] + self.flat(r) * r.buffer.es + offset * es
        return Span2D(self.memory[r.buffer.name], start, 1, n * es, n * es)

    def element(self, b: Buffer, at: int) -> Span2D:
        """One element by its flat index."""
        return Span2D(self.memory[b.name], self.base[b.name] + at * b.es, 1, b.es, b.es)

    def strided(self, r: Rect, rows: int, row_bytes: int, pitch: int, offset: int = 0) -> Span2D:
        start = self.base[r.buffer.name] + self.flat(r) * r.buffer.es + offset
        if rows > 1 and pitch == row_bytes:
            rows, row_bytes, pitch = 1, rows * row_bytes, rows * row_bytes
        return Span2D(self.memory[r.buffer.name], start, rows, row_bytes, pitch if rows > 1 else row_bytes)

    def l1_tile(self, r: Rect, rows: int, cols: int) -> Span2D:
        """`rows` x `cols` from the region's start in a zN tile: one run per 32-byte column panel."""
        shape = self.shapes[r.buffer.name]
        c0 = r.buffer.dtype and 32 // r.buffer.es
        height = shape[-2] if len(shape) > 1 else 1
        panel = -(-height // 16) * 16 * 32
        if height * shape[-1] * r.buffer.es < panel * -(-shape[-1] // c0):
            panel = height * 32  # tiles lower than a fractal keep the declared footprint
        slot = 0
        for m, s in zip(r.starts[:-2], shape[:-2]):
            slot = slot * s + m
        i, j = (r.starts[-2] if len(shape) > 1 else 0), r.starts[-1]
        start = self.base[r.buffer.name] + slot * height * shape[-1] * r.buffer.es + (j // c0) * panel + i * 32
        panels = max(1, -(-cols // c0))
        if rows * 32 == panel or panels == 1:
            n = panels * rows * 32
            return Span2D('L1', start, 1, n, n)
        return Span2D('L1', start, panels, rows * 32, panel)

    def gm(self, r: Rect) -> GmTile:
        return gm_tile(r.buffer.name, self.shapes[r.buffer.name], r.starts, r.extents)

    def gm_span(self, r: Rect, t: GmTile, rows: int, cols: int) -> Span2D:
        es = r.buffer.es
        start = self.base[r.buffer.name] + t.start * es
        rows, cols = max(rows, 1), max(cols, 1)
        if rows > 1 and t.pitch == cols:
            rows, cols = 1, rows * cols
        return Span2D(self.memory[r.buffer.name], start, rows, cols * es, t.pitch * es if rows > 1 else cols * es)

    def outside(self, span: Span2D, name: str) -> Fault | None:
        """The span leaves the bytes of the buffer it names."""
        lo = self.base[name] - (self.program.buffers[name].alias_offset if self.program.buffers[name].alias_of else 0)
        hi = lo + self.limit[name]
        if span.start >= lo and span.stop <= hi:
            return None
        over = max(span.stop - hi, lo - span.start)
        b = self.program.buffers[name]
        size = 'x'.join(map(str, self.shapes[name]))
        return Fault('oob', f'access of {span.bytes} bytes leaves {name} ({b.space} {b.dtype}[{size}]) by {over} bytes',
                     'on-chip buffers are plain offsets into one memory: the overrun hits whatever lies behind the tile'
                     if b.space != 'GM' else 'reads or writes memory of another tensor',
                     'shrink the operand, or allocate the tile with the size the operation touches')


def evaluate(e: E.Expr | int, env: dict) -> int:
    """Integer value of a scalar expression whose names are all bound."""
    match e:
        case int():
            return e
        case E.Const(value=v):
            return v
        case E.Var(name=n):
            return env[n]
        case E.Cast(a=a):
            return evaluate(a, env)
        case E.Select(cond=c, a=a, b=b):
            return evaluate(a if evaluate(c, env) else b, env)
        case E.Un(op=op, a=a):
            v = evaluate(a, env)
            return -v if op == '-' else (not v) if op == 'not' else ~v
        case E.Bin(op=op, a=a, b=b):
            folded = E.fold(E.Bin('tdiv' if op == '/' else op, E.Const(evaluate(a, env)), E.Const(evaluate(b, env)), e.dtype))
            return folded.value
        case E.Call(fn='reinterpret', args=(a,), dtype=d):
            return SCALAR_FUNCTIONS['f_reinterpret'](a.dtype, d, evaluate(a, env))
        case E.Call(fn=fn, args=args):
            return SCALAR_FUNCTIONS[f'f_{fn}'](*(evaluate(a, env) for a in args))
    raise TypeError(f'{E.text(e)} has no value before the kernel runs')


def _int(e: E.Expr, values: dict) -> int:
    return e.value if isinstance(e, E.Const) else values[e]


def overlap(a: Span2D, b: Span2D) -> bool:
    """Do two spans of the same memory share a byte?"""
    if a.start >= b.stop or b.start >= a.stop:
        return False
    if a.rows == 1 and b.rows == 1:
        return True
    if a.rows > b.rows:
        a, b = b, a
    for i in range(a.rows):
        lo, hi = a.start + i * a.pitch, a.start + i * a.pitch + a.row_bytes
        if b.rows == 1:
            if lo < b.start + b.row_bytes and b.start < hi:
                return True
            continue
        first = max(0, -(-(lo - b.start - b.row_bytes + 1) // b.pitch))
        if first < b.rows and b.start + first * b.pitch < hi:
            return True
    return False


def shared(a: Span2D, b: Span2D) -> tuple[int, int]:
    """Smallest byte interval that holds the overlap."""
    return max(a.start, b.start), min(a.stop, b.stop)
