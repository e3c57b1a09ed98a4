"""Operands of generated data code: how a Region becomes the text of a view.

Views with a constant start are made once per core, before any block runs; views with a computed start are found in a
table by that start. Sources and targets are arrays of values (float32 for narrow floats); `finish` emits what has to
follow the operation: rounding of a shadow, or the write-back into exact storage.
"""

from __future__ import annotations

from ...errors import DialectError, Span
from ...ir import expr as E
from ...ir.nodes import Buffer, Program, Region, Stmt
from ..codegen import Generator, py_name
from ..memory import NARROW, Place, Plan


class Operands(Generator):
    def __init__(self, program: Program, role: str, layout: Plan, target: str):
        super().__init__(program, role)
        self.layout, self.target = layout, target
        self.depth = 2
        self.head: list[str] = []
        self.hoisted: dict[str, str] = {}
        self.spans: list[Span | None] = []
        self.span: Span | None = program.span
        self.after: list[str] = []
        self.counter = 0
        self.slots: dict[tuple, int] = {}
        self.torch_of: dict[str, str] = {}  # scratch arrays as tensors
        launch = program.launch
        self.ranges = {launch.cid.name: (0, max(E.int_value(launch.blocks) or 1, 1) - 1),
                       launch.vid.name: (0, launch.vectors - 1 if role == 'V' else 0)}

    # -- text ---------------------------------------------------------------------------------------------------------
    def emit(self, line: str) -> None:
        super().emit(line)
        self.spans.append(self.span)

    def statement(self, s: Stmt) -> None:
        self.span = getattr(s, 'span', None) or self.span
        super().statement(s)

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f'{prefix}{self.counter}'

    def hoist(self, text: str, prefix: str = 'k') -> str:
        """A name for a value that is the same in every block of a core."""
        name = self.hoisted.get(text)
        if name is None:
            name = self.hoisted[text] = f'{prefix}{len(self.hoisted)}'
            self.head.append(f'    {name} = {text}')
        return name

    # -- buffers ------------------------------------------------------------------------------------------------------
    def buffer(self, name: str) -> Buffer:
        return self.program.buffers[name]

    def place(self, name: str) -> Place:
        return self.layout.places[name]

    def flat(self, name: str) -> str:
        """The flat array (or exact tensor) of a buffer."""
        text = f'mem[{name!r}]'
        if text not in self.hoisted:
            self.hoisted[text] = py_name(name, 'F_')
            self.head.append(f'    {self.hoisted[text]} = {text}')
        return self.hoisted[text]

    def scratch(self, dtype: str, shape: tuple[int, ...], numpy: bool = True) -> str:
        """A work array of this thread, free again after the instruction."""
        key = (dtype, shape)
        slot = self.slots.get(key, 0)
        self.slots[key] = slot + 1
        array = self.hoist(f'rt.scratch({dtype!r}, {shape}, {slot})', 's')
        if not numpy:
            return array
        name = self.hoist(f'{array}.numpy()', 'n')
        self.torch_of[name] = array
        return name

    def finish(self) -> None:
        for line in self.after:
            self.emit(line)
        self.after.clear()
        self.slots.clear()

    # -- addresses ----------------------------------------------------------------------------------------------------
    def pin(self, e: E.Expr) -> E.Expr:
        """Evaluates an expression that reads data exactly once, where it stands (its value may be logged)."""
        if all(self.buffer(x.buffer).space == 'VAR' for x in E.loads(e)):
            return e
        name = self.fresh('ld')
        self.emit(f'{py_name(name)} = {self.expr(e)}')
        return E.Var(name, e.dtype)

    def pinned(self, r: Region) -> Region:
        if not any(E.loads(e) for e in r.starts + r.extents):
            return r
        starts = tuple(self.pin(e) for e in r.starts)
        return Region(r.buffer, starts, tuple(self.pin(e) for e in r.extents), r.form)

    def offset(self, r: Region) -> E.Expr:
        """Row-major element offset of a region's start."""
        return E.flat_offset(self.buffer(r.buffer).shape, r.starts)

    def text_of(self, e: E.Expr) -> str:
        """Text of an address that is used more than once."""
        if isinstance(e, (E.Const, E.Var)):
            return self.expr(e)
        name = self.fresh('o')
        self.emit(f'{name} = {self.expr(e)}')
        return name

    def count(self, r: Region) -> int | str:
        """Elements of a region: a number, or text when only known at run time."""
        total = E.product(r.extents)
        n = E.int_value(total)
        return n if n is not None else self.text_of(total)

    def static(self, e, what: str) -> int:
        n = E.int_value(e)
        if n is None:
            raise DialectError(f'{what} must be a constant', where=self.span, why='the generated instruction has it as a template argument',
                               instead='a Python int')
        return n

    # -- views --------------------------------------------------------------------------------------------------------
    def view(self, name: str, start: E.Expr, shape: tuple, strides: tuple | None = None, torch: bool = False) -> str:
        """A view of the storage itself. Exact storage is always torch."""
        if strides is None:
            strides = tuple(_product(shape[i + 1:]) for i in range(len(shape)))
        flat = self.flat(name)
        if all(isinstance(x, int) for x in shape + strides):
            table = self.hoist(f'Views({flat}, {shape}, {strides}, {name!r}, {torch})', 'w')
            value = E.int_value(start)
            reach = 1 + sum((s - 1) * p for s, p in zip(shape, strides)) if all(shape) else 0
            if value is not None and 0 <= value and value + reach <= self.place(name).elements:
                return self.hoist(f'{table}[{value}]', 'k')
            return f'{table}[{self.expr(start)}]'
        shape_text = '(' + ', '.join(map(str, shape)) + ',)'
        stride_text = '(' + ', '.join(map(str, strides)) + ',)'
        return f'view_at({flat}, {self.expr(start)}, {shape_text}, {stride_text}, {name!r}, {torch})'

    def source(self, r: Region, shape: tuple, offset: E.Expr | None = None) -> str:
        """Values read by an instruction: the contiguous run from the region's start, in `shape`."""
        start = self.offset(r) if offset is None else offset
        p = self.place(r.buffer)
        if not p.exact:
            return self.view(r.buffer, start, shape)
        if not _known(shape):
            return f'raised({self.view(r.buffer, start, shape)})'
        work = self.scratch('float32', shape, numpy=False)
        self.emit(f'{work}.copy_({self.view(r.buffer, start, shape)})')
        return self.hoist(f'{work}.numpy()', 'n')

    def target_of(self, r: Region, shape: tuple, round_: bool = True, keep: bool = False, offset: E.Expr | None = None) -> str:
        """Array an instruction writes; `keep` when it reads or only partly overwrites the old content."""
        start = self.offset(r) if offset is None else offset
        p = self.place(r.buffer)
        if p.exact:
            if not isinstance(start, E.Const):
                start = E.Var(self.bind(start))
            home = self.view(r.buffer, start, shape)
            if not _known(shape):
                name = self.fresh('x')
                self.emit(f'{name} = raised({home})')
                self.after.append(f'lower({home}, {name})')
                return name
            work = self.scratch('float32', shape, numpy=False)
            if keep:
                self.emit(f'{work}.copy_({home})')
            self.after.append(f'{home}.copy_({work})')
            return self.hoist(f'{work}.numpy()', 'n')
        if round_ and p.dtype in NARROW:
            if not isinstance(start, E.Const):
                start = E.Var(self.bind(start))
            if not _known(shape):
                name = self.fresh('x')
                self.emit(f'{name} = {self.view(r.buffer, start, shape)}')
                self.after.append(f'settle({name}, {p.dtype!r})')
                return name
            n = (_product(shape),)
            low = self.scratch(p.dtype, n, numpy=False)
            high = self.view(r.buffer, start, n, torch=True)
            self.after.append(f'{low}.copy_({high}); {high}.copy_({low})')
        return self.view(r.buffer, start, shape)

    def bind(self, e: E.Expr) -> str:
        """A generated local, named so that `expr` of its Var finds it."""
        if isinstance(e, E.Var):
            return e.name
        name = self.fresh('at')
        self.emit(f'{py_name(name)} = {self.expr(e)}')
        return name


def _known(shape: tuple) -> bool:
    return all(isinstance(x, int) for x in shape)


def _product(values):
    n = 1
    for v in values:
        n = n * v if isinstance(v, int) and isinstance(n, int) else f'({n}) * ({v})' if n != 1 else v
    return n
