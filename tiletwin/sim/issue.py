"""What the scalar unit of each core issues: the instruction stream, and which blocks issue the same one.

An event has a key, `(static id, value, value, ...)`, where the values are the scalars the instruction needs (region starts, flag
ids, counts), and the loop iteration it lies in (`stream`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import Span, TileTwinError
from ..ir import expr as E
from ..ir.analysis import Inliner, bounds, data_dependent, terms
from ..ir.nodes import Break, For, If, Instr, Program, Region, Stmt, Store, While, walk
from ..ir.ops import OPS
from .access import evaluate
from .codegen import Generator, py_name, sync_applies, tdiv, tmod
from .stream import Keys, Stream

CORE_ROLE = ('C', 'V', 'V')


@dataclass(slots=True)
class Static:
    """One instruction of the text, with the scalars that vary at run time."""

    instr: Instr | Store
    kind: str  # 'instr', 'store', 'load'
    role: str  # 'C' or 'V'
    holes: list[E.Expr] = field(default_factory=list)
    loops: tuple[str, ...] = ()

    @property
    def span(self) -> Span | None:
        return self.instr.span


def _loads_memory(program: Program, e: E.Expr) -> bool:
    return any(program.buffers[x.buffer].space != 'VAR' for x in E.loads(e))


class IssueGenerator(Generator):
    """Emits the function that records every issued instruction of one role."""

    def __init__(self, program: Program, role: str, statics: list[Static], scalar_names: list[str], keys: Keys | None = None):
        super().__init__(program, role)
        self.statics, self.keys = statics, keys
        self.scalar_names = scalar_names
        self.loop_names: list[str] = []
        self.loops = 0

    def prologue(self) -> None:
        for name in self.scalar_names:
            self.emit(f'{py_name(name)} = scalars[{name!r}]')
        launch = self.program.launch
        self.emit(f'{py_name(launch.cid.name)} = cid')
        self.emit(f'{py_name(launch.vid.name)} = vid')
        super().prologue()

    def serial_for(self, s: For) -> None:
        self.loop_names.append(s.var.name)
        super().serial_for(s)
        self.loop_names.pop()

    def static(self, instr, kind: str, holes: list[E.Expr]) -> int:
        self.statics.append(Static(instr, kind, self.role, holes, tuple(self.loop_names)))
        return len(self.statics) - 1

    def on_iteration(self) -> None:
        if self.keys is not None:
            self.emit(f'enter({self.loops}, ({"".join(v + ", " for v in self.loop_vars)}))')
            self.loops += 1

    def key(self, sid: int, holes: list[E.Expr]) -> str:
        """Text of the number of a key."""
        return f'keys[{sid}, {", ".join(map(self.expr, holes))}]' if holes else str(self.keys[sid,])

    def event(self, sid: int, holes: list[E.Expr]) -> None:
        self.emit(f'ev({self.key(sid, holes)})')

    def load(self, buffer: str, indices: tuple[E.Expr, ...], dtype: str) -> str:
        """A scalar read that steers control: recorded, and its value replayed from the data run."""
        read = E.Load(buffer, indices, dtype)
        holes = [i for i in indices if not isinstance(i, E.Const)]
        return f'ld({self.key(self.static(Store(buffer, indices, read, self.here), "load", holes), holes)})'

    here: Span | None = None

    def statement(self, s: Stmt) -> None:
        self.here = s.span
        super().statement(s)

    def on_instr(self, s: Instr) -> None:
        if s.op in ('set_flag', 'wait_flag') and not sync_applies(self.role, s.args[0], s.args[1]):
            return
        if s.op == 'pipe_barrier' and not sync_applies(self.role, s.args[0]):
            return
        holes = instr_holes(self.program, s)
        for arg in s.args:
            if isinstance(arg, E.EXPR_TYPES) and arg not in holes:
                self.value_loads(arg, s)
        self.event(self.static(s, 'instr', holes), holes)

    def value_loads(self, e: E.Expr, s) -> None:
        """Scalar reads whose value is only data: recorded as accesses of the scalar unit."""
        for x in E.loads(e):
            if self.program.buffers[x.buffer].space != 'VAR':
                holes = [i for i in x.indices if not isinstance(i, E.Const)]
                self.event(self.static(Store(x.buffer, x.indices, x, s.span), 'load', holes), holes)

    def on_store(self, s: Store) -> None:
        mine = 'C' if self.program.buffers[s.buffer].space == 'L1' else 'V'
        if self.program.buffers[s.buffer].space != 'GM' and mine != self.role:
            return
        self.value_loads(s.value, s)
        holes = [i for i in s.indices if not isinstance(i, E.Const)]
        self.event(self.static(s, 'store', holes), holes)


def instr_holes(program: Program, s: Instr) -> list[E.Expr]:
    """Distinct scalars of an instruction that its bytes, cycles or flags depend on."""
    holes: list[E.Expr] = []
    steering = s.op in ('gemm_v0', 'mma', 'set_flag', 'wait_flag', 'set_cross_flag', 'wait_cross_flag')
    for arg in s.args:
        if isinstance(arg, Region):
            holes += arg.starts + arg.extents
        elif isinstance(arg, E.EXPR_TYPES) and (steering or 'int' in arg.dtype and not _loads_memory(program, arg)):
            holes.append(arg)
    holes += [v for v in s.attrs.values() if isinstance(v, E.EXPR_TYPES) and 'int' in v.dtype]
    return list(dict.fromkeys(h for h in holes if not isinstance(h, E.Const)))


class SignatureGenerator(IssueGenerator):
    """Emits only what can make two blocks issue different streams: control values that depend on the block index,
    clipping at tensor borders, and the GM start of accesses whose block part cannot be split off."""

    def __init__(self, program: Program, role: str, scalars: dict[str, int], blocks: int, shifts: 'Shifts'):
        super().__init__(program, role, [], list(scalars))
        self.inline, self.cid = Inliner(program), program.launch.cid.name
        self.shifts, self.scalars = shifts, scalars
        self.ranges = {self.cid: (0, blocks - 1), program.launch.vid.name: (0, 1)} | {k: (v, v) for k, v in scalars.items() if isinstance(v, int)}
        self.emitted = 0

    def note(self, e: E.Expr) -> None:
        if self.cid in E.free_vars(self.inline(e)):
            self.emit(f'note({self.expr(e)})')
            self.emitted += 1

    def statement(self, s: Stmt) -> None:
        if isinstance(s, If):
            self.note(s.cond)
        super().statement(s)

    def serial_for(self, s: For) -> None:
        self.note(s.start)
        self.note(s.extent)
        lo, hi = bounds(self.inline(s.start), self.ranges), bounds(self.inline(s.extent), self.ranges)
        if lo and hi:
            self.ranges[s.var.name] = (lo[0], max(lo[1] + hi[1] - 1, lo[0]))
        mark, before = len(self.lines), self.emitted
        super().serial_for(s)
        if self.emitted == before:
            del self.lines[mark:]

    def on_instr(self, s: Instr) -> None:
        copies = OPS[s.op].pipe == 'copy'
        for arg in s.args:
            if isinstance(arg, Region):
                b = self.program.buffers[arg.buffer]
                if b.space != 'GM' or not copies:
                    for e in arg.starts:
                        self.note(e)
                else:
                    self.gm(arg, b)
                for e in arg.extents:
                    self.note(e)
            elif isinstance(arg, E.EXPR_TYPES) and not _loads_memory(self.program, arg):
                if s.op in ('gemm_v0', 'mma') or 'int' in arg.dtype:
                    self.note(arg)

    def gm(self, r: Region, b) -> None:
        for start, extent, size in zip(r.starts, r.extents, b.shape):
            top = bounds(self.inline(E.sub(E.add(start, extent), size)), self.ranges)
            low = bounds(self.inline(start), self.ranges)
            if top is None or top[1] > 0 or low is None or low[0] < 0:
                self.note(E.emax(E.emin(E.sub(size, start), extent), -1))
                self.note(E.emin(start, 0))
        if b.name in self.shifts.listed:
            self.emit(f'at({b.name!r}, {self.expr(E.flat_offset(b.shape, r.starts))})')
            self.emitted += 1

    def on_store(self, s: Store) -> None:
        for e in s.indices:
            self.note(e)


class Shifts:
    """Per written tensor: the part of its GM addresses that depends on the block index alone.

    When every access splits into f(block) + g(loops) with one f per tensor, two blocks touch the tensor in the same
    pattern, only moved; `value(tensor, cid)` is f. Tensors where that fails are `listed`: their addresses are part of the signature.
    """

    def __init__(self, program: Program, scalars: dict[str, int]):
        self.cid = program.launch.cid.name
        inline = Inliner(program)
        self.written = written_tensors(program)
        parts: dict[str, set] = {}
        self.exprs: dict[str, E.Expr] = {}
        self.listed: set[str] = set()
        for r in gm_regions(program):
            name = program.root(r.buffer)[0].name
            if name not in self.written:
                continue
            block: dict[str, int] = {}
            expr: E.Expr = E.Const(0)
            for factor, term in terms(inline(E.flat_offset(program.buffers[r.buffer].shape, r.starts))):
                names = E.free_vars(term)
                if self.cid not in names:
                    continue
                if names - {self.cid} - set(scalars) or E.loads(term):
                    self.listed.add(name)
                text = E.text(term)
                block[text] = block.get(text, 0) + factor
                expr = E.add(expr, E.mul(term, factor))
            parts.setdefault(name, set()).add(tuple(sorted(block.items())))
            self.exprs[name] = expr
        self.listed |= {n for n, p in parts.items() if len(p) > 1}
        self.scalars = scalars

    def value(self, tensor: str, cid: int) -> int:
        return evaluate(self.exprs[tensor], {**self.scalars, self.cid: cid}) if tensor in self.exprs else 0


def gm_regions(program: Program) -> list[Region]:
    out = []
    for s in walk(program.body):
        if isinstance(s, Instr):
            out += [a for a in s.args if isinstance(a, Region) and program.buffers[a.buffer].space == 'GM']
        elif isinstance(s, Store) and program.buffers[s.buffer].space == 'GM':
            out.append(Region(s.buffer, s.indices, tuple(E.Const(1) for _ in s.indices)))
    return out


def written_tensors(program: Program) -> set[str]:
    out = set()
    for s in walk(program.body):
        if isinstance(s, Store) and program.buffers[s.buffer].space == 'GM':
            out.add(program.root(s.buffer)[0].name)
        elif isinstance(s, Instr) and OPS[s.op].pipe == 'copy':
            r = s.args[0] if s.op == 'atomic_add' else s.args[1]
            if program.buffers[r.buffer].space == 'GM':
                out.add(program.root(r.buffer)[0].name)
    return out


@dataclass(slots=True)
class Group:
    """Blocks that issue one stream; `shifts[block][tensor]` is where a block's accesses to a written tensor start, in elements."""

    blocks: list[int]
    streams: list[Stream]  # of the first block, one per core
    shifts: dict[int, dict[str, int]]

    def shift(self, block: int, tensor: str) -> int:
        """Elements between a block's accesses to `tensor` and those of the analysed block."""
        return self.shifts.get(block, {}).get(tensor, 0) - self.shifts.get(self.blocks[0], {}).get(tensor, 0)


class Issuer:
    """Compiled issue functions of a Program with its sizes bound."""

    def __init__(self, program: Program, scalars: dict[str, int | float]):
        self.program, self.scalars = program, scalars
        self.statics: list[Static] = []
        self.keys = Keys()
        names = list(scalars)
        self.functions = {}
        for role in ('C', 'V'):
            gen = IssueGenerator(program, role, self.statics, names, self.keys)
            self.functions[role] = compile_function(gen.source('issue', 'ev, ld, enter, keys, cid, vid, scalars'), 'issue')
        self.depths = [len(s.loops) for s in self.statics]
        self.depends_on_data = data_dependent(program)
        self.simple = self.depends_on_data is None and not any(isinstance(s, (While, Break)) for s in walk(program.body)) \
            and not any(b.space == 'VAR' for b in program.buffers.values())
        self.shifts = Shifts(program, {k: v for k, v in scalars.items() if isinstance(v, int)})

    @property
    def cores(self) -> int:
        return 1 + self.program.launch.vectors

    def events(self, cid: int, core: int, log: list | None = None) -> Stream:
        """The stream one core issues; `log` holds the scalars it read from memory, in order."""
        out = Stream(self.keys, self.depths)
        values = iter(log or ())
        append = out.numbers.append

        def load(number):
            append(number)
            return next(values)

        self.functions[CORE_ROLE[core]](append, load, out.enter, self.keys, cid, max(core - 1, 0), self.scalars)
        return out

    def groups(self, blocks: int, logs: dict | None = None) -> list[Group]:
        """Blocks by equal stream."""
        if not self.simple:
            found: dict = {}
            for cid in range(blocks):
                streams = [self.events(cid, core, (logs or {}).get((cid, core))) for core in range(self.cores)]
                key = tuple((s.content, tuple(s.loops)) for s in streams)
                found.setdefault(key, Group([], streams, {})).blocks.append(cid)
            return list(found.values())
        ints = {k: v for k, v in self.scalars.items() if isinstance(v, int)}
        functions = {}
        for role in ('C', 'V'):
            gen = SignatureGenerator(self.program, role, ints, blocks, self.shifts)
            source = gen.source('signature', 'note, at, cid, vid, scalars')
            functions[role] = compile_function(source, 'signature') if gen.emitted else None
        groups: dict[tuple, list[int]] = {}
        shifts: dict[int, dict[str, int]] = {}
        for cid in range(blocks):
            notes: list = []
            starts: dict[str, list[int]] = {}
            for core in range(self.cores):
                if functions[CORE_ROLE[core]] is not None:
                    functions[CORE_ROLE[core]](notes.append, lambda n, v: starts.setdefault(n, []).append(v), cid, max(core - 1, 0), self.scalars)
            moved = tuple((n, tuple(x - v[0] for x in v)) for n, v in sorted(starts.items()))
            groups.setdefault((tuple(notes), moved), []).append(cid)
            shifts[cid] = {n: v[0] for n, v in starts.items()} | {n: self.shifts.value(n, cid) for n in self.shifts.exprs if n not in self.shifts.listed}
        return [Group(cids, [self.events(cids[0], core) for core in range(self.cores)], {c: shifts[c] for c in cids}) for cids in groups.values()]


_BUILTINS = {'tdiv': tdiv, 'tmod': tmod, 'min': min, 'max': max}


def compile_function(source: str, name: str):
    from .scalars import SCALAR_FUNCTIONS

    space = dict(_BUILTINS, **SCALAR_FUNCTIONS)
    try:
        exec(compile(source, f'<{name}>', 'exec'), space)
    except SyntaxError as err:
        raise TileTwinError(f'the control flow of this kernel cannot be generated: {err}') from err
    return space[name]
