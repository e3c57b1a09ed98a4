"""The control skeleton shared by both generated functions of a core.

Every core of a block runs the same Program. `Generator` turns it into the source of one Python function per role
('C' the cube core, 'V' a vector core): loops, branches, lets and variables become plain Python, everything else is left
to the two subclasses: `datagen` moves the data, `issue` records what the scalar unit issues. Because both walk the same
skeleton, a scalar that depends on tensor data is evaluated at the same points in both: the data function logs its value
(`log`), the issue function replays it (`replay`).
"""

from __future__ import annotations

import re
from contextlib import contextmanager

from ..ir import expr as E
from ..ir.nodes import Break, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While
from ..ir.ops import OPS, PIPES, route

_OWNER = {'L1': 'C', 'L0A': 'C', 'L0B': 'C', 'L0C': 'C', 'UB': 'V'}
_INFIX = {'and', 'or', '<', '<=', '==', '!=', '>', '>=', '+', '-', '*', '//', '%', '&', '|', '^', '<<', '>>'}


def owner(program: Program, instr: Instr) -> str | None:
    """The role that executes a tile instruction; None when both do (flags, barriers, scalar code)."""
    spec = OPS[instr.op]
    if spec.pipe in ('sync', 'S'):
        return None
    for arg in instr.args:
        if isinstance(arg, Region):
            who = _OWNER.get(program.buffers[arg.buffer].space)
            if who is not None:
                return who
    return None


def instr_route(program: Program, instr: Instr) -> tuple[str, str]:
    """(route, pipe) of a `copy` or `atomic_add`."""
    a, b = (program.buffers[r.buffer].space for r in instr.args[:2])
    src, dst = (b, a) if instr.op == 'atomic_add' else (a, b)
    return route(src, dst, instr.span)


def py_name(name: str, prefix: str = 'v_') -> str:
    return prefix + re.sub(r'\W', '_', name)


class Generator:
    """Emits Python source for one role. Subclasses fill in `on_instr`, `on_store`, `load`, `prologue`, `on_parallel`."""

    def __init__(self, program: Program, role: str):
        self.program = program
        self.role = role
        self.lines: list[str] = []
        self.depth = 1
        self.loop_vars: list[str] = []  # python names of the enclosing loop variables, outer first
        self.in_scope: str | None = None

    # -- text ---------------------------------------------------------------------------------------------------------
    def emit(self, line: str) -> None:
        self.lines.append('    ' * self.depth + line)

    @contextmanager
    def block(self, head: str):
        self.emit(head)
        self.depth += 1
        mark = len(self.lines)
        yield
        if len(self.lines) == mark:
            self.emit('pass')
        self.depth -= 1

    # -- expressions --------------------------------------------------------------------------------------------------
    def expr(self, e: E.Expr) -> str:
        """Python text of an expression that steers control or addresses."""
        match e:
            case E.Const(value=v):
                return _literal(v)
            case E.Var(name=n):
                return py_name(n)
            case E.Bin(op='tdiv', a=a, b=b):
                return f'tdiv({self.expr(a)}, {self.expr(b)})'
            case E.Bin(op='tmod', a=a, b=b):
                return f'tmod({self.expr(a)}, {self.expr(b)})'
            case E.Bin(op='/', a=a, b=b) if 'float' not in e.dtype:
                return f'tdiv({self.expr(a)}, {self.expr(b)})'
            case E.Bin(op=op, a=a, b=b) if op in _INFIX or op == '/':
                return f'({self.expr(a)} {op} {self.expr(b)})'
            case E.Bin(op=op, a=a, b=b):
                return f'{op}({self.expr(a)}, {self.expr(b)})'
            case E.Un(op='not', a=a):
                return f'(not {self.expr(a)})'
            case E.Un(op=('-' | '~') as op, a=a):
                return f'({op}{self.expr(a)})'
            case E.Un(op=op, a=a):
                return f'f_{op}({self.expr(a)})'
            case E.Select(cond=c, a=a, b=b):
                return f'({self.expr(a)} if {self.expr(c)} else {self.expr(b)})'
            case E.Cast(a=a, dtype=d):
                return f"f_cast('{d}', {self.expr(a)})" if 'float' in d or 'float' in a.dtype else self.expr(a)
            case E.Load(buffer=b, indices=idx):
                if self.program.buffers[b].space == 'VAR':
                    return py_name(b, 'b_')
                return self.load(b, idx, e.dtype)
            case E.Call(fn='reinterpret', args=(a,), dtype=d):
                return f"f_reinterpret('{a.dtype}', '{d}', {self.expr(a)})"
            case E.Call(fn=fn, args=args):
                return f'f_{fn}({", ".join(map(self.expr, args))})'
        raise TypeError(e)

    def load(self, buffer: str, indices: tuple[E.Expr, ...], dtype: str) -> str:
        """Text of a scalar read from UB or GM in a control expression."""
        raise TypeError('subclass')

    # -- statements ---------------------------------------------------------------------------------------------------
    def run(self, body: tuple[Stmt, ...]) -> None:
        for s in body:
            self.statement(s)

    def statement(self, s: Stmt) -> None:
        match s:
            case Instr():
                who = owner(self.program, s)
                if who is None or who == self.role:
                    self.on_instr(s)
            case Store():
                if self.program.buffers[s.buffer].space == 'VAR':
                    self.emit(f'{py_name(s.buffer, "b_")} = {self.var_value(s)}')
                else:
                    self.on_store(s)
            case Let():
                self.emit(f'{py_name(s.var.name)} = {self.expr(s.value)}')
            case For(kind='parallel'):
                self.on_parallel(s)
            case For():
                self.serial_for(s)
            case While():
                with self.block(f'while {self.expr(s.cond)}:'):
                    self.on_iteration()
                    self.run(s.body)
            case If():
                with self.block(f'if {self.expr(s.cond)}:'):
                    self.run(s.then)
                if s.els:
                    with self.block('else:'):
                        self.run(s.els)
            case Scope():
                if s.core == self.role:
                    self.run(s.body)
            case Break():
                self.emit('break')
            case _:
                raise TypeError(s)

    def serial_for(self, s: For) -> None:
        name = py_name(s.var.name)
        start, extent = self.expr(s.start), self.expr(s.extent)
        stop = extent if start == '0' else f'{start} + {extent}'
        span = f'range({stop})' if start == '0' else f'range({start}, {stop})'
        with self.block(f'for {name} in {span}:'):
            self.loop_vars.append(name)
            self.on_iteration()
            self.run(s.body)
            self.loop_vars.pop()

    def var_value(self, s: Store) -> str:
        """Text of the value stored to an `alloc_var` variable."""
        d = self.program.buffers[s.buffer].dtype
        return f"f_cast('{d}', {self.expr(s.value)})" if 'float' in d else self.expr(s.value)

    def on_iteration(self) -> None:
        """At the start of every loop body."""

    def on_instr(self, s: Instr) -> None:
        raise TypeError('subclass')

    def on_store(self, s: Store) -> None:
        raise TypeError('subclass')

    def on_parallel(self, s: For) -> None:
        """T.Parallel in its scalar meaning: one scalar iteration after the other."""
        self.serial_for(s)

    # -- the function -------------------------------------------------------------------------------------------------
    def prologue(self) -> None:
        """Scalar parameters, symbolic dimensions and variables become locals."""
        for b in self.program.buffers.values():
            if b.space == 'VAR':
                self.emit(f'{py_name(b.name, "b_")} = {_literal(b.init or 0)}')

    def source(self, name: str, args: str) -> str:
        self.prologue()
        self.run(self.program.body)
        body = self.lines or ['    pass']
        return f'def {name}({args}):\n' + '\n'.join(body) + '\n'


def _literal(value) -> str:
    if isinstance(value, float) and (value != value or value in (float('inf'), float('-inf'))):
        return f"float('{value}')"
    return repr(value)


def tdiv(a: int, b: int) -> int:
    """C division: towards zero."""
    return -(-a // b) if (a < 0) != (b < 0) else a // b


def tmod(a: int, b: int) -> int:
    return a - b * tdiv(a, b)


def sync_applies(role: str, *pipes: str) -> bool:
    """A flag naming a pipe the core does not have is a no-op there (dialect 6.2)."""
    from ..ir.ops import CUBE_PIPES, VECTOR_PIPES

    have = CUBE_PIPES if role == 'C' else VECTOR_PIPES
    return all(p in have for p in pipes if p in PIPES)
