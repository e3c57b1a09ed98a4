"""Vector instructions (dialect 5.3): operands are contiguous runs; narrow floats compute in float32 and round per instruction."""

from __future__ import annotations

from ...errors import UnsupportedError
from ...ir import expr as E
from ...ir.nodes import Instr, Region
from ..codegen import py_name
from ..memory import NARROW
from .values import Values

# ufuncs of instructions whose result is always a value of the dtype need no rounding
_BINARY = {'add': ('add', True), 'sub': ('subtract', True), 'mul': ('multiply', True), 'div': ('divide', True), 'max': ('maximum', False),
           'min': ('minimum', False)} | {name: (name, False) for name in ('bitwise_and', 'bitwise_or', 'bitwise_xor')}
_UNARY = {'exp': ('exp', True), 'ln': ('log', True), 'abs': ('absolute', False), 'reciprocal': ('reciprocal', True), 'sqrt': ('sqrt', True),
          'bitwise_not': ('invert', False), 'sin': ('sin', True), 'cos': ('cos', True), 'rsqrt': ('rsqrt', True)}
_EXPAND = {'row_expand_mul': 'multiply', 'row_expand_mul_experiment': 'multiply', 'row_expand_sub_experiment': 'subtract',
           'row_expand_div_experiment': 'divide'}


class Vector(Values):
    rows: tuple[str, int] | None = None  # set while a row loop is folded (emit.rowfold)

    def dtype(self, r: Region) -> str:
        return self.buffer(r.buffer).dtype

    def scalar_operand(self, a, dtype: str) -> str:
        """A scalar, or an element read by its first index only (dialect 5.3)."""
        if isinstance(a, Region):
            p, flat = self.place(a.buffer), self.flat(a.buffer)
            at = self.expr(self.instr.attrs.get('element', a.starts[0]))
            return f'scalar(float({flat}[{at}]), {dtype!r})' if p.exact else f'{flat}[{at}]'
        return self.value_as(a, dtype)

    def number(self, e) -> int | str:
        """A count or stride: a number, or text evaluated once."""
        e = E.as_expr(e)
        n = E.int_value(e)
        return n if n is not None else self.text_of(self.pin(e))

    def tail(self, r: Region, written: bool = False) -> str:
        """The tile from the operand's start to its end, for instructions that reach beyond the operand."""
        b = self.buffer(r.buffer)
        start = self.offset(r)
        v = E.int_value(start)
        if v is not None:
            n = b.elements - v
            return self.target_of(r, (n,), keep=True) if written else self.source(r, (n,))
        at = self.bind(start)
        n = f'({b.elements} - {py_name(at)})'
        return self.target_of(r, (n,), keep=True, offset=E.Var(at)) if written else self.source(r, (n,), offset=E.Var(at))

    def run_vector(self, s: Instr) -> None:
        self.instr = s
        s = Instr(s.op, tuple(self.pinned(a) if isinstance(a, Region) else a for a in s.args), s.attrs, s.span, s.origin)
        self.vector_op(self.inside(s) if 'count' in s.attrs or 'beyond' in s.attrs else s)
        self.finish()

    def inside(self, s: Instr) -> Instr:
        """The part of an instruction that stays inside its tiles, where a pass made it reach further; the rest is memcheck's to report."""
        mask = {'select': 1, 'compare': 0, 'compare_scalar': 0}.get(s.op)  # one bit per element
        tiles = {i: a for i, a in enumerate(s.args) if isinstance(a, Region) and a.form != 'element' and i != mask}
        n = s.attrs.get('count') or E.int_value(E.product(s.args[0].extents))
        for r in tiles.values():
            if (at := E.int_value(self.offset(r))) is not None:
                n = min(n, self.buffer(r.buffer).elements - at)
        args = tuple(Region(a.buffer, a.starts, (E.Const(1),) * (len(a.starts) - 1) + (E.Const(n),), 'region') if i in tiles else a
                     for i, a in enumerate(s.args))
        return Instr(s.op, args, s.attrs, s.span, s.origin)

    def vector_op(self, s: Instr) -> None:
        op, args = s.op, s.args
        handler = getattr(self, f'op_{op}', None)
        if handler is not None:
            handler(s, *args)
        elif op in _BINARY:
            self.binary_op(op, *args)
        elif op in _UNARY:
            name, rounds = _UNARY[op]
            n = self.count(args[0])
            self.emit(f'{name}({self.source(args[1], (n,))}, {self.target_of(args[0], (n,), rounds)})')
        elif op in _EXPAND:
            self.expand_rows(s)
        else:
            raise UnsupportedError(f'{op} is not simulated', where=s.span)

    # -- element-wise -------------------------------------------------------------------------------------------------
    def binary_op(self, op: str, dst: Region, a: Region, b: Region) -> None:
        name, rounds = _BINARY[op]
        n = self.count(dst)
        if op == 'div' and 'float' not in self.dtype(dst):
            name = 'int_div'
        self.emit(f'{name}({self.source(a, (n,))}, {self.source(b, (n,))}, out={self.target_of(dst, (n,), rounds)})')

    def scalar_form(self, ufunc: str, dst: Region, a: Region, value: str, rounds: bool = True) -> None:
        n = self.count(dst)
        self.emit(f'{ufunc}({self.source(a, (n,))}, {value}, out={self.target_of(dst, (n,), rounds)})')

    def op_adds(self, s, dst, a, x):
        self.scalar_form('add', dst, a, self.scalar_operand(x, self.dtype(dst)))

    def op_muls(self, s, dst, a, x):
        self.scalar_form('multiply', dst, a, self.scalar_operand(x, self.dtype(dst)))

    def op_maxs(self, s, dst, a, x):
        self.scalar_form('maximum', dst, a, self.scalar_operand(x, self.dtype(dst)), False)

    def op_mins(self, s, dst, a, x):
        self.scalar_form('minimum', dst, a, self.scalar_operand(x, self.dtype(dst)), False)

    def op_subs(self, s, dst, a, x):
        self.scalar_form('subtract', dst, a, self.scalar_operand(x, self.dtype(dst)))

    def op_divs(self, s, dst, a, x):
        d = self.dtype(dst)
        value = self.scalar_operand(x, d)
        if self.target == 'pto':
            self.scalar_form('divide' if 'float' in d else 'int_div', dst, a, value)
        else:
            factor = f'reciprocal{"s" if self.rows and isinstance(x, Region) else "_of"}({value}, {d!r})'
            constant = isinstance(x, E.Const) or not isinstance(x, Region) and not isinstance(x, E.EXPR_TYPES)
            self.scalar_form('multiply', dst, a, self.hoist(factor, 'c') if constant else factor)

    def op_leaky_relu(self, s, dst, a, x):
        self.with_out('leaky_relu', dst, a, self.value_as(x, self.dtype(dst)))

    def with_out(self, fn: str, dst: Region, a: Region, *extra: str, n=None, rounds: bool = True) -> None:
        n = self.count(dst) if n is None else n
        texts = [self.source(a, (n,)), *map(str, extra), self.target_of(dst, (n,), rounds)]
        self.emit(f'{fn}({", ".join(texts)})')

    def op_relu(self, s, dst, a):
        self.scalar_form('maximum', dst, a, '0', False)

    def op_axpy(self, s, dst, a, x):
        n = self.count(dst)
        self.accumulate(dst, self.target_of(dst, (n,), keep=True), self.source(a, (n,)), self.scalar_operand(x, self.dtype(dst)), n)

    def accumulate(self, dst: Region, out: str, a: str, b: str, n) -> None:
        """dst += a * b, with one rounding to a narrow dtype at the end."""
        if isinstance(n, int):
            shape = (self.rows[1], n) if self.rows else (n,)
            d = self.dtype(dst)
            product = self.scratch('float32' if 'float' in d else d, shape)
            self.emit(f'multiply({a}, {b}, out={product}); add({out}, {product}, out={out})')
        else:
            self.emit(f'mul_add({out}, {a}, {b})')

    def op_mul_add_dst(self, s, dst, a, b):
        n = self.count(dst)
        self.accumulate(dst, self.target_of(dst, (n,), keep=True), self.source(a, (n,)), self.source(b, (n,)), n)

    def clobbering(self, fn: str, dst: Region, a: Region, *others: str) -> None:
        """PTO composes the function in its source tile, which is lost (dialect 10.1)."""
        n = self.count(dst)
        if self.target != 'pto':
            texts = [self.source(a, (n,)), *others]
        else:
            texts = [self.target_of(a, (n,), keep=True), *others]
            fn += '_pto'
        if a == dst:
            texts.append(texts[0] if self.target == 'pto' else self.target_of(dst, (n,)))
        else:
            texts.append(self.target_of(dst, (n,)))
        self.emit(f'{fn}({", ".join(texts)})')

    def op_sigmoid(self, s, dst, a):
        self.clobbering('sigmoid', dst, a)

    def op_silu(self, s, dst, a):
        self.clobbering('silu', dst, a)

    def op_pow(self, s, dst, a, b):
        self.clobbering('power', dst, a, self.source(b, (self.count(dst),)))

    def op_round(self, s, dst, a, count):
        self.with_out('round_away', dst, a, n=self.number(count))

    def op_bitwise_lshift(self, s, dst, a, x):
        self.with_out('shift_left', dst, a, self.expr(self.pin(E.as_expr(x))))

    def op_bitwise_rshift(self, s, dst, a, x):
        self.with_out('shift_right', dst, a, self.expr(self.pin(E.as_expr(x))))

    def op_clamp_max(self, s, dst, a, x, count):
        n = self.number(count)
        self.emit(f'minimum({self.source(a, (n,))}, {self.value_as(x, self.dtype(dst))}, out={self.target_of(dst, (n,), False)})')

    def op_clamp_min(self, s, dst, a, x, count):
        n = self.number(count)
        self.emit(f'maximum({self.source(a, (n,))}, {self.value_as(x, self.dtype(dst))}, out={self.target_of(dst, (n,), False)})')

    op_mins_experiment = op_clamp_max

    def op_clamp(self, s, dst, a, low, high, count):
        d = self.dtype(dst)
        self.with_out('clamp', dst, a, self.value_as(low, d), self.value_as(high, d), n=self.number(count), rounds=False)

    def op_sub_experiment(self, s, dst, a, b, count):
        n = self.number(count)
        self.emit(f'subtract({self.source(a, (n,))}, {self.source(b, (n,))}, {self.target_of(dst, (n,))})')

    def op_abs_experiment(self, s, dst, a, count):
        n = self.number(count)
        self.emit(f'absolute({self.source(a, (n,))}, {self.target_of(dst, (n,), False)})')

    # -- fills --------------------------------------------------------------------------------------------------------
    def op_fill(self, s, dst, x):
        n = self.count(dst)
        value = self.scalar_operand(x, self.dtype(dst))
        if self.rows:
            self.emit(f'copyto({self.target_of(dst, (n,), False)}, {value})')
        elif self.place(dst.buffer).exact:
            self.emit(f'{self.view(dst.buffer, self.offset(dst), (n,))}.fill_(float({value}))')
        else:
            self.emit(f'{self.view(dst.buffer, self.offset(dst), (n,))}.fill({value})')

    def op_arith_progression(self, s, dst, first, diff, count):
        d = self.dtype(dst)
        step = '1' if self.target == 'pto' else self.value_as(diff, d)
        out = self.target_of(dst, (self.number(count),), False)
        self.emit(f'progression({out}, {self.value_as(first, d)}, {step}, {d!r})')

    def op_createvecindex(self, s, dst, first):
        d = self.dtype(dst)
        self.emit(f'progression({self.target_of(dst, (self.count(dst),), False)}, {self.value_as(first, d)}, 1, {d!r})')

    def op_init_sort_buf(self, s, dst, num, rsv):
        # the generated call passes `rsv` where the element count belongs (dialect 12.5, 21)
        self.emit(f'sort_buffer({self.tail(dst, True)}, {self.number(rsv)})')

    def op_fill_experiment(self, s, dst, x, mask, repeat, blk, rep):
        d = self.dtype(dst)
        texts = [self.tail(dst, True), self.value_as(x, d), *(str(self.number(v)) for v in (mask, repeat, blk, rep))]
        self.emit(f'fill_masked({", ".join(texts)}, {self.buffer(dst.buffer).es})')

    # -- compare, select, cast ----------------------------------------------------------------------------------------
    def op_compare(self, s, mask, a, b, mode):
        n = self.count(a)
        self.emit(f'compare({self.tail(mask, True)}, {self.source(a, (n,))}, {self.source(b, (n,))}, {mode!r})')

    def op_compare_scalar(self, s, mask, a, x, mode):
        self.emit(f'compare({self.tail(mask, True)}, {self.source(a, (self.count(a),))}, {self.scalar_operand(x, self.dtype(a))}, {mode!r})')

    def op_select(self, s, dst, mask, a, b, mode):
        n = self.count(dst)
        other = self.source(b, (n,)) if isinstance(b, Region) and b.form != 'element' else self.scalar_operand(b, self.dtype(dst))
        texts = [self.target_of(dst, (n,), False), self.tail(mask), self.source(a, (n,)), other, str(self.buffer(dst.buffer).es), repr(mode)]
        self.emit(f'select({", ".join(texts)})')

    def op_cast(self, s, dst, a, mode, count):
        n = self.number(count)
        d, src = self.dtype(dst), self.dtype(a)
        value, out = self.source(a, (n,)), self.target_of(dst, (n,), False)
        if src == d and mode == 'CAST_NONE' or src in ('float16', 'bfloat16') and d == 'float32' and mode == 'CAST_NONE':
            self.emit(f'copyto({out}, {value})')
        elif src == 'float32' and d in ('float16', 'bfloat16') and mode in ('CAST_NONE', 'CAST_RINT') and isinstance(n, int) \
                and not self.place(dst.buffer).exact and not self.place(a.buffer).exact:
            low = self.scratch(d, (n,), numpy=False)
            self.emit(f'{low}.copy_({self.view(a.buffer, self.offset(a), (n,), torch=True)})')
            self.emit(f'{self.view(dst.buffer, self.offset(dst), (n,), torch=True)}.copy_({low})')
        else:
            self.emit(f'copyto({out}, convert({value}, {d!r}, {mode!r}, rt.deq))')

    # -- broadcasts ---------------------------------------------------------------------------------------------------
    def op_broadcast(self, s, dst, a):
        rows, cols = self.matrix(dst)
        n = self.static(E.product(a.extents), 'a broadcast source')
        axis = s.attrs.get('axis')
        if n == rows * cols:
            shape = (rows, cols)
        elif n == 1:
            shape = (1, 1)
        elif axis == 0 or axis is None and n == cols:
            shape = (1, n)
        else:
            shape = (n, 1)
        self.emit(f'copyto({self.target_of(dst, (rows, cols), False)}, {self.source(a, shape)})')

    def matrix(self, r: Region) -> tuple[int, int]:
        """A region as rows x columns of its last two extents."""
        dims = [self.static(e, 'a tile extent') for e in r.extents]
        n = 1
        for d in dims:
            n *= d
        return n // max(dims[-1], 1), dims[-1]

    def expand_rows(self, s: Instr) -> None:
        dst, a, v = s.args[:3]
        rows, cols = self.matrix(dst)
        n = self.static(E.product(v.extents), 'a row vector')
        # without scratch the vector is already spread over one 32-byte block per row
        stride = self.buffer(v.buffer).dims[-1] if n != rows and n % rows == 0 else 1
        pitch = self.buffer(dst.buffer).dims[-1] if len(self.buffer(dst.buffer).shape) > 1 else cols
        vec = self.source(v, (n,)) + (f'[::{n // rows}]' if stride != 1 else '')
        if pitch == cols or self.place(dst.buffer).exact or self.place(a.buffer).exact:
            out, src = self.target_of(dst, (rows, cols)), self.source(a, (rows, cols))
            self.emit(f'expand_rows({out}, {src}, {vec}, {_EXPAND[s.op]})')
            return
        out = self.view(dst.buffer, self.offset(dst), (rows, cols), (pitch, 1))
        src = self.view(a.buffer, self.offset(a), (rows, cols), (self.buffer(a.buffer).dims[-1], 1))
        self.emit(f'expand_rows({out}, {src}, {vec}, {_EXPAND[s.op]})')
        if self.dtype(dst) in NARROW:
            self.emit(f'settle({out}, {self.dtype(dst)!r})')

    def op_brcb_experiment(self, s, dst, a, *rest):
        numbers = ', '.join(str(self.number(v)) for v in rest)
        self.emit(f'block_broadcast({self.tail(dst, True)}, {self.tail(a)}, {numbers}, {self.buffer(dst.buffer).es})')
