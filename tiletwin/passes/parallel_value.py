"""The value of one store of a `T.Parallel` nest as vector instructions (dialect 5.6.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import Span
from ..ir import expr as E
from ..ir.analysis import terms
from ..ir.nodes import Buffer, Instr, Program, Region, Store, whole
from .refuse import CompilerCrashes

PASS = 'parallel_to_vector'
TENSOR = {'+': 'add', '-': 'sub', '*': 'mul', '/': 'div', 'min': 'min', 'max': 'max', '&': 'bitwise_and', '|': 'bitwise_or'}
SCALAR = {'+': 'adds', '-': 'subs', '*': 'muls', '/': 'divs', '<<': 'bitwise_lshift', '>>': 'bitwise_rshift'}
BY_ELEMENT = SCALAR | {'min': 'mins', 'max': 'maxs'}
UNARY = {'exp': 'exp', 'log': 'ln', 'sqrt': 'sqrt', 'rsqrt': 'rsqrt', 'abs': 'abs', '~': 'bitwise_not'}
# Casts of whole tiles that mean what a scalar cast means; the others round where C truncates.
EXACT = frozenset([('float16', 'float32'), ('bfloat16', 'float32'), ('float32', 'float16'), ('float32', 'bfloat16'), ('int32', 'float32'),
                   ('int16', 'float32'),
                   ('int8', 'float16'), ('uint8', 'float16')])


class NoVectorForm(Exception):
    """The compiler falls back to scalar loops."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the instructions of one store: `rows` x `cols` at once, or one row of `cols`."""

    rows: int
    cols: int
    at_once: bool
    zero: dict[str, E.Expr]  # what stands for the loop variables in offsets
    inner: str  # the variable the elements of a run follow
    outer: str | None
    row: E.Expr  # row of temporaries

    @property
    def count(self) -> int:
        return self.rows * self.cols if self.at_once else self.cols


@dataclass(frozen=True, slots=True)
class Operand:
    buffer: str
    starts: tuple[E.Expr, ...]
    follows: bool  # its indices contain the inner variable


class Values:
    def __init__(self, program: Program, sound: bool):
        self.program, self.sound = program, sound
        self.made: dict[str, Buffer] = {}
        self.number = 0

    def mark(self) -> tuple[dict[str, Buffer], int]:
        return dict(self.made), self.number

    def reset(self, mark: tuple[dict[str, Buffer], int]) -> None:
        self.made, self.number = mark

    def buffer(self, name: str) -> Buffer:
        return self.made.get(name) or self.program.buffers[name]

    # ---- conditions --------------------------------------------------------------------------------------------------

    def repeated(self, x: E.Load, inner: str, outer: str) -> bool:
        """A vector along one of the two variables, which a broadcast can spread over the tile."""
        return len(x.indices) == 1 and isinstance(x.indices[0], E.Var) and x.indices[0].name in (inner, outer)

    def covers(self, value: E.Expr, inner: str, outer: str) -> bool:
        """Whether rows and columns of the value fit into one instruction."""
        loads = E.loads(value)
        partial = [x for x in loads if not {inner, outer} <= _names(x)]
        if not partial:
            return True
        return all(len(self.buffer(x.buffer).shape) != 2 for x in loads) and all(self.repeated(x, inner, outer) for x in partial)

    def regular(self, st: Store, shape: Shape) -> None:
        """What the compiler does not look at: runs are consecutive, tiles at once are dense, operands are in UB."""
        plain = isinstance(st.value, (E.Load, E.Cast))
        for buffer, indices in ((st.buffer, st.indices), *((x.buffer, x.indices) for x in E.loads(st.value))):
            b = self.buffer(buffer)
            if b.space != 'UB' and not (b.space == 'GM' and (plain or buffer == st.buffer)):
                raise NoVectorForm
            inner = [factor(i, shape.inner) for i in indices]
            outer = [factor(i, shape.outer) for i in indices] if shape.outer is not None else [0]
            if None in inner or None in outer or any(inner[:-1]) or inner[-1] not in (0, 1):
                raise NoVectorForm
            both = inner[-1] == 1 and any(outer)
            if shape.at_once and both and (len(indices) < 2 or any(outer[:-2]) or outer[-1] or outer[-2] != 1 or shape.rows > 1
                                           and E.int_value(b.shape[-1]) != shape.cols):
                raise NoVectorForm

    # ---- stores ------------------------------------------------------------------------------------------------------

    def store(self, st: Store, shape: Shape) -> list[Instr]:
        out: list[Instr] = []
        dst = Operand(st.buffer, self.offsets(st.indices, shape), True)
        value = st.value
        if self.sound:
            return self.sound_store(st, dst, shape)
        match value:
            case E.Cast(a=E.Load() as src):
                return [self.cast_copy(dst, src, shape, st.span)]
            case E.Load() if not shape.at_once or shape.outer is None or {shape.inner, shape.outer} <= _names(value):
                return [self.plain_copy(dst, value, shape, st.span)]
        spread = self.spread(value, shape, out, st.span)
        if isinstance(value, E.Load):
            return [*out, self.tile_copy(spread[value], dst, shape, st.span)]
        return [*out, *self.computed(st, dst, shape, spread)]

    def sound_store(self, st: Store, dst: Operand, shape: Shape) -> list[Instr]:
        self.regular(st, shape)
        out: list[Instr] = []
        spread = self.spread(st.value, shape, out, st.span)
        inner = st.value.a if isinstance(st.value, E.Cast) else st.value
        if isinstance(inner, E.Load):
            if inner is not st.value and ((inner.dtype, st.value.dtype) not in EXACT
                                          or 'GM' in (self.buffer(inner.buffer).space, self.buffer(st.buffer).space)):
                raise NoVectorForm
            src = self.simple(inner, shape, spread)
            if not src.follows and inner not in spread:
                raise NoVectorForm
            return [*out, self.tile_copy(src, dst, shape, st.span)]
        return [*out, *self.computed(st, dst, shape, spread)]

    def spread(self, value: E.Expr, shape: Shape, out: list[Instr], span: Span | None) -> dict[E.Load, Operand]:
        """Vectors next to nothing but vectors, repeated over the tile."""
        found: dict[E.Load, Operand] = {}
        if shape.at_once and shape.outer is not None:
            for x in dict.fromkeys(E.loads(value)):
                if not {shape.inner, shape.outer} <= _names(x):
                    found[x] = self.broadcast(x, shape, out, span)
        return found

    def computed(self, st: Store, dst: Operand, shape: Shape, spread: dict[E.Load, Operand]) -> list[Instr]:
        out: list[Instr] = []
        if self.buffer(st.buffer).space == 'GM':
            tmp = self.temporary(st.buffer, shape)
            self.compute(tmp, st.value, shape, spread, out, st.span)
            return [*out, self.tile_copy(tmp, dst, shape, st.span)]
        self.compute(dst, st.value, shape, spread, out, st.span)
        return out

    def offsets(self, indices: tuple[E.Expr, ...], shape: Shape) -> tuple[E.Expr, ...]:
        return tuple(E.fold(E.substitute(i, shape.zero)) for i in indices)

    def temporary(self, name: str, shape: Shape) -> Operand:
        """A tile of the type of the destination; never used twice."""
        made = f'{name}_tmp_{self.number}_data'
        self.number += 1
        return self.tile(made, self.buffer(name).dtype, shape)

    def tile(self, name: str, dtype: str, shape: Shape, span: Span | None = None) -> Operand:
        one_dim = shape.outer is None and shape.rows == 1
        dims = (E.Const(shape.cols),) if one_dim else (E.Const(shape.rows), E.Const(shape.cols))
        self.made[name] = Buffer(name, 'UB', dims, dtype, span or self.program.span, origin=PASS)
        starts = (E.Const(0),) if one_dim else (E.Const(0) if shape.at_once else shape.row, E.Const(0))
        return Operand(name, starts, True)

    def broadcast(self, x: E.Load, shape: Shape, out: list[Instr], span: Span | None) -> Operand:
        """The vector repeated over the whole tile."""
        b = self.buffer(x.buffer)
        name, scratch = f'{x.buffer}_broadcast_{self.number}_data', f'broadcast_workspace_{self.number + 1}_data'
        self.number += 2
        made = self.tile(name, b.dtype, shape)
        self.made[scratch] = Buffer(scratch, 'UB', (E.Const(2 * shape.count),), 'uint8', self.program.span, origin=PASS)
        axis = 0 if x.indices[0].name == shape.inner else 1
        length = shape.cols if axis == 0 else shape.rows
        src = Region(b.name, (E.Const(0),), (E.Const(length),), 'buffer' if E.int_value(b.shape[0]) == length else 'region')
        out.append(Instr('broadcast', (whole(self.made[name]), src), {'axis': axis, 'tmp': scratch}, span, PASS))
        # The compiler finds no index variable in what it just made, and takes it for a scalar on the right of an operator.
        return made if self.sound else replace(made, follows=False)

    # ---- expressions -------------------------------------------------------------------------------------------------

    def simple(self, e: E.Expr, shape: Shape, spread: dict[E.Load, Operand]) -> Operand | None:
        if not isinstance(e, E.Load):
            return None
        if self.buffer(e.buffer).space == 'VAR':
            raise NoVectorForm
        return spread.get(e) or Operand(e.buffer, self.offsets(e.indices, shape), shape.inner in _names(e))

    def complex(self, e: E.Expr) -> bool:
        return isinstance(e, E.Bin) and (e.op in TENSOR or e.op in SCALAR) or isinstance(e, E.Un) and e.op in UNARY and isinstance(e.a, E.Load)

    def compute(self, dst: Operand, e: E.Expr, shape: Shape, spread: dict[E.Load, Operand], out: list[Instr], span: Span | None) -> None:
        match e:
            case E.Un(op=op, a=a) if op in UNARY and isinstance(a, E.Load):
                out.append(self.instr(UNARY[op], shape, span, dst, self.simple(a, shape, spread)))
            case E.Bin(op=op, a=a, b=b) if op in TENSOR or op in SCALAR:
                if op == 'max' and _zero(a):
                    a, b = b, a
                left, right = self.simple(a, shape, spread), self.simple(b, shape, spread)
                pending = []
                if self.sound and left is not None and not left.follows:
                    if op not in ('+', '*', 'min', 'max') or right is None or not right.follows:
                        raise NoVectorForm
                    left, right, b = right, left, a
                if left is None:
                    if not self.complex(a):
                        raise NoVectorForm  # a scalar on the left has no instruction
                    left = self.temporary(dst.buffer, shape)
                    pending.append((left, a))
                if right is None and self.complex(b):
                    right = self.temporary(dst.buffer, shape)
                    pending.append((right, b))
                for tmp, part in pending:
                    self.compute(tmp, part, shape, spread, out, span)
                out.append(self.binary(op, dst, left, right, b, shape, span))
            case _:
                raise NoVectorForm

    def binary(self, op: str, dst: Operand, left: Operand, right: Operand | None, scalar: E.Expr, shape: Shape, span: Span | None) -> Instr:
        if right is not None:
            if right.follows and op in TENSOR:
                return self.instr(TENSOR[op], shape, span, dst, left, right)
            if not right.follows and op in BY_ELEMENT:
                return self.by_element(BY_ELEMENT[op], dst, left, right, shape, span)
            raise NoVectorForm
        if not isinstance(scalar, (E.Const, E.Var)):
            raise NoVectorForm
        if op == 'max' and _zero(scalar):
            return self.instr('relu', shape, span, dst, left)
        if self.sound and op in ('min', 'max'):
            return self.instr(BY_ELEMENT[op], shape, span, dst, left, scalar)
        if self.sound and op not in SCALAR:
            raise NoVectorForm
        if op not in SCALAR:
            raise CompilerCrashes(f'T.Parallel with {op} of a tile and the scalar {E.text(scalar)}', where=span,
                                  why='the instruction for two tiles is emitted with a scalar operand, and the generator dies on it',
                                  instead=f'T.tile.{TENSOR[op]}(dst, src, {E.text(scalar)})' if op in ('min', 'max')
                                  else 'a tile filled with the scalar')
        return self.instr(SCALAR[op], shape, span, dst, left, scalar)

    def by_element(self, op: str, dst: Operand, left: Operand, right: Operand, shape: Shape, span: Span | None) -> Instr:
        """An operand that does not follow the inner variable is read by the scalar unit; `pointer` is the length of its operand."""
        b = self.buffer(right.buffer)
        element = Region(right.buffer, right.starts, tuple(E.Const(1) for _ in right.starts), 'element')
        made = self.instr(op, shape, span, dst, left, element)
        flat = {'element': E.flat_offset(b.shape, right.starts)} if len(b.shape) > 1 else {}
        return replace(made, attrs={**made.attrs, **flat, 'pointer': E.int_value(b.shape[0])})

    # ---- instructions ------------------------------------------------------------------------------------------------

    def run(self, x: Operand, shape: Shape) -> Region:
        rank = len(x.starts)
        extents = (shape.count,) if rank == 1 else (1,) * (rank - 2) + ((shape.rows, shape.cols) if shape.at_once else (1, shape.cols))
        return Region(x.buffer, x.starts, tuple(map(E.Const, extents)), 'region')

    def instr(self, op: str, shape: Shape, span: Span | None, *operands: Operand | Region | E.Expr | None) -> Instr:
        args: list[Any] = [self.run(x, shape) if isinstance(x, Operand) else x for x in operands]
        attrs: dict[str, Any] = {}
        if any(isinstance(a, Region) and self.leaves(a) for a in args):
            attrs['beyond'] = True
        return Instr(op, tuple(args), attrs, span, PASS)

    def leaves(self, r: Region) -> bool:
        """A slice that provably leaves its tile: the compiler does not look."""
        return any(None not in (at := (E.int_value(s), E.int_value(n), E.int_value(d))) and at[0] + at[1] > at[2]
                   for s, n, d in zip(r.starts, r.extents, self.buffer(r.buffer).shape))

    def move(self, src: Region, dst: Region, span: Span | None) -> Instr:
        attrs: dict[str, Any] = {'relu': False, 'transpose': False, 'pad': None}
        on_chip = [r for r in (src, dst) if self.buffer(r.buffer).space != 'GM']
        if any(self.leaves(r) for r in on_chip):
            attrs['beyond'] = True
        return Instr('copy', (src, dst), attrs, span, PASS)

    def tile_copy(self, src: Operand, dst: Operand, shape: Shape, span: Span | None) -> Instr:
        return self.move(self.run(src, shape), self.run(dst, shape), span)

    def cast_copy(self, dst: Operand, x: E.Load, shape: Shape, span: Span | None) -> Instr:
        """The source is its whole buffer from index 0, whatever the load says."""
        b = self.buffer(x.buffer)
        extents = (E.Const(shape.count),) if len(b.shape) == 1 else b.shape
        if len(extents) != len(dst.starts):
            raise NoVectorForm
        zero = tuple(E.Const(0) for _ in b.shape)
        return self.move(Region(b.name, zero, extents, 'region'), Region(dst.buffer, dst.starts, extents, 'region'), span)

    def plain_copy(self, dst: Operand, x: E.Load, shape: Shape, span: Span | None) -> Instr:
        """The destination is its whole buffer from index 0, whatever the store says."""
        a, b = self.buffer(x.buffer), self.buffer(dst.buffer)
        strided = a.space == b.space == 'UB' and len(a.shape) == len(b.shape) == 2 and a.shape[-1] != b.shape[-1]
        if a.space == 'VAR' or len(a.shape) < len(b.shape) or strided:
            raise NoVectorForm
        extents = (E.Const(shape.count),) if len(b.shape) == 1 else b.shape
        source = Region(a.name, self.offsets(x.indices, shape), (E.Const(1),) * (len(a.shape) - len(extents)) + extents, 'region')
        return self.move(source, Region(b.name, tuple(E.Const(0) for _ in b.shape), extents, 'region'), span)


def _names(x: E.Load) -> frozenset[str]:
    return frozenset().union(*(E.free_vars(i) for i in x.indices))


def factor(i: E.Expr, name: str) -> int | None:
    """How much an index grows with a variable; None when not in equal steps."""
    found = 0
    for c, t in terms(i):
        if t == E.Var(name, t.dtype if isinstance(t, E.Var) else 'int32'):
            found += c
        elif name in E.free_vars(t):
            return None
    return found


def _zero(e: E.Expr) -> bool:
    return isinstance(e, E.Const) and not isinstance(e.value, bool) and e.value == 0
