"""Scalar expressions of a Program: what the scalar unit computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Union

# Operators of Bin. `//` and `%` floor; `tdiv` and `tmod` truncate, as the generated C does.
ARITHMETIC = ('+', '-', '*', '/', '//', '%', 'tdiv', 'tmod', 'min', 'max', '&', '|', '^', '<<', '>>', 'pow')
COMPARISON = ('<', '<=', '==', '!=', '>', '>=')
LOGIC = ('and', 'or')
# Operators of Un; the math functions are only legal where a float is computed.
UNARY = ('-', 'not', '~', 'abs', 'exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'floor', 'ceil', 'round', 'trunc', 'sigmoid')


@dataclass(frozen=True, slots=True)
class Const:
    value: Union[int, float, bool]
    dtype: str = 'int32'


@dataclass(frozen=True, slots=True)
class Var:
    """A scalar name: loop variable, block index, let, scalar parameter, symbolic dimension. Names are unique in a Program."""

    name: str
    dtype: str = 'int32'


@dataclass(frozen=True, slots=True)
class Bin:
    op: str
    a: 'Expr'
    b: 'Expr'
    dtype: str = 'int32'


@dataclass(frozen=True, slots=True)
class Un:
    op: str
    a: 'Expr'
    dtype: str = 'int32'


@dataclass(frozen=True, slots=True)
class Select:
    """`a if cond else b`; the untaken side is not evaluated."""

    cond: 'Expr'
    a: 'Expr'
    b: 'Expr'
    dtype: str = 'int32'


@dataclass(frozen=True, slots=True)
class Cast:
    a: 'Expr'
    dtype: str


@dataclass(frozen=True, slots=True)
class Load:
    """A scalar read of one element: UB GetValue, GM scalar load, or an `alloc_var` variable."""

    buffer: str
    indices: tuple['Expr', ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Call:
    """A named scalar function: `swizzle` (block order) or `reinterpret`."""

    fn: str
    args: tuple['Expr', ...]
    dtype: str = 'int32'


Expr = Union[Const, Var, Bin, Un, Select, Cast, Load, Call]
EXPR_TYPES = (Const, Var, Bin, Un, Select, Cast, Load, Call)


def const(value, dtype: str | None = None) -> Const:
    return Const(value, dtype or ('bool' if isinstance(value, bool) else 'int32' if isinstance(value, int) else 'float32'))


def as_expr(value) -> Expr:
    return value if isinstance(value, EXPR_TYPES) else const(value)


def children(e: Expr) -> tuple[Expr, ...]:
    match e:
        case Bin(a=a, b=b):
            return (a, b)
        case Un(a=a) | Cast(a=a):
            return (a,)
        case Select(cond=c, a=a, b=b):
            return (c, a, b)
        case Load(indices=args) | Call(args=args):
            return args
    return ()


def rebuild(e: Expr, kids: tuple[Expr, ...]) -> Expr:
    match e:
        case Bin():
            return Bin(e.op, kids[0], kids[1], e.dtype)
        case Un():
            return Un(e.op, kids[0], e.dtype)
        case Cast():
            return Cast(kids[0], e.dtype)
        case Select():
            return Select(*kids, e.dtype)
        case Load():
            return Load(e.buffer, kids, e.dtype)
        case Call():
            return Call(e.fn, kids, e.dtype)
    return e


def walk(e: Expr) -> Iterator[Expr]:
    yield e
    for kid in children(e):
        yield from walk(kid)


def free_vars(e: Expr) -> frozenset[str]:
    return frozenset(x.name for x in walk(e) if isinstance(x, Var))


def loads(e: Expr) -> list[Load]:
    return [x for x in walk(e) if isinstance(x, Load)]


def substitute(e: Expr, names: dict[str, Expr]) -> Expr:
    if isinstance(e, Var):
        return names.get(e.name, e)
    kids = children(e)
    if not kids:
        return e
    new = tuple(substitute(k, names) for k in kids)
    return e if new == kids else fold(rebuild(e, new))


_PY = {
    '+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b, '//': lambda a, b: a // b, '%': lambda a, b: a % b,
    'min': min, 'max': max, '&': lambda a, b: a & b, '|': lambda a, b: a | b, '^': lambda a, b: a ^ b, '<<': lambda a, b: a << b,
    '>>': lambda a, b: a >> b, '<': lambda a, b: a < b, '<=': lambda a, b: a <= b, '==': lambda a, b: a == b, '!=': lambda a, b: a != b,
    '>': lambda a, b: a > b, '>=': lambda a, b: a >= b, 'and': lambda a, b: a and b, 'or': lambda a, b: a or b,
    'tdiv': lambda a, b: -(-a // b) if (a < 0) != (b < 0) else a // b, 'tmod': lambda a, b: a - b * (-(-a // b) if (a < 0) != (b < 0) else a // b),
}


def _ints(*args: Expr) -> bool:
    return all(isinstance(a, Const) and isinstance(a.value, int) for a in args)


def fold(e: Expr) -> Expr:
    """One step of constant folding on integers; floats are left to the simulator, which rounds as the chip does."""
    match e:
        case Bin(op=op, a=a, b=b) if op in _PY and _ints(a, b) and not (op in ('//', '%', 'tdiv', 'tmod') and b.value == 0):
            return Const(_PY[op](a.value, b.value), 'bool' if op in COMPARISON + LOGIC else e.dtype)
        case Bin(op='+', a=a, b=Const(value=0)) | Bin(op='+', a=Const(value=0), b=a) | Bin(op='-', a=a, b=Const(value=0)) if a.dtype == e.dtype:
            return a
        case Bin(op='*', a=a, b=Const(value=1)) | Bin(op='*', a=Const(value=1), b=a) | Bin(op='//', a=a, b=Const(value=1)) if a.dtype == e.dtype:
            return a
        case Bin(op='*', a=_, b=Const(value=0) as z) | Bin(op='*', a=Const(value=0) as z, b=_) if isinstance(z.value, int):
            return z
        case Bin(op='+', a=Bin(op='+', a=x, b=Const(value=c)), b=Const(value=d)) if isinstance(c, int) and isinstance(d, int):
            return fold(Bin('+', x, Const(c + d), e.dtype))
        case Bin(op='-', a=Bin(op='+', a=x, b=Const(value=c)), b=Const(value=d)) if isinstance(c, int) and isinstance(d, int):
            return fold(Bin('+', x, Const(c - d), e.dtype))
        case Bin(op='and', a=Const(value=True), b=x) | Bin(op='and', a=x, b=Const(value=True)):
            return x
        case Select(cond=Const(value=v), a=a, b=b):
            return a if v else b
        case Cast(a=Const(value=v) as c, dtype=d) if isinstance(v, int) and not isinstance(v, bool) and 'int' in d:
            return Const(v, d)
        case Un(op='-', a=Const(value=v)):
            return Const(-v, e.dtype)
        case Un(op='not', a=Const(value=v)):
            return Const(not v, 'bool')
    return e


def add(a: Expr | int, b: Expr | int) -> Expr:
    a, b = as_expr(a), as_expr(b)
    return fold(Bin('+', a, b, a.dtype))


def sub(a: Expr | int, b: Expr | int) -> Expr:
    a, b = as_expr(a), as_expr(b)
    return fold(Bin('-', a, b, a.dtype))


def mul(a: Expr | int, b: Expr | int) -> Expr:
    a, b = as_expr(a), as_expr(b)
    return fold(Bin('*', a, b, a.dtype))


def emin(a: Expr | int, b: Expr | int) -> Expr:
    a, b = as_expr(a), as_expr(b)
    return a if a == b else fold(Bin('min', a, b, a.dtype))


def emax(a: Expr | int, b: Expr | int) -> Expr:
    a, b = as_expr(a), as_expr(b)
    return a if a == b else fold(Bin('max', a, b, a.dtype))


def product(values) -> Expr:
    out: Expr = Const(1)
    for v in values:
        out = mul(out, v)
    return out


def flat_offset(shape, starts) -> Expr:
    """Row-major element offset of `starts` in a buffer of `shape`."""
    out: Expr = Const(0)
    for extent, start in zip(shape, starts, strict=True):
        out = add(mul(out, extent), start)
    return out


def int_value(e: Expr | int) -> int | None:
    """The integer a constant expression stands for, else None."""
    if isinstance(e, int):
        return e
    return e.value if isinstance(e, Const) and isinstance(e.value, int) else None


_PREC = {'or': 1, 'and': 2, '<': 4, '<=': 4, '==': 4, '!=': 4, '>': 4, '>=': 4, '|': 5, '^': 6, '&': 7, '<<': 8, '>>': 8,
         '+': 9, '-': 9, '*': 10, '/': 10, '//': 10, '%': 10}


def text(e: Expr, outer: int = 0) -> str:
    """Python syntax; the spelling golden files are written in."""
    match e:
        case Const(value=v):
            return repr(v)
        case Var(name=n):
            return n
        case Bin(op=op, a=a, b=b) if op in _PREC:
            p = _PREC[op]
            gap = ' ' if p <= 4 else ''
            s = f'{text(a, p)}{gap}{op}{gap}{text(b, p + 1)}'
            return f'({s})' if p < outer else s
        case Bin(op=op, a=a, b=b):
            return f'{op}({text(a)}, {text(b)})'
        case Un(op='-', a=a):
            return f'-{text(a, 11)}'
        case Un(op='not', a=a):
            return f'not {text(a, 3)}' if outer <= 3 else f'(not {text(a, 3)})'
        case Un(op='~', a=a):
            return f'~{text(a, 11)}'
        case Un(op=op, a=a):
            return f'{op}({text(a)})'
        case Select(cond=c, a=a, b=b):
            return f'select({text(c)}, {text(a)}, {text(b)})'
        case Cast(a=a, dtype=d):
            return f"cast('{d}', {text(a)})"
        case Load(buffer=b, indices=i):
            return f'{b}[{", ".join(map(text, i))}]'
        case Call(fn=fn, args=args):
            return f'{fn}({", ".join(map(text, args))})'
    raise TypeError(e)
