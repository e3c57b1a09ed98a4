"""The tile program: buffers, regions, statements, kernel. All frozen; passes build new ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Union

from ..dtypes import dtype as dtype_of
from ..errors import Span
from .expr import Const, Expr, Var, int_value

# Memories. SHARED and FRAGMENT are developer-mode allocations before scope inference placed them.
SPACES = ('GM', 'L1', 'L0A', 'L0B', 'L0C', 'UB', 'VAR', 'SHARED', 'FRAGMENT')
CUBE_SPACES = ('L1', 'L0A', 'L0B', 'L0C')


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor parameter (GM), an on-chip tile, or an `alloc_var` scalar (VAR)."""

    name: str
    space: str
    shape: tuple[Expr, ...]
    dtype: str
    span: Span | None = None
    address: int | None = None  # byte offset in its memory: annotated by the user or assigned by memory planning
    annotated: bool = False  # the address came from T.annotate_address
    layout: str | None = None  # 'zN' or 'nZ' on L1
    alias_of: str | None = None  # a view (reshape, view, reinterpretcast) of that buffer's bytes
    alias_offset: int = 0  # bytes into it
    init: Any = None  # VAR only: constant initial value
    versions: int = 1  # leading dim a pipelining pass added for multi-buffering; 1 = none
    origin: str = 'user'  # or the pass that made it

    @property
    def es(self) -> int:
        return dtype_of(self.dtype).bytes

    @property
    def dims(self) -> tuple[int, ...]:
        """Static shape; only for buffers whose shape is constant."""
        return tuple(int_value(d) for d in self.shape)  # type: ignore[misc]

    @property
    def elements(self) -> int:
        n = 1
        for d in self.dims:
            n *= d
        return n

    @property
    def bytes(self) -> int:
        return self.elements * self.es


@dataclass(frozen=True, slots=True)
class Region:
    """An operand: `extents` elements per dim of a buffer from `starts`.

    `form` keeps how the source wrote it, because the dialect gives each form its own rules:
    'buffer' (whole), 'region' (a slice), 'element' (start indices only).
    Tile operations see the contiguous run of prod(extents) elements from the row-major offset of `starts`;
    copies see the rectangle.
    """

    buffer: str
    starts: tuple[Expr, ...]
    extents: tuple[Expr, ...]
    form: str = 'buffer'


Arg = Union[Region, Expr, str]


@dataclass(frozen=True, slots=True)
class Instr:
    """One tile instruction. The meaning of `args` by position is in `ir.ops`."""

    op: str
    args: tuple[Arg, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    span: Span | None = None
    origin: str = 'user'  # or the pass that inserted it


@dataclass(frozen=True, slots=True)
class Store:
    """A scalar store: `buffer[indices] = value`."""

    buffer: str
    indices: tuple[Expr, ...]
    value: Expr
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Let:
    """An immutable scalar, visible to the statements after it in its block."""

    var: Var
    value: Expr
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class For:
    var: Var
    start: Expr
    extent: Expr
    body: tuple['Stmt', ...]
    kind: str = 'serial'  # 'serial', 'parallel', 'unroll'
    annotations: dict[str, Any] = field(default_factory=dict)
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class While:
    cond: Expr
    body: tuple['Stmt', ...]
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class If:
    cond: Expr
    then: tuple['Stmt', ...]
    els: tuple['Stmt', ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """`with T.Scope(...)`: 'C' runs on the cube core only, 'V' on the vector cores only."""

    core: str
    body: tuple['Stmt', ...]
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """`T.loop_break()`: leaves the innermost loop."""

    span: Span | None = None


Stmt = Union[Instr, Store, Let, For, While, If, Scope, Break]


@dataclass(frozen=True, slots=True)
class Launch:
    """The kernel frame. `form` is 'cid_vid', 'threads1' or 'threads2' (dialect 2.1)."""

    cid: Var
    vid: Var
    blocks: Expr
    form: str

    @property
    def vectors(self) -> int:
        """Vector cores per block."""
        return 1 if self.form == 'threads1' else 2


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    params: tuple[Union[str, Var], ...]  # GM buffer names and scalar parameters, in call order
    buffers: dict[str, Buffer]  # every buffer by name, in declaration order
    launch: Launch
    body: tuple[Stmt, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    span: Span | None = None

    def with_body(self, body: tuple[Stmt, ...]) -> 'Program':
        return replace(self, body=body)

    def with_buffers(self, buffers: dict[str, Buffer]) -> 'Program':
        return replace(self, buffers=buffers)

    @property
    def tensors(self) -> list[Buffer]:
        """GM parameters in call order."""
        return [self.buffers[p] for p in self.params if isinstance(p, str)]

    def on_chip(self, *spaces: str) -> list[Buffer]:
        wanted = spaces or ('UB', *CUBE_SPACES)
        return [b for b in self.buffers.values() if b.space in wanted]

    def root(self, name: str) -> tuple[Buffer, int]:
        """The buffer whose bytes `name` views, and the byte offset into it."""
        b, offset = self.buffers[name], 0
        while b.alias_of is not None:
            offset += b.alias_offset
            b = self.buffers[b.alias_of]
        return b, offset


def bodies(s: Stmt) -> tuple[tuple[Stmt, ...], ...]:
    match s:
        case For(body=b) | While(body=b) | Scope(body=b):
            return (b,)
        case If(then=t, els=e):
            return (t, e)
    return ()


def walk(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Every statement, outer before inner, in program order."""
    for s in body:
        yield s
        for b in bodies(s):
            yield from walk(b)


def map_bodies(s: Stmt, fn) -> Stmt:
    """`s` with every nested block replaced by fn(block)."""
    match s:
        case For() | While() | Scope():
            return replace(s, body=fn(s.body))
        case If():
            return replace(s, then=fn(s.then), els=fn(s.els))
    return s


def whole(b: Buffer) -> Region:
    return Region(b.name, tuple(Const(0) for _ in b.shape), b.shape, 'buffer')
