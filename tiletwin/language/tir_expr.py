"""Scalar expressions of TIR as expressions of a Program."""

from __future__ import annotations

import math
from typing import Callable

from tvm import tirx

from ..errors import DialectError
from .where import here
from ..ir.expr import Bin, Call, Cast, Const, Expr, Load, Select, Un, Var, fold

_BINARY = {'Add': '+', 'Sub': '-', 'Mul': '*', 'Div': 'tdiv', 'Mod': 'tmod', 'FloorDiv': '//', 'FloorMod': '%', 'Min': 'min', 'Max': 'max',
           'LT': '<', 'LE': '<=', 'EQ': '==', 'NE': '!=', 'GT': '>', 'GE': '>=', 'And': 'and', 'Or': 'or'}
_CALLS = {'bitwise_and': '&', 'bitwise_or': '|', 'bitwise_xor': '^', 'shift_left': '<<', 'shift_right': '>>', 'pow': 'pow', 'fmod': 'tmod'}
_UNARY_CALLS = {'bitwise_not': '~', 'exp': 'exp', 'log': 'log', 'sqrt': 'sqrt', 'rsqrt': 'rsqrt', 'sin': 'sin', 'cos': 'cos', 'tanh': 'tanh',
                'floor': 'floor',
                'ceil': 'ceil', 'round': 'round', 'trunc': 'trunc', 'fabs': 'abs', 'sigmoid': 'sigmoid', 'nearbyint': 'round'}


def exact(text: str) -> str:
    """A plain Python string; strings of tvm are a subclass."""
    return str.__str__(text)


class Expressions:
    """Converts; keeps one Var per TIR variable and makes names unique."""

    def __init__(self, buffer_name: Callable, unique: Callable[[str], str]):
        self.buffer_name, self.unique = buffer_name, unique
        self.variables: dict[int, Var] = {}

    def variable(self, v: tirx.Var) -> Var:
        found = self.variables.get(hash(v))
        if found is None:
            found = self.variables[hash(v)] = Var(self.unique(exact(v.name)), exact(v.dtype))
        return found

    def __call__(self, e) -> Expr:
        if isinstance(e, bool):
            return Const(e, 'bool')
        if isinstance(e, int):
            return Const(e)
        if isinstance(e, float):
            return Const(e, 'float32')
        kind = type(e).__name__
        if kind == 'IntImm':
            dtype = exact(str(e.dtype))
            return Const(bool(e.value) if dtype == 'bool' else e.value, dtype)
        if kind in ('Var', 'SizeVar'):
            return self.variable(e)
        op = _BINARY.get(kind)
        if op is not None:
            if op == 'tdiv' and 'float' in exact(str(e.dtype)):
                op = '/'
            return fold(Bin(op, self(e.a), self(e.b), exact(str(e.dtype))))
        return getattr(self, f'_{kind}', self._unknown)(e)

    def _unknown(self, e) -> Expr:
        raise DialectError(f'the expression {e}', where=here(), why=f'a {type(e).__name__} has no scalar form on the chip',
                           instead='arithmetic, comparisons, T.if_then_else, T.min, T.max, T.cast')

    def _FloatImm(self, e) -> Expr:
        value = float(e.value)
        return Const(math.inf if value == math.inf else value, exact(str(e.dtype)))

    def _Not(self, e) -> Expr:
        return fold(Un('not', self(e.a), 'bool'))

    def _Select(self, e) -> Expr:
        return fold(Select(self(e.condition), self(e.true_value), self(e.false_value), exact(str(e.dtype))))

    def _Cast(self, e) -> Expr:
        return fold(Cast(self(e.value), exact(str(e.dtype))))

    def _BufferLoad(self, e) -> Expr:
        return Load(self.buffer_name(e.buffer), tuple(self(i) for i in e.indices), exact(str(e.dtype)))

    def _Call(self, e) -> Expr:
        name, dtype = str(e.op.name), exact(str(e.dtype))
        short = name.removeprefix('tirx.').removeprefix('tir.').removeprefix('tl.')
        if short == 'if_then_else':
            return fold(Select(self(e.args[0]), self(e.args[1]), self(e.args[2]), dtype))
        if short == 'call_extern' and e.args[0].value == 'swizzle':
            return Call('swizzle', tuple(self(a) for a in e.args[1:]), dtype)
        if short == 'reinterpret':
            return Call('reinterpret', (self(e.args[0]),), dtype)
        if short in _CALLS:
            return fold(Bin(_CALLS[short], self(e.args[0]), self(e.args[1]), dtype))
        if short in _UNARY_CALLS:
            return fold(Un(_UNARY_CALLS[short], self(e.args[0]), dtype))
        if short == 'infinity':
            return Const(math.inf, dtype)
        return self._unknown(e)
