"""Generates the function that moves the data of one role: `make(mem, rt, core)` returns `run(cid, vid, sync, log)`.

What `log` receives, in order: every scalar read from UB or GM that steers control flow or addresses. Inside one
instruction the operands are evaluated in argument order, the starts of a region before its extents, each exactly once;
then counts and strides in argument order. Values of stores and scalar operands are not logged.
A core that has to wait yields the index of the waiting line in `spans`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Span, TileTwinError, UnsupportedError
from ..ir import expr as E
from ..ir.analysis import bounds
from ..ir.nodes import For, Instr, Let, Program, Region, Scope, Stmt, Store, While, walk
from ..ir.ops import OPS
from .codegen import py_name
from .emit.copies import Copies
from .emit.library import Library
from .emit.parallel import Parallel
from .emit.rowfold import RowFold
from .forward import forwarded
from .memory import NARROW, Plan

ITERATION_LIMIT = 1 << 20


@dataclass(frozen=True)
class Code:
    """Source of one role, with the kernel line behind every generated line."""

    text: str
    spans: tuple[Span | None, ...]  # of the lines of `text`
    waits: tuple[Span | None, ...]  # of the yields
    steers: bool  # some scalar read from data steers control or addresses


class DataGenerator(RowFold, Parallel, Copies, Library):
    def __init__(self, program: Program, role: str, layout: Plan, target: str, log: bool):
        super().__init__(program, role, layout, target)
        self.log = log
        self.waits: list[Span | None] = []
        self.steers = False
        self.turned = _turned(program)
        self.forward, self.unfilled = forwarded(program, layout)

    # -- control ------------------------------------------------------------------------------------------------------
    def statement(self, s: Stmt) -> None:
        match s:
            case Scope(core=core) if core == self.role:
                outer, self.in_scope = self.in_scope, core
                super().statement(s)
                self.in_scope = outer
            case Let(var=var, value=value):
                super().statement(s)
                found = bounds(value, self.ranges)
                if found is not None:
                    self.ranges[var.name] = found
            case While():
                self.span = s.span or self.span
                guard = self.fresh('turns')
                self.emit(f'{guard} = 0')
                with self.block(f'while {self.expr(s.cond)}:'):
                    self.emit(f'{guard} += 1')
                    with self.block(f'if {guard} > {ITERATION_LIMIT}:'):
                        self.emit(f'raise RuntimeError("more than {ITERATION_LIMIT} iterations of one while loop")')
                    self.run(s.body)
            case _:
                super().statement(s)

    def serial_for(self, s: For) -> None:
        low, size = bounds(s.start, self.ranges), bounds(s.extent, self.ranges)
        if low and size:
            self.ranges[s.var.name] = (low[0], max(low[1] + size[1] - 1, low[0]))
        if self.fold_rows(s):
            return
        mark = len(self.lines)
        super().serial_for(s)
        if all(line.strip() == 'pass' for line in self.lines[mark + 1:]) and 'lg(' not in self.lines[mark]:
            del self.lines[mark:], self.spans[mark:]

    def load(self, buffer: str, indices: tuple[E.Expr, ...], dtype: str) -> str:
        if self.absent(buffer):
            value = '0'
        else:
            # the outer read decides when the inner ones happen
            value = self.item(buffer, indices, [self.once(i) for i in indices])
            value = f'float({value})' if 'float' in dtype else value
        self.steers = True
        return f'lg({value})' if self.log else value

    def once(self, e: E.Expr) -> str:
        text = self.expr(e)
        return text if isinstance(e, (E.Const, E.Var)) or self.buffer_free(e) else f'({text})'

    def buffer_free(self, e: E.Expr) -> bool:
        return not E.loads(e)

    # -- instructions -------------------------------------------------------------------------------------------------
    def on_instr(self, s: Instr) -> None:
        op = s.op
        if op in ('copy', 'atomic_add'):
            getattr(self, f'on_{op}')(s)
        elif OPS[op].pipe in ('V', 'M'):
            self.run_vector(s)
        elif op == 'set_cross_flag':
            self.emit(f'sync.set(core, {self.expr(s.args[1])}, {self.static(s.attrs.get("mode", 2), "the mode of a cross flag")})')
        elif op == 'wait_cross_flag':
            self.wait(f'sync.take(core, {self.expr(s.args[0])})', s)
        elif op == 'sync_all':
            kind = 'all' if self.target != 'pto' or self.in_scope is None else self.in_scope
            name = self.fresh('turn')
            self.emit(f'{name} = sync.arrive(core, {kind!r})')
            self.wait(f'sync.passed({kind!r}, {name})', s)
        elif op == 'set_deq_scale':
            self.emit(f'rt.deq = {self.value_as(s.args[0], "float16")}')
        elif op == 'printf':
            self.printf(s)
        elif op == 'dump_tensor':
            self.dump(s)
        elif op in ('set_flag', 'wait_flag', 'pipe_barrier', 'datacachecleanandinvalid_experiment'):
            for a in s.args:
                if isinstance(a, E.EXPR_TYPES):
                    self.pin(a)
        else:
            raise UnsupportedError(f'{op} is not simulated', where=s.span)

    def wait(self, condition: str, s: Instr) -> None:
        with self.block(f'while not {condition}:'):
            self.emit(f'yield {len(self.waits)}')
        self.waits.append(s.span)

    def printf(self, s: Instr) -> None:
        texts = []
        for a in s.args[1:]:
            if isinstance(a, Region):
                texts.append(str(self.buffer(a.buffer).address or 0))
            else:
                texts.append(self.value(a) if isinstance(a, E.EXPR_TYPES) else repr(a))
        self.emit(f'rt.prints.append(printf({", ".join([repr(s.args[0]), *texts])}))')

    def dump(self, s: Instr) -> None:
        r, desc, size = s.args
        if self.absent(r.buffer) or self.role == 'V' and self.buffer(r.buffer).space in ('L1', 'L0C'):
            return
        r = self.pinned(r)
        n = self.number(size)
        self.emit(f'rt.prints.append(dump({r.buffer!r}, {self.expr(E.as_expr(desc))}, {self.source(r, (n,))}))')
        self.finish()

    # -- scalar stores ------------------------------------------------------------------------------------------------
    def on_store(self, s: Store) -> None:
        if self.absent(s.buffer):
            return
        b, p = self.buffer(s.buffer), self.place(s.buffer)
        texts = [self.text_of(self.pin(i)) for i in s.indices]
        value = self.value(s.value)
        at, flat = self.flat_index(s.buffer, texts), self.flat(s.buffer)
        if p.exact:
            line = f'store({flat}, {at}, {value})'
        elif b.dtype in NARROW:
            line = f'{flat}[{at}] = scalar({value}, {b.dtype!r})'
        elif 'float' in b.dtype:
            line = f'{flat}[{at}] = {value}'
        else:
            line = f'{flat}[{at}] = scalar({value}, {b.dtype!r})'
        if b.space == 'GM':
            # scalar stores outside a tensor are dropped (dialect 5.5)
            guard = ' and '.join(f'0 <= {t} < {d}' for t, d in zip(texts, b.dims) if not (t.isdigit() and int(t) < d))
            if guard:
                with self.block(f'if {guard}:'):
                    self.emit(line)
                return
        self.emit(line)

    # -- the function -------------------------------------------------------------------------------------------------
    def code(self) -> Code:
        launch = self.program.launch
        self.prologue()
        try:
            self.run(self.program.body)
        except TileTwinError as error:
            raise (error.at(self.span) if self.span else error) from None
        lines = ['def make(mem, rt, core):', *self.head]
        spans: list[Span | None] = [None] * len(lines)
        lines.append(f'    def run({py_name(launch.cid.name)}, {py_name(launch.vid.name)}, sync, lg):')
        lines.extend(self.lines or ['        pass'])
        spans.extend([None, *(self.spans if self.lines else [None])])
        lines.append('    return run')
        spans.append(None)
        return Code('\n'.join(lines) + '\n', tuple(spans), tuple(self.waits), self.steers)


def _turned(program: Program) -> frozenset[str]:
    """L0 buffers that only ever receive transposed tiles: stored as loaded and read as a transpose, which costs nothing."""
    yes, no = set(), set()
    for s in walk(program.body):
        if not isinstance(s, Instr):
            continue
        for i, a in enumerate(s.args):
            if isinstance(a, Region) and program.buffers[a.buffer].space in ('L0A', 'L0B'):
                if s.op == 'copy' and i == 1:
                    (yes if s.attrs.get('transpose') else no).add(a.buffer)
                elif s.op != 'mma':
                    no.add(a.buffer)
    for b in program.buffers.values():
        if b.alias_of is not None:
            no |= {b.name, program.root(b.name)[0].name}
        elif b.address is not None and b.space in ('L0A', 'L0B'):
            rest = [c for c in program.buffers.values() if c.space == b.space and c.name != b.name]
            if any(c.address is None or c.address < b.address + b.bytes and b.address < c.address + c.bytes for c in rest):
                no.add(b.name)
    return frozenset(yes - no)


