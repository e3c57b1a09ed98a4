"""The accesses of one statement, by pipe, with the bytes they touch as expressions: what the sound dependency analysis works on.

Library templates that synchronise themselves are spelled out as steps, so that what they order is known and not ordered again.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Let, Program, Region, Stmt, Store, While
from ..ir.ops import OPS, PIPES, letters, route
from .addresses import footprint
from .sync_operands import scratch

ALL_PIPES = frozenset(PIPES)
NONE: frozenset[str] = frozenset()
SMALL_MMAD = 10  # 16x16 results below which back-to-back Mmad need a barrier
# Element-wise operations: every operand is the run of as many elements as the destination has.
ELEMENTWISE = frozenset(('add sub mul div max min bitwise_and bitwise_or adds subs muls divs maxs mins exp ln abs reciprocal sqrt rsqrt relu bitwise_not '
                         'leaky_relu bitwise_lshift bitwise_rshift axpy mul_add_dst fill silu').split())


class Access(NamedTuple):
    """`covers`: pipes the statement itself waits for before this access; `released`: pipes it lets wait for it afterwards."""

    pipe: str
    memory: str  # 'UB', 'L1', ... or 'GM:name'
    start: E.Expr  # bytes from the start of the memory
    size: int | None  # bytes; None = unknown
    rect: tuple[tuple[E.Expr, E.Expr], ...]  # GM: start and extent per dimension
    mode: str  # 'r', 'w', 'm', or 'a' (atomic accumulation)
    covers: frozenset[str] = NONE
    released: frozenset[str] = NONE
    ordered: bool = False  # the hardware orders it with other such accesses of its pipe


class Step(NamedTuple):
    kind: str  # 'op', 'pair' (flag from pipe to other), 'barrier', 'all', 'set' and 'wait' (half a pair, written by the user)
    pipe: str = ''
    other: str = ''
    accesses: tuple[Access, ...] = ()
    ident: int | None = None


def pair(src: str, dst: str) -> Step:
    return Step('pair', src, dst)


class Reader:
    """Accesses of the statements of one Program; `inline` resolves lets that read no memory."""

    def __init__(self, program: Program, inline, target: str):
        self.program, self.inline, self.target = program, inline, target

    # -- ranges -----------------------------------------------------------------------------------------------------------
    def access(self, pipe: str, r: Region, mode: str, size: int | None = None, whole: bool = False, **more) -> Access:
        b = self.program.buffers[r.buffer]
        root, offset = self.program.root(r.buffer)
        if root.space == 'GM':
            rect = tuple((self.inline(s), self.inline(e)) for s, e in zip(r.starts, r.extents)) if b.alias_of is None else ()
            return Access(pipe, f'GM:{root.name}', E.Const(0), None, rect, mode, **more)
        if whole or root.space == 'VAR':
            base = 0 if root.space == 'VAR' else root.address or 0
            memory = f'VAR:{root.name}' if root.space == 'VAR' else root.space
            return Access(pipe, memory, E.Const(base), footprint(root) if root.space != 'VAR' else 8, (), mode, **more)
        start = E.add(E.mul(E.flat_offset(b.shape, tuple(map(self.inline, r.starts))), b.es), (root.address or 0) + offset)
        if size is None:
            lead = E.int_value(start)
            end = (root.address or 0) + max(footprint(root), offset + b.bytes)
            # The rest of the buffer; from an unknown start, the whole buffer.
            if lead is None:
                return Access(pipe, root.space, E.Const(root.address or 0), end - (root.address or 0), (), mode, **more)
            return Access(pipe, root.space, start, max(end - lead, 1), (), mode, **more)
        return Access(pipe, root.space, start, size, (), mode, **more)

    def run(self, r: Region, count: int | None = None) -> int | None:
        """Bytes of the contiguous run a vector operand denotes."""
        n = count if count is not None else elements(r.extents)
        return None if n is None else n * self.program.buffers[r.buffer].es

    def rows(self, r: Region) -> int | None:
        """Bytes a copy may touch in UB: whole 32-byte blocks per row, rows as far apart as the tile is wide."""
        b = self.program.buffers[r.buffer]
        cols = E.int_value(r.extents[-1])
        n = elements(r.extents)
        if n is None or not cols:
            return None
        rows = n // cols
        own = -(-cols * b.es // 32) * 32
        pitch = max(own, b.dims[-1] * b.es)
        dense = rows == 1 or cols == b.dims[-1]
        return rows * own if dense else (rows - 1) * pitch + own

    def slot(self, pipe: str, r: Region, mode: str, **more) -> Access:
        """The whole tile of the last two dims: L1 tiles lie in column panels, a part of one is no interval."""
        b = self.program.buffers[r.buffer]
        if len(r.starts) <= 2:
            return self.access(pipe, r, mode, whole=True, **more)
        size = b.dims[-2] * b.dims[-1] * b.es
        starts = (*r.starts[:-2], E.Const(0), E.Const(0))
        return self.access(pipe, Region(r.buffer, starts, r.extents, 'region'), mode, size, **more)

    # -- statements -------------------------------------------------------------------------------------------------------
    def scalar_reads(self, *exprs: E.Expr) -> tuple[Access, ...]:
        out = []
        for e in exprs:
            for x in E.loads(e):
                b = self.program.buffers[x.buffer]
                if b.space != 'VAR':
                    r = Region(x.buffer, x.indices, tuple(E.Const(1) for _ in x.indices), 'element')
                    out.append(self.access('S', r, 'r', b.es))
        return tuple(out)

    def head(self, s: Stmt) -> tuple[Step, ...]:
        """Scalar reads of a loop header, a condition or a let."""
        match s:
            case For(start=a, extent=b):
                reads = self.scalar_reads(a, b)
            case While(cond=e) | If(cond=e) | Let(value=e):
                reads = self.scalar_reads(e)
            case _:
                reads = ()
        return (Step('op', 'S', accesses=reads),) if reads else ()

    def steps(self, s: Stmt) -> tuple[Step, ...]:
        """What a simple statement does, in order."""
        if isinstance(s, Store):
            b = self.program.buffers[s.buffer]
            out = self.scalar_reads(*s.indices, s.value)
            if b.space != 'VAR':
                r = Region(s.buffer, s.indices, tuple(E.Const(1) for _ in s.indices), 'element')
                out += (self.access('S', r, 'w', b.es),)
            return (Step('op', 'S', accesses=out),) if out else ()
        if not isinstance(s, Instr):
            return self.head(s)
        regions = [a for a in s.args if isinstance(a, Region)]
        scalars = self.scalar_reads(*(e for r in regions for e in (*r.starts, *r.extents)), *(a for a in s.args if isinstance(a, E.EXPR_TYPES)))
        before = (Step('op', 'S', accesses=scalars),) if scalars else ()
        pipe = OPS[s.op].pipe
        if pipe == 'sync':
            return before + self.sync(s)
        if pipe == 'copy':
            return before + self.copy(s)
        if pipe == 'M':
            return before + (self.mma(s) if s.op == 'mma' else self.gemm(s))
        if pipe == 'V':
            return before + self.vector(s)
        reads = tuple(self.access('S', r, 'r', whole=True) for r in regions if self.program.buffers[r.buffer].space != 'VAR')
        return before + ((Step('op', 'S', accesses=reads),) if reads else ())

    def sync(self, s: Instr) -> tuple[Step, ...]:
        if s.op == 'pipe_barrier':
            return (Step('all'),) if s.args[0] == 'ALL' else (Step('barrier', s.args[0]),)
        if s.op in ('set_flag', 'wait_flag') and E.int_value(s.args[2]) is not None:
            return (Step(s.op[:-5], s.args[0], s.args[1], (), E.int_value(s.args[2])),)
        return ()

    def copy(self, s: Instr) -> tuple[Step, ...]:
        src, dst = (s.args[1], s.args[0]) if s.op == 'atomic_add' else s.args[:2]
        name, pipe = route(self.program.buffers[src.buffer].space, self.program.buffers[dst.buffer].space, s.span)
        sides = []
        for r, mode in ((src, 'r'), (dst, 'a' if s.op == 'atomic_add' else 'w')):
            space = self.program.buffers[r.buffer].space
            if space == 'GM':
                sides.append(self.access(pipe, r, mode))
            elif space == 'UB':
                sides.append(self.access(pipe, r, mode, self.rows(r)))
            else:
                sides.append(self.slot(pipe, r, mode))
        return (Step('op', pipe, accesses=tuple(sides)),)

    def mma(self, s: Instr) -> tuple[Step, ...]:
        large = -(-s.attrs['M'] // 16) * -(-s.attrs['N'] // 16) >= SMALL_MMAD
        mode = 'w' if E.int_value(s.args[3]) == 1 else 'm'
        return (Step('op', 'M', accesses=tuple(self.slot('M', r, m, ordered=large) for r, m in zip(s.args[:3], ('r', 'r', mode)))),)

    def gemm(self, s: Instr) -> tuple[Step, ...]:
        """The gemm_v0 template (dialect 9.2): a full fence MTE2 -> MTE1 -> M -> FIX, with L0A and L0B from offset 0."""
        m, n, k = s.attrs['M'], s.attrs['N'], s.attrs['K']
        es = self.program.buffers[s.args[0].buffer].es
        part = min(k, 128) if k <= 128 else 256
        l0 = [(space, rows * part * es) for space, rows in (('L0A', m), ('L0B', n))]
        large = -(-m // 16) * -(-n // 16) >= SMALL_MMAD
        load = {'covers': frozenset(('MTE2', 'M', 'MTE1')), 'released': frozenset(('MTE2', 'M', 'FIX', 'MTE1'))}
        compute = {'covers': frozenset(('FIX', 'MTE1', 'M', 'MTE2')), 'released': frozenset(('FIX', 'MTE1', 'MTE2')), 'ordered': large}
        loads = [self.slot('MTE1', r, 'r', **load) for r in s.args[:2]] + [Access('MTE1', space, E.Const(0), size, (), 'w', **load) for space, size in l0]
        mode = 'w' if E.int_value(s.args[3]) == 1 else 'm'
        multiply = [Access('M', space, E.Const(0), size, (), 'r', **compute) for space, size in l0] + [self.slot('M', s.args[2], mode, **compute)]
        return (pair('MTE2', 'MTE1'), pair('FIX', 'M'), pair('M', 'MTE1'), Step('op', 'MTE1', accesses=tuple(loads)), pair('MTE1', 'M'), Step('barrier', 'M'),
                Step('op', 'M', accesses=tuple(multiply)), pair('M', 'MTE1'), pair('MTE1', 'MTE2'), pair('M', 'FIX'))

    def vector(self, s: Instr) -> tuple[Step, ...]:
        count = elements(s.args[0].extents) if s.op in ELEMENTWISE else None
        if count is not None and isinstance(frozen := s.attrs.get('count'), (int, *E.EXPR_TYPES)):
            n = E.int_value(frozen)
            count = None if n is None else max(n, count)
        fenced = any(isinstance(a, Region) and a.form == 'element' and c == 'e' and self.program.buffers[a.buffer].space != 'VAR'
                     for a, c in zip(s.args, letters(OPS[s.op], len(s.args))))
        more = {'covers': ALL_PIPES} if fenced else {}
        reads: list[Access] = []
        own: list[Access] = []
        for position, (a, letter) in enumerate(zip(s.args, letters(OPS[s.op], len(s.args)))):
            if not isinstance(a, Region) or self.program.buffers[a.buffer].space == 'VAR':
                continue
            if a.form == 'element' and letter == 'e':
                reads.append(self.access('S', a, 'r', self.program.buffers[a.buffer].es, covers=ALL_PIPES))
                continue
            mode = {'w': 'w', 'm': 'm'}.get(letter, 'r')
            if s.op == 'reduce' and position == 0 and not s.attrs['clear'] or s.op == 'gather_mask' and position == 2:
                mode = 'm'
            own.append(self.access('V', a, mode, self.run(a, count) if count is not None else None, **more))
        own += [self.access('V', Region(name, (E.Const(0),), (E.Const(1),)), 'm', whole=True, **more) for name in scratch(s)]
        steps: tuple[Step, ...] = (Step('all'), Step('op', 'S', accesses=tuple(reads))) if reads else ()
        steps += (Step('op', 'V', accesses=tuple(own)),)
        if s.op == 'reduce' and not s.attrs['clear'] and self.target == 'ascendc':
            # The template merges with scalar reads and writes that wait for nothing issued before it.
            steps = (Step('op', 'S', accesses=(own[0]._replace(pipe='S', mode='m', covers=NONE),)), *steps)
        return steps


def elements(extents: tuple[E.Expr, ...]) -> int | None:
    n = 1
    for e in extents:
        v = E.int_value(e)
        if v is None:
            return None
        n *= v
    return n
