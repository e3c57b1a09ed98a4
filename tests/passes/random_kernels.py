"""Random expert kernels without a single flag: copies, vector and matrix instructions, scalar accesses, loops, branches.

Every read is of bytes the kernel has written, on every path and for every trip count, so that whatever initcheck finds is
the fault of a pass.
"""

from __future__ import annotations

from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, If, Let

from ..hazards.kernels import Kernel, at, c

ROWS, COLS = 16, 64
TRIPS = ('n', 'm')  # scalar parameters: one lowering serves every trip count
UNARY, BINARY = ('exp', 'abs', 'relu'), ('add', 'mul', 'max', 'sub')


class Maker:
    def __init__(self, rng, planned: bool):
        self.rng, self.planned = rng, planned
        self.k = Kernel(form='threads1')
        self.loops: list[tuple[E.Var, E.Expr]] = []
        self.written: set[str] = set()
        self.names = 0

    def pick(self, items):
        return self.rng.choice(list(items))

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def fresh(self, stem: str) -> str:
        self.names += 1
        return f'{stem}{self.names}'

    # -- scalars ----------------------------------------------------------------------------------------------------------
    def index(self, size: int) -> E.Expr:
        """A value in [0, size): constant, or from a loop variable."""
        if not self.loops or self.chance(30):
            return c(self.rng.randrange(size))
        var = self.pick(self.loops)[0]
        return E.Bin('%', E.add(var, self.rng.randrange(size)), c(size))

    def condition(self) -> E.Expr:
        left = self.pick(self.loops)[0] if self.loops and self.chance(60) else E.Var(self.pick(TRIPS))
        return E.Bin(self.pick(('<', '==', '>')), left, c(self.rng.randrange(4)), 'bool')

    # -- blocks -----------------------------------------------------------------------------------------------------------
    def block(self, depth: int, simple) -> list:
        out: list = []
        for _ in range(self.rng.randrange(1, 6)):
            roll = self.rng.randrange(100)
            if depth and roll < 22:
                out += self.loop(depth, simple)
            elif depth and roll < 34:
                out += self.branch(depth, simple)
            elif roll < 38:
                out.append(Let(E.Var(self.fresh('x')), self.index(4)))
            else:
                out += simple()
        return out

    def inside(self, depth: int, simple) -> tuple:
        """What a block that may not run writes counts only within it."""
        before = set(self.written)
        body = tuple(self.block(depth - 1, simple))
        self.written = before
        return body

    def loop(self, depth: int, simple) -> list:
        var = E.Var(self.fresh('i'))
        extent = E.Var(self.pick(TRIPS)) if self.chance(70) else c(self.rng.randrange(5))
        self.loops.append((var, extent))
        body = self.inside(depth, simple)
        self.loops.pop()
        return [For(var, c(0), extent, body)]

    def branch(self, depth: int, simple) -> list:
        return [If(self.condition(), self.inside(depth, simple), self.inside(depth, simple) if self.chance(40) else ())]


class Vector(Maker):
    """One vector core; `tiles` in UB of three shapes, one of them a ring of slots."""

    def build(self):
        k = self.k
        self.A, self.W, self.C = (k.alloc(name, 'GM', (8 * ROWS, COLS), 'float32') for name in 'AWC')
        self.tiles = [k.alloc(f't{i}', 'UB', (ROWS, COLS), 'float32') for i in range(self.rng.randrange(2, 6))]
        self.ring = k.alloc('ring', 'UB', (2, ROWS, COLS), 'float32')
        self.column = k.alloc('col', 'UB', (ROWS, 1), 'float32')
        body: list = []
        if not self.planned:
            for name in (*self.tiles, self.ring, self.column):
                body += self.make(name)
        body += self.block(3, self.simple) + self.store(self.source())
        return k.program(vector=body)

    def make(self, b) -> list:
        """Writes all of a buffer."""
        self.written.add(b.name)
        if b is self.ring:
            return [self.k.copy(self.gm(self.A), at(b, (slot, 0, 0), (1, ROWS, COLS))) for slot in range(2)]
        if b is self.column:
            return [self.k.instr('fill', b, E.Const(0.0, 'float32'))]
        return [self.k.copy(self.gm(self.A), b)] if self.chance(60) else [self.k.instr('fill', b, E.Const(1.0, 'float32'))]

    def gm(self, tensor):
        return at(tensor, (E.mul(self.index(8), ROWS), 0), (ROWS, COLS))

    def tile(self, b):
        """A tile as an operand: whole, or a slot of the ring."""
        return at(b, (self.index(2), 0, 0), (1, ROWS, COLS)) if b is self.ring else b

    def source(self):
        ready = [b for b in (*self.tiles, self.ring) if b.name in self.written]
        if not ready:
            b = self.pick(self.tiles)
            self.pending = self.make(b)
            return b
        self.pending = []
        return self.pick(ready)

    def target(self):
        return self.pick([b for b in (*self.tiles, self.ring) if b is not self.ring or b.name in self.written])

    def store(self, b) -> list:
        return [*self.pending, self.k.copy(self.tile(b), self.gm(self.pick((self.C, self.W))))]

    def simple(self) -> list:
        k = self.k
        kind = self.pick(('load', 'store', 'unary', 'unary', 'binary', 'binary', 'fill', 'row', 'reduce', 'broadcast', 'scalar', 'element', 'make'))
        if kind == 'make':
            return self.make(self.pick((*self.tiles, self.ring, self.column)))
        if kind in ('load', 'fill'):
            b = self.target()
            self.written.add(b.name)
            return [k.copy(self.gm(self.pick((self.A, self.W, self.C))), self.tile(b)) if kind == 'load' else k.instr('fill', self.tile(b), E.Const(2.0, 'float32'))]
        a = self.source()
        out = list(self.pending)
        if kind == 'store':
            return self.store(a)
        if kind == 'row':
            plain = [b for b in self.tiles if b.name in self.written]
            if plain:
                x, y = self.pick(plain), self.pick(plain)
                row = self.index(ROWS)
                out.append(k.instr(self.pick(UNARY), at(x, (row, 0), (1, COLS)), at(y, (self.index(ROWS), 0), (1, COLS))))
            return out
        if kind == 'reduce':
            clear = self.chance(80) or self.column.name not in self.written
            self.written.add(self.column.name)
            return [*out, k.instr('reduce', self.column, self.tile(a), kind='max', dim=-1, clear=clear, M=ROWS, N=COLS, cols=COLS, real_shape=None)]
        if kind == 'broadcast':
            if self.column.name not in self.written:
                return out
            b = self.pick(self.tiles)
            self.written.add(b.name)
            return [*out, k.instr('broadcast', b, self.column, axis=1)]
        if kind == 'scalar':
            plain = [b for b in self.tiles if b.name in self.written]
            if plain:
                x, y = self.pick(plain), self.pick(plain)
                value = E.Load(x.name, (self.index(ROWS), c(3)), 'float32') if self.chance(50) else E.Const(4.0, 'float32')
                out.append(k.store(y, (self.index(ROWS), c(5)), value))
            return out
        b = self.target()
        if kind == 'element' and self.column.name in self.written and a is not self.ring and b is not self.ring:
            scalar = at(self.column, (self.index(ROWS), 0), (1, 1))
            scalar = type(scalar)(scalar.buffer, scalar.starts, scalar.extents, 'element')
            out.append(k.instr('muls', b, a, scalar))
        elif kind == 'unary':
            out.append(k.instr(self.pick(UNARY), self.tile(b), self.tile(a)))
        else:
            second = self.source()
            out += self.pending
            out.append(k.instr(self.pick(BINARY), self.tile(b), self.tile(a), self.tile(second)))
        self.written.add(b.name)
        return out


class Cube(Maker):
    """One cube core: L1 tiles, hand-placed L0 tiles with mma, and gemm_v0, whose template uses L0 by itself."""

    def build(self):
        k = self.k
        n = self.pick((16, 64))
        self.n = n
        self.A = k.alloc('A', 'GM', (4 * n, n))
        self.W = k.alloc('W', 'GM', (4 * n, n))
        self.C = k.alloc('C', 'GM', (4 * n, n), 'float32')
        self.l1 = [k.alloc(f'l{i}', 'L1', (n, n)) for i in range(self.rng.randrange(2, 4))]
        self.a, self.b = k.alloc('a0', 'L0A', (n, n)), k.alloc('b0', 'L0B', (n, n))
        self.acc = [k.alloc(f'acc{i}', 'L0C', (n, n), 'float32') for i in range(self.rng.randrange(1, 3))]
        body = [] if self.planned else [k.copy(self.gm(self.A), t) for t in self.l1]
        self.written |= set() if self.planned else {t.name for t in self.l1}
        body += self.block(3, self.simple)
        return k.program(cube=body + self.result())

    def gm(self, tensor):
        return at(tensor, (E.mul(self.index(4), self.n), 0), (self.n, self.n))

    def loaded(self) -> tuple:
        ready = [t for t in self.l1 if t.name in self.written]
        if ready:
            return self.pick(ready), []
        t = self.pick(self.l1)
        self.written.add(t.name)
        return t, [self.k.copy(self.gm(self.A), t)]

    def result(self) -> list:
        out: list = []
        ready = [t for t in self.acc if t.name in self.written]
        if not ready:
            out += self.multiply(True)
            ready = [t for t in self.acc if t.name in self.written]
        return [*out, self.k.copy(self.pick(ready), self.gm(self.pick((self.C, self.W))))]

    def multiply(self, template: bool) -> list:
        acc = self.pick(self.acc)
        init: object = acc.name not in self.written or self.chance(40)
        if not init and self.loops and self.chance(50):
            init = E.Bin('==', self.pick(self.loops)[0], c(0), 'bool')
        self.written.add(acc.name)
        (x, first), (y, second) = self.loaded(), self.loaded()
        if template:
            # The template leaves its own operands in L0.
            return [*first, *second, self.k.mma(x, y, acc, init, op='gemm_v0', transpose_A=False, transpose_B=False)]
        return [*first, *second, self.k.copy(x, self.a), self.k.copy(y, self.b), self.k.mma(self.a, self.b, acc, init)]

    def simple(self) -> list:
        kind = self.pick(('load', 'load', 'mma', 'gemm', 'store'))
        if kind == 'load':
            t = self.pick(self.l1)
            self.written.add(t.name)
            return [self.k.copy(self.gm(self.pick((self.A, self.W))), t)]
        return self.result() if kind == 'store' else self.multiply(kind == 'gemm')


def kernel(rng, planned: bool):
    """A Program with the scalar parameters `n` and `m` as trip counts."""
    from dataclasses import replace

    program = (Vector if rng.randrange(3) else Cube)(rng, planned).build()
    return replace(program, params=(*program.params, *(E.Var(t) for t in TRIPS)))
