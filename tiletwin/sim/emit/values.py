"""Scalar values as the kernel's dtypes hold them: stored values and scalar operands. Every operation rounds to its dtype."""

from __future__ import annotations

import math

from ...ir import expr as E
from ..codegen import py_name
from ..memory import NARROW
from .operands import Operands

_ROUND = {'float16': 'half', 'bfloat16': 'bf16'}


class Values(Operands):
    vector = False  # values are arrays over the index space of a T.Parallel nest

    def value(self, e: E.Expr) -> str:
        match e:
            case E.Const(value=v, dtype=d):
                return self.constant(v, d)
            case E.Var(name=n, dtype=d):
                return f'float32({py_name(n)})' if 'float' in d and not self.vector else py_name(n)
            case E.Bin():
                return self.rounded_text(self.binary(e), e.dtype)
            case E.Un(op='not', a=a):
                return f'logical_not({self.value(a)})' if self.vector else f'(not {self.value(a)})'
            case E.Un(op=('-' | '~') as op, a=a):
                return f'({op}{self.value(a)})'
            case E.Un(op='abs', a=a) if 'float' not in e.dtype:
                return f'abs({self.value(a)})'
            case E.Un(op=op, a=a):
                return self.rounded_text(f'unary({op!r}, {self.value(a)})', e.dtype)
            case E.Select(cond=c, a=a, b=b):
                if self.vector:
                    return f'where({self.value(c)}, {self.value(a)}, {self.value(b)})'
                return f'({self.value(a)} if {self.value(c)} else {self.value(b)})'
            case E.Cast(a=a, dtype=d):
                if isinstance(a, E.Const) and not self.vector:
                    return self.constant(a.value, d)
                return f'cast({d!r}, {self.value(a)})'
            case E.Load(buffer=b, indices=idx):
                if self.buffer(b).space == 'VAR':
                    name = py_name(b, 'b_')
                    return f'float32({name})' if 'float' in e.dtype else name
                return self.element(b, idx)
            case E.Call():
                return self.expr(e)
        raise TypeError(e)

    def constant(self, v, dtype: str) -> str:
        if 'float' not in dtype:
            return repr(int(v) if not isinstance(v, bool) else v)
        if isinstance(v, float) and not math.isfinite(v):
            return self.hoist(f"float32('{v}')", 'c')
        return self.hoist(f'scalar({float(v)!r}, {dtype!r})', 'c')

    def rounded_text(self, text: str, dtype: str) -> str:
        if dtype not in NARROW:
            return text
        return f'{_ROUND[dtype]}({text})' if not self.vector and dtype in _ROUND else f'rounded({text}, {dtype!r})'

    def binary(self, e: E.Bin) -> str:
        a, b, op = self.value(e.a), self.value(e.b), e.op
        is_float = 'float' in e.dtype
        if op in ('min', 'max'):
            return f'{"minimum" if op == "min" else "maximum"}({a}, {b})' if self.vector else f'{op}({a}, {b})'
        if op in ('and', 'or'):
            return f'logical_{op}({a}, {b})' if self.vector else f'({a} {op} {b})'
        if op in ('/', '//', 'tdiv') and not is_float and op != '//':
            return f'quotient({a}, {b}, {e.dtype!r})'
        if op == 'tmod':
            return f'remainder({a}, {b}, {e.dtype!r})'
        if op == 'pow':
            return f'({a} ** {b})'
        if op == 'tdiv':
            op = '/'
        return f'({a} {op} {b})'

    def value_as(self, e, dtype: str) -> str:
        """Text of a scalar operand converted to the dtype of the operation."""
        e = E.as_expr(e)
        source = _dtype_of(e)
        if isinstance(e, E.Const):
            return self.constant(e.value, dtype) if 'float' in dtype else self.hoist(f'scalar({_plain(e.value)}, {dtype!r})', 'c')
        text = self.value(e)
        if source == dtype and 'float' in dtype:
            return text
        return f'scalar({text}, {dtype!r})'

    # -- elements of buffers ------------------------------------------------------------------------------------------
    def element(self, name: str, idx: tuple[E.Expr, ...]) -> str:
        """One element read inside a value."""
        if self.absent(name):
            return '0'
        return self.item(name, idx, [self.expr(i) for i in idx])

    def absent(self, name: str) -> bool:
        """The core has no such memory."""
        return self.role == 'C' and self.buffer(name).space == 'UB' or self.role == 'V' and self.buffer(name).space in ('L1', 'L0A', 'L0B', 'L0C')

    def item(self, name: str, idx: tuple[E.Expr, ...], texts: list[str]) -> str:
        b, p = self.buffer(name), self.place(name)
        at = self.flat_index(name, texts)
        flat = self.flat(name)
        if p.exact:
            read = f'float32({flat}[{at}].item())'
        elif 'float' in b.dtype:
            read = f'{flat}[{at}]'
        else:
            read = f'{flat}.item({at})'
        if b.space != 'GM':
            return read
        # scalar accesses to GM are guarded: a load outside the tensor gives 0 (dialect 5.5)
        guard = ' and '.join(f'0 <= {t} < {d}' for t, d in zip(texts, b.dims) if not (t.isdigit() and int(t) < d))
        return f'({read} if {guard} else {"float32(0)" if "float" in b.dtype else "0"})' if guard else read

    def flat_index(self, name: str, texts: list[str]) -> str:
        dims = self.buffer(name).dims
        at = ''
        for d, t in zip(dims, texts):
            at = t if not at or at == '0' else f'({at}) * {d} + {t}'
        return at or '0'


def _plain(v) -> str:
    if isinstance(v, float) and not math.isfinite(v):
        return f"float('{v}')"
    return repr(v)


def _dtype_of(e: E.Expr) -> str:
    return e.dtype
