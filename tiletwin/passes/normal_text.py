"""Operands and scalar expressions of the normal form."""

from __future__ import annotations

import math

from ..ir import expr as E
from ..ir.nodes import Buffer, Program, Region

_SPACES = {'SHARED': 'DYN', 'FRAGMENT': 'FRAG'}
_PREC = {'or': 1, 'and': 2, '<': 4, '<=': 4, '==': 4, '!=': 4, '|': 5, '^': 6, '&': 7, '<<': 8, '>>': 8,
         '+': 9, '-': 9, '*': 10, '/': 10, '//': 10, '%': 10}
_MIRROR = {'>': '<', '>=': '<='}


def operand_space(b: Buffer) -> str:
    return _SPACES.get(b.space, b.space)


def expression(program: Program, e: E.Expr, outer: int = 0) -> str:
    """Python syntax with flat element indices; comparisons only as < <= == !=."""
    match e:
        case E.Const(value=v):
            return ('-inf' if v < 0 else 'inf') if isinstance(v, float) and math.isinf(v) else repr(v)
        case E.Var(name=n):
            return n
        case E.Bin(op=op, a=a, b=b) if op in _MIRROR:
            return expression(program, E.Bin(_MIRROR[op], b, a, e.dtype), outer)
        case E.Bin(op=op, a=a, b=b) if op in _PREC:
            p = _PREC[op]
            gap = ' ' if p <= 4 else ''
            s = f'{expression(program, a, p)}{gap}{op}{gap}{expression(program, b, p + 1)}'
            return f'({s})' if p < outer else s
        case E.Bin(op=op, a=a, b=b):
            return f'{op}({expression(program, a)}, {expression(program, b)})'
        case E.Un(op='-', a=a):
            return f'-{expression(program, a, 11)}'
        case E.Un(op='not', a=a):
            return f'(not {expression(program, a, 3)})'
        case E.Un(op=op, a=a):
            return f'{op}({expression(program, a)})'
        case E.Select(cond=c, a=a, b=b):
            return f'select({expression(program, c)}, {expression(program, a)}, {expression(program, b)})'
        case E.Cast(a=a, dtype=d):
            return expression(program, a, outer) if 'int' in d and 'int' in a.dtype else f"cast('{d}', {expression(program, a)})"
        case E.Load(buffer=b, indices=i):
            return f'{b}[{expression(program, offset(program, program.buffers[b], i))}]'
        case E.Call(fn=fn, args=args):
            return f'{fn}({", ".join(expression(program, a) for a in args)})'
    raise TypeError(e)


def offset(program: Program, b: Buffer, starts: tuple[E.Expr, ...]) -> E.Expr:
    """Flat element index."""
    return E.flat_offset(b.shape, starts)


def start(program: Program, r: Region) -> str:
    """A copy operand: only where it starts."""
    b = program.buffers[r.buffer]
    return f'{operand_space(b)} {r.buffer}[{expression(program, offset(program, b, r.starts))}]'


def run(program: Program, r: Region, count: E.Expr | None = None) -> str:
    """A contiguous operand: start and number of elements."""
    b = program.buffers[r.buffer]
    n = E.product(r.extents) if count is None else count
    return f'{operand_space(b)} {r.buffer}[{expression(program, offset(program, b, r.starts))}:+{expression(program, n)}]'


def whole(program: Program, name: str) -> str:
    """All elements of a buffer from its start."""
    b = program.buffers[name]
    return f'{operand_space(b)} {name}[0:+{expression(program, E.product(b.shape))}]'
