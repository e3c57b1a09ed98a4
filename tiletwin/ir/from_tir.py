"""From TIR to a Program: the only reader of what `tiletwin.language` wrote into TIR."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tilelang  # noqa: F401
from tilelang.ir import get_buffer_span, get_prim_func_span, get_stmt_span
from tvm import tirx

from ..dtypes import dtype as dtype_of
from ..errors import DialectError, Span
from ..language.carrier import DECLARATIONS, INSTR_OP, KERNEL, REGION_OP, SCOPE
from ..language.operands import SPACES
from .expr import free_vars
from .nodes import Break, Buffer, For, If, Instr, Launch, Let, Program, Region, Scope, Stmt, Store, While, map_bodies, walk
from ..language.tir_expr import Expressions, exact

_KINDS = {0: 'serial', 1: 'parallel', 2: 'serial', 3: 'unroll'}


class _Unique:
    """Names of a Program: the first user of a name keeps it, later ones get _1, _2, ..."""

    def __init__(self):
        self.taken: set[str] = set()
        self.next: dict[str, int] = {}

    def __call__(self, wanted: str) -> str:
        name = wanted
        while name in self.taken:
            count = self.next.get(wanted, 0) + 1
            self.next[wanted] = count
            name = f'{wanted}_{count}'
        self.taken.add(name)
        return name


def _span(tir_span) -> Span | None:
    return None if tir_span is None else Span(exact(tir_span.source_name.name), tir_span.line)


class _Reader:
    def __init__(self, func: tirx.PrimFunc):
        self.func = func
        self.unique = _Unique()
        self.buffers: dict[str, Buffer] = {}
        self.names: dict[int, str] = {}  # tvm data variable -> buffer name
        self.used: set[str] = set()
        self.on_chip: dict[str, Span | None] = {}  # names of on-chip buffers as the source spells them
        self.expr = Expressions(self.buffer_name, self.unique)
        self.launch: Launch | None = None
        self.span = _span(get_prim_func_span(func))

    # ---- buffers -----------------------------------------------------------------------------------------------------

    def buffer_name(self, buffer: tirx.Buffer) -> str:
        name = self.names.get(hash(buffer.data))
        if name is None:
            name = self.declare(buffer)
        self.used.add(name)
        return name

    def declare(self, buffer: tirx.Buffer) -> str:
        space = SPACES.get(buffer.scope())
        span = _span(get_buffer_span(buffer)) or self.span
        if space is None:
            raise DialectError(f'{buffer.name} lives in {buffer.scope()!r}', where=span, why='the chip has GM, L1, L0A, L0B, L0C and UB',
                               instead='an allocator of the dialect')
        wanted = exact(buffer.name)
        if space not in ('GM', 'VAR') and wanted in self.on_chip:
            first = self.on_chip[wanted]
            raise DialectError(f'Duplicate buffer name found: {buffer.name}. Please ensure all buffers have unique names.', where=span,
                               why=f'the memory planner tells buffers apart by name, and {buffer.name} is also allocated at {first}',
                               instead='another name; a macro that allocates can be expanded once, so pass the buffer in')
        if space not in ('GM', 'VAR'):
            self.on_chip[wanted] = span
        name = self.unique(wanted)
        self.names[hash(buffer.data)] = name
        shape = tuple(self.expr(d) for d in buffer.shape)
        self.buffers[name] = Buffer(name, space, shape, dtype_of(str(buffer.dtype)).name, span)
        return name

    # ---- the function ------------------------------------------------------------------------------------------------

    def program(self) -> Program:
        params: list[Any] = []
        for p in self.func.params:
            if p in self.func.buffer_map:
                buffer = self.func.buffer_map[p]
                name = self.declare(buffer)
                params.append(name)
            else:
                params.append(self.expr.variable(p))
        body = self.block(self.func.body)
        name = exact(self.func.attrs['global_symbol']) if self.func.attrs and 'global_symbol' in self.func.attrs else 'main'
        if self.launch is None:
            raise DialectError(f'{name} has no T.Kernel', where=self.span, why='only code inside the kernel frame runs on the chip',
                               instead='with T.Kernel(n, is_npu=True) as (cid, vid):')
        attrs = {exact(k): v for k, v in (self.func.attrs or {}).items() if str(k) not in ('global_symbol', 'tirx.noalias', 'tir.noalias')}
        return Program(name, tuple(params), self.buffers, self.launch, _without_dead_lets(body), {k: _plain(v) for k, v in attrs.items()}, self.span)

    # ---- statements --------------------------------------------------------------------------------------------------

    def block(self, stmt) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        self.append(stmt, out, self.span)
        return tuple(out)

    def nested(self, stmt, span) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        if stmt is not None:
            self.append(stmt, out, span)
        return tuple(out)

    def append(self, stmt, out: list[Stmt], outer: Span | None) -> None:
        kind = type(stmt).__name__
        if kind == 'SeqStmt':
            for s in stmt.seq:
                self.append(s, out, outer)
            return
        span = _span(get_stmt_span(stmt)) or outer
        handler = getattr(self, f'_{kind}', None)
        if handler is None:
            raise DialectError(f'a {kind} statement', where=span, why='it has no form in a tile program',
                               instead='loops, ifs, tile instructions and scalar stores')
        handler(stmt, out, span)

    def _Evaluate(self, stmt, out, span):
        value = stmt.value
        if isinstance(value, tirx.Call) and value.op.same_as(INSTR_OP):
            self.instruction(value, out, span)
        elif not isinstance(value, tirx.StringImm):
            self.expr(value)  # a bare expression has no effect; a call that is no scalar function is refused

    def _AllocBuffer(self, stmt, out, span):
        self.declare(stmt.buffer)
        if (body := getattr(stmt, 'body', None)) is not None:
            self.append(body, out, span)

    def _BufferStore(self, stmt, out, span):
        name = self.buffer_name(stmt.buffer)
        out.append(Store(name, tuple(map(self.expr, stmt.indices)), self.expr(stmt.value), span))

    def _Bind(self, stmt, out, span):
        value = self.expr(stmt.value)
        out.append(Let(self.expr.variable(stmt.var), value, span))

    def _For(self, stmt, out, span):
        kind = _KINDS.get(int(stmt.kind))
        if kind is None:
            raise DialectError('a thread-bound loop', where=span, why='blocks come from T.Kernel', instead='T.Kernel(n, is_npu=True)')
        start, extent = self.expr(stmt.min), self.expr(stmt.extent)
        var = self.expr.variable(stmt.loop_var)
        notes = {exact(k): _plain(v) for k, v in stmt.annotations.items()} if stmt.annotations else {}
        out.append(For(var, start, extent, self.nested(stmt.body, span), kind, notes, span))

    def _While(self, stmt, out, span):
        out.append(While(self.expr(stmt.condition), self.nested(stmt.body, span), span))

    def _IfThenElse(self, stmt, out, span):
        out.append(If(self.expr(stmt.condition), self.nested(stmt.then_case, span), self.nested(stmt.else_case, span), span))

    def _AttrStmt(self, stmt, out, span):
        if stmt.attr_key == KERNEL:
            node = stmt.node
            self.launch = Launch(self.expr.variable(node['cid']), self.expr.variable(node['vid']), self.expr(stmt.value), exact(node['form']))
            self.append(stmt.body, out, span)
        elif stmt.attr_key == SCOPE:
            out.append(Scope(exact(stmt.value.value), self.nested(stmt.body, span), span))
        else:
            raise DialectError(f'the attribute {stmt.attr_key}', where=span, why='attributes have no meaning on the chip')

    # ---- instructions ------------------------------------------------------------------------------------------------

    def instruction(self, call, out, span) -> None:
        op = exact(call.args[0].value)
        attrs = {exact(k): self.attribute(v) for k, v in call.annotations.items()} if call.annotations else {}
        if op in DECLARATIONS:
            self.declaration(op, call.args[1:], attrs, span)
            return
        if self.launch is None:
            raise DialectError(f'{op} outside T.Kernel', where=span, why='only code inside the kernel frame runs on the chip',
                               instead='move it into `with T.Kernel(...)`')
        if op == 'loop_break':
            out.append(Break(span))
            return
        if op == 'copy':
            attrs.setdefault('pad', None)
        if op == 'reduce':
            attrs.setdefault('real_shape', None)
        out.append(Instr(op, tuple(map(self.argument, call.args[1:])), attrs, span))

    def argument(self, value):
        if isinstance(value, tirx.StringImm):
            return exact(value.value)
        if isinstance(value, tirx.Call) and value.op.same_as(REGION_OP):
            return self.region(value)
        return self.expr(value)

    def region(self, call) -> Region:
        load = call.args[1]
        return Region(self.buffer_name(load.buffer), tuple(map(self.expr, load.indices)), tuple(self.expr(e) for e in call.args[2:]),
                      exact(call.args[0].value))

    def attribute(self, value):
        if isinstance(value, tirx.IntImm):
            return bool(value.value) if value.dtype == 'bool' else value.value
        if isinstance(value, tirx.FloatImm):
            return value.value
        if isinstance(value, tirx.StringImm):
            return exact(value.value)
        if isinstance(value, tirx.Call) and str(value.op.name) == 'tirx.call_extern' and value.args[0].value == 'shape':
            return tuple(map(self.expr, value.args[1:]))
        return self.expr(value)

    def declaration(self, op: str, args, attrs, span) -> None:
        load = args[0].args[1]
        fresh = hash(load.buffer.data) not in self.names
        seen = not fresh and self.names[hash(load.buffer.data)] in self.used
        name = self.names.get(hash(load.buffer.data)) or self.declare(load.buffer)
        buffer = self.buffers[name]
        match op:
            case 'declare_var':
                changed = replace(buffer, init=attrs['init'])
            case 'annotate_layout':
                changed = replace(buffer, layout=attrs['layout'])
            case 'annotate_address':
                changed = replace(buffer, address=attrs['address'], annotated=True)
            case 'declare_alias':
                source = self.buffer_name(args[1].args[1].buffer)
                if seen and not fresh:
                    raise DialectError(f'{name} is used before reinterpretcast makes it an alias of {source}', where=span,
                                       why='before the cast the name means its own allocation, afterwards the bytes of the source',
                                       instead='the cast before the first use')
                changed = replace(buffer, alias_of=source, alias_offset=0, dtype=attrs.get('dtype', buffer.dtype))
        self.buffers[name] = changed


def _plain(value: Any) -> Any:
    """An annotation as a Python value."""
    if isinstance(value, (tirx.IntImm, tirx.FloatImm, tirx.StringImm)):
        value = value.value
    if isinstance(value, str):
        return exact(value)
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    try:
        return tuple(_plain(v) for v in value)
    except TypeError:
        return str(value)


def _without_dead_lets(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """Lets nobody reads: names of start indices that only copies used. A dead scalar load would cost time the chip never spends."""
    while True:
        used: set[str] = set()
        for s in walk(body):
            for e in _expressions(s):
                used |= free_vars(e)
        slim = _drop(body, used)
        if slim == body:
            return body
        body = slim


def _drop(body: tuple[Stmt, ...], used: set[str]) -> tuple[Stmt, ...]:
    return tuple(map_bodies(s, lambda b: _drop(b, used)) for s in body if not (isinstance(s, Let) and s.var.name not in used))


def _expressions(s: Stmt):
    """Every scalar expression of one statement, nested blocks excluded."""
    match s:
        case Instr(args=args, attrs=attrs):
            for a in (*args, *attrs.values()):
                yield from _parts(a)
        case Store(indices=i, value=v):
            yield from (*i, v)
        case Let(value=v):
            yield v
        case For(start=a, extent=b):
            yield from (a, b)
        case While(cond=c) | If(cond=c):
            yield c


def _parts(a: Any):
    if isinstance(a, Region):
        yield from (*a.starts, *a.extents)
    elif isinstance(a, tuple):
        for x in a:
            yield from _parts(x)
    elif not isinstance(a, (str, int, float, bool, type(None))):
        yield a


def program(func: tirx.PrimFunc) -> Program:
    """The tile program of a traced prim_func."""
    return _Reader(func).program()
