"""From an issued instruction to what the pipes do: operations, flags and barriers, with bytes and cycles.

Library calls that synchronise themselves (`gemm_v0`, loads that pad, scalar operands read from UB) are expanded into
the sequence their templates issue, so hazards, clobbered L0 buffers and lost overlap show without special rules.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ir import expr as E
from ..ir.nodes import Instr, Program, Region, Store
from ..ir.ops import OPS, PIPES
from .access import Access, Fault, Geometry, Rect, Span2D
from .codegen import instr_route
from .fusion import fused
from .operands import shape, vector_accesses, work

PIPE = {name: i for i, name in enumerate(PIPES)}
ALL = -1  # every pipe of the core
FENCE = 'template'  # event ids of flags inside a template whose pairing cannot go wrong


class Step(NamedTuple):
    kind: str  # 'op', 'set', 'wait', 'barrier', 'cset', 'cwait', 'sync_all'
    pipe: int  # where it executes
    other: int = 0  # destination pipe of a flag, mode of a cross flag
    ident: object = 0  # event or flag id
    accesses: tuple[Access, ...] = ()
    cycles: float = 0.0  # the pipe is taken
    latency: float = 0.0  # after that, until the result has landed
    op: str = ''
    gm_read: int = 0
    gm_written: int = 0
    fractals: int = 0  # of a cube instruction
    flops: int = 0
    dtype: str = ''  # of what is computed
    move: tuple = ()  # of a transfer whose time depends on the contents of L2: what its cost is asked with


class Expanded(NamedTuple):
    steps: tuple[Step, ...]
    faults: tuple[Fault, ...]


def _pair(src: str, dst: str, ident) -> list[Step]:
    return [Step('set', PIPE[src], PIPE[dst], ident, op='set_flag'), Step('wait', PIPE[dst], PIPE[src], ident, op='wait_flag')]


class Expander:
    """Expands the instructions of one Program for one chip and target."""

    def __init__(self, program: Program, geometry: Geometry, chip, cost, target: str):
        self.program, self.geometry, self.chip, self.cost, self.target = program, geometry, chip, cost, target
        self.fused = fused(program) if cost.fuses else frozenset()

    def scalar(self, kind: str, s: Store, values: dict) -> Expanded:
        """A scalar read or write of one element of UB or GM."""
        r = self.geometry.rect(Region(s.buffer, s.indices, tuple(E.Const(1) for _ in s.indices)), values)
        way, where = ('read', 'r') if kind == 'load' else ('write', 'w')
        gm = r.buffer.space == 'GM'
        step = Step('op', PIPE['S'], accesses=(Access(self.geometry.run(r, 1), where, r.buffer.name),), cycles=self.cost.scalar(f'{"gm" if gm else "ub"}_{way}'),
                    op=f'scalar {way}')
        faults: list[Fault] = []
        self._bounds([step], faults)
        return Expanded((step,), tuple(faults))

    def expand(self, instr: Instr, values: dict, role: str) -> Expanded:
        args: list = []
        rects: dict[int, Rect] = {}
        for i, a in enumerate(instr.args):
            if isinstance(a, Region):
                rects[i] = self.geometry.rect(a, values)
                args.append(rects[i])
            elif isinstance(a, str):
                args.append(a)
            else:
                args.append(a.value if isinstance(a, E.Const) else values.get(a))
        attrs = {k: values.get(v, getattr(v, 'value', None)) if isinstance(v, E.EXPR_TYPES) else v for k, v in instr.attrs.items()}
        faults: list[Fault] = []
        pipe = OPS[instr.op].pipe
        if pipe == 'copy':
            steps = self.copy(instr, rects, attrs, faults)
        elif pipe == 'M':
            steps = self.cube(instr.op, args, rects, attrs, faults)
        elif pipe == 'V':
            steps = self.vector(instr.op, tuple(args), rects, attrs, faults, id(instr) in self.fused)
        elif pipe == 'sync':
            steps = self.sync(instr.op, args, attrs, faults, role)
        else:
            steps = [Step('op', PIPE['S'], accesses=tuple(Access(self.geometry.run(r), 'r', r.buffer.name) for r in rects.values()
                                                          if r.buffer.space != 'VAR'), cycles=self.cost.scalar('issue'), op=instr.op)]
        self._bounds(steps, faults)
        return Expanded(tuple(steps), tuple(faults))

    # -- checks -------------------------------------------------------------------------------------------------------
    def _bounds(self, steps: list[Step], faults: list[Fault]) -> None:
        seen = set()
        for step in steps:
            for a in step.accesses:
                if a.buffer in self.program.buffers and a not in seen:
                    seen.add(a)
                    fault = self.geometry.outside(a.span, a.buffer)
                    if fault is not None:
                        faults.append(fault)

    def _aligned(self, a: Access, faults: list[Fault]) -> None:
        memory = self.chip.memories.get(a.span.memory.partition('@')[0])
        if memory is not None and a.span.start % memory.align:
            faults.append(Fault('misaligned', f'operand {a.buffer} starts at byte {a.span.start} of {a.span.memory}',
                                f'operands in {a.span.memory} start at multiples of {memory.align} bytes',
                                f'start the slice at a multiple of {memory.align // self.program.buffers[a.buffer].es or 1} elements'))

    def _dma(self, *shape, tensor: str = '') -> dict[str, Any]:
        """`tensor` is the GM buffer that is read."""
        move = (*shape, self.program.root(tensor)[0].name if tensor else '')
        return self._time(move) | {'move': move}

    def _time(self, move: tuple) -> dict[str, float]:
        cost = self.cost.dma(*move[:-1], tensor=move[-1])
        return {'cycles': cost.cycles, 'latency': cost.latency}

    def again(self, found: Expanded) -> Expanded:
        """The same steps at the cost of this expander, which differs in the contents of L2."""
        if not any(s.move for s in found.steps):
            return found
        return Expanded(tuple(s._replace(**self._time(s.move), move=()) if s.move else s for s in found.steps), found.faults)

    # -- copies -------------------------------------------------------------------------------------------------------
    def copy(self, instr: Instr, rects: dict[int, Rect], attrs: dict, faults: list[Fault]) -> list[Step]:
        name, pipe = instr_route(self.program, instr)
        atomic = instr.op == 'atomic_add'
        src, dst = (rects[1], rects[0]) if atomic else (rects[0], rects[1])
        steps = getattr(self, '_' + name)(src, dst, attrs, 'a' if atomic else 'w', faults)
        label = f'atomic_add_{name}' if atomic else f'copy_{name}'
        for step in steps:
            for a in step.accesses:
                self._aligned(a, faults)
        return [s._replace(op=label) if s.kind == 'op' and not s.op else s for s in steps]

    def _clip(self, tile, faults: list[Fault]) -> None:
        if tile.outside:
            faults.append(Fault('oob', f'copy leaves the tensor: {tile.outside}', 'copies clip only at the upper end of the row and column dims',
                                'guard the copy with an if, or slice only inside the tensor'))

    def _gm_to_l1(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g, t = self.geometry, self.geometry.gm(src)
        self._clip(t, faults)
        shape = g.shapes[dst.buffer.name]
        m, n = (shape[-2] if len(shape) > 1 else 1), shape[-1]
        if t.valid_rows == 0 or t.valid_cols == 0:
            faults.append(Fault('oob', f'{src.buffer.name} is read wholly outside the tensor', 'an L1 load with no valid element still reads a full tile',
                                'guard the copy with an if on the tile index'))
        vm, vn = t.valid_rows or m, t.valid_cols or n
        steps = []
        # A load from a workspace names the size of the workspace tile: it is whole, whatever the L1 tile holds besides.
        if (vm, vn) != (m, n) and dst.literal_zero and not attrs.get('whole_tile'):
            fill = g.l1_tile(dst, m, n)
            steps += [Step('op', PIPE['MTE2'], accesses=(Access(fill, 'w', dst.buffer.name),), cycles=self.cost.vector('fill', m * n, src.buffer.es),
                           op='fill_l1'), Step('barrier', PIPE['MTE2'], op='pipe_barrier')]
        es = src.buffer.es
        read = g.gm_span(src, t, vm, vn)
        steps.append(Step('op', PIPE['MTE2'], accesses=(Access(read, 'r', src.buffer.name), Access(g.l1_tile(dst, vm, vn), 'w', dst.buffer.name)),
                          **self._dma('gm_to_l1', vm, vn * es, t.pitch * es, t.start * es, tensor=src.buffer.name), gm_read=vm * vn * es))
        return steps

    def _gm_to_ub(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g, t = self.geometry, self.geometry.gm(src)
        self._clip(t, faults)
        es, n, m = dst.buffer.es, dst.extents[-1], self._ub_rows(dst)
        self._row_pitch(dst, m, n, faults)
        vm, vn = min(t.valid_rows, m), min(t.valid_cols, n)
        steps: list[Step] = []
        name = dst.buffer.name
        if (t.valid_rows, t.valid_cols) != (m, n) and dst.buffer.es in (2, 4):
            fill = Access(g.run(dst, m * n), 'w', name)
            steps += _pair('MTE2', 'V', 0) + _pair('MTE3', 'V', 0)
            steps += [Step('op', PIPE['V'], accesses=(fill,), cycles=self.cost.vector('fill', m * n, es), op='pad_fill')]
            steps += _pair('V', 'MTE2', 0)
        if vm and vn:
            row = -(-vn * es // 32) * 32
            pitch = row + (n - vn) * es // 32 * 32
            width = row if vn < n else vn * es
            written = g.strided(dst, vm, min(width, pitch) if vm > 1 else width, pitch)
            steps.append(Step('op', PIPE['MTE2'], accesses=(Access(g.gm_span(src, t, vm, vn), 'r', src.buffer.name), Access(written, 'w', name)),
                              **self._dma('gm_to_ub', vm, vn * es, t.pitch * es, t.start * es, tensor=src.buffer.name), gm_read=vm * vn * es))
        return steps

    def _ub_to_gm(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g, t = self.geometry, self.geometry.gm(dst)
        self._clip(t, faults)
        es, n, m = src.buffer.es, src.extents[-1], self._ub_rows(src)
        self._row_pitch(src, m, n, faults)
        vm, vn = t.valid_rows, t.valid_cols
        if not vm or not vn:
            return []
        pitch = -(-vn * es // 32) * 32 + max(n - vn, 0) * es // 32 * 32
        read = g.strided(src, vm, vn * es, pitch if vm > 1 else vn * es)
        return [Step('op', PIPE['MTE3'], accesses=(Access(read, 'r', src.buffer.name), Access(g.gm_span(dst, t, vm, vn), mode, dst.buffer.name)),
                     **self._dma('ub_to_gm', vm, vn * es, t.pitch * es, t.start * es), gm_written=vm * vn * es)]

    def _l0c_to_gm(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g, t = self.geometry, self.geometry.gm(dst)
        self._clip(t, faults)
        m, n = g.shapes[src.buffer.name][-2:]
        if t.valid_rows == 0 or t.valid_cols == 0:
            faults.append(Fault('oob', f'{dst.buffer.name} is written wholly outside the tensor', 'an L0C store with no valid element still writes a full tile',
                                'guard the copy with an if on the tile index'))
        vm, vn = t.valid_rows or m, t.valid_cols or n
        es = dst.buffer.es
        return [Step('op', PIPE['FIX'], accesses=(Access(g.run(src, m * n), 'r', src.buffer.name), Access(g.gm_span(dst, t, vm, vn), mode, dst.buffer.name)),
                     **self._dma('l0c_to_gm', vm, vn * es, t.pitch * es, t.start * es, src.buffer.es, es), gm_written=vm * vn * es)]

    def _l1_to_l0(self, src: Rect, dst: Rect, attrs: dict, route: str) -> list[Step]:
        g = self.geometry
        m, n = g.shapes[dst.buffer.name][-2:]
        rows, cols = (n, m) if attrs.get('transpose') else (m, n)
        accesses = (Access(g.l1_tile(src, rows, cols), 'r', src.buffer.name), Access(g.run(dst, m * n), 'w', dst.buffer.name))
        return [Step('op', PIPE['MTE1'], accesses=accesses, cycles=self.cost.mte1(route, m * n * src.buffer.es))]

    def _l1_to_l0a(self, src, dst, attrs, mode, faults):
        return self._l1_to_l0(src, dst, attrs, 'l1_to_l0a')

    def _l1_to_l0b(self, src, dst, attrs, mode, faults):
        return self._l1_to_l0(src, dst, attrs, 'l1_to_l0b')

    def _ub_to_ub(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g = self.geometry
        sc, dc = g.shapes[src.buffer.name][-1], g.shapes[dst.buffer.name][-1]
        n = dst.count
        if src.extents[-1] == sc and dst.extents[-1] == dc or n == dst.extents[-1]:
            spans = g.run(src, n), g.run(dst, n)
        else:
            rows, cols = self._ub_rows(src), src.extents[-1]
            spans = (g.strided(src, rows, cols * src.buffer.es, sc * src.buffer.es), g.strided(dst, rows, cols * dst.buffer.es, dc * dst.buffer.es))
        accesses = (Access(spans[0], 'r', src.buffer.name), Access(spans[1], 'w', dst.buffer.name))
        op = 'copy' if src.buffer.dtype == dst.buffer.dtype else 'cast'
        return [Step('op', PIPE['V'], accesses=accesses, cycles=self.cost.vector(op, n, max(src.buffer.es, dst.buffer.es)))]

    def _l0c_to_ub(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g = self.geometry
        written = g.run(dst)
        accesses = (Access(g.run(src), 'r', src.buffer.name),
                    *(Access(written._replace(memory=f'UB@AIV{v}'), 'w', dst.buffer.name) for v in range(self.program.launch.vectors)))
        return [Step('op', PIPE['FIX'], accesses=accesses, **self._dma('l0c_to_ub', 1, dst.count * dst.buffer.es, 0, 0, src.buffer.es, dst.buffer.es))]

    def _ub_to_l1(self, src: Rect, dst: Rect, attrs: dict, mode: str, faults: list[Fault]) -> list[Step]:
        g = self.geometry
        rows = src.extents[-2] if len(src.extents) > 1 else 1
        written = g.l1_tile(dst, rows, src.extents[-1])._replace(memory='L1@AIC')
        accesses = (Access(g.run(src), 'r', src.buffer.name), Access(written, 'w', dst.buffer.name))
        return [Step('op', PIPE['MTE3'], accesses=accesses, **self._dma('ub_to_l1', rows, src.extents[-1] * dst.buffer.es, 0, 0))]

    def _ub_rows(self, r: Rect) -> int:
        if len(r.extents) < 2:
            return 1
        return min(self.geometry.shapes[r.buffer.name][-2], r.extents[-2])

    def _row_pitch(self, r: Rect, rows: int, cols: int, faults: list[Fault]) -> None:
        # A slice is right where the buffer's own rows are the blocks that the engine fills.
        if rows > 1 and cols * r.buffer.es % 32 and self.geometry.shapes[r.buffer.name][-1] * r.buffer.es != -(-cols * r.buffer.es // 32) * 32:
            faults.append(Fault('misaligned', f'rows of {cols * r.buffer.es} bytes in {r.buffer.name}', 'the copy engine starts every UB row at a 32-byte block, '
                                'vector operations expect dense rows', f'make the inner extent a multiple of {32 // r.buffer.es} elements and clip at the tensor'))

    # -- cube ---------------------------------------------------------------------------------------------------------
    def cube(self, op: str, args: list, rects: dict[int, Rect], attrs: dict, faults: list[Fault]) -> list[Step]:
        g, (m, n, k) = self.geometry, (attrs['M'], attrs['N'], attrs['K'])
        init = bool(args[3])
        c = Access(g.run(rects[2], m * n), 'w' if init else 'm', rects[2].buffer.name)
        fractals = -(-m // 16) * -(-n // 16)
        a, b = rects[0], rects[1]
        if op == 'mma':
            accesses = (Access(g.run(a, m * k), 'r', a.buffer.name), Access(g.run(b, k * n), 'r', b.buffer.name), c)
            for x in accesses:
                self._aligned(x, faults)
            return [Step('op', PIPE['M'], accesses=accesses, cycles=self.cost.mmad(m, k, n, a.buffer.dtype), op='mma', fractals=fractals,
                         flops=2 * m * n * k, dtype=a.buffer.dtype)]
        for r in (a, b):
            if any(s for s in r.starts[-2:]):
                faults.append(Fault('misaligned', f'gemm_v0 operand {r.buffer.name} starts inside a tile', 'gemm_v0 addresses its operands row-major, '
                                    'the tile in L1 is in column panels', 'slice leading dims only, e.g. buf[slot, :, :]'))
        es, slices = a.buffer.es, -(-k // 128)
        steps = _pair('MTE2', 'MTE1', 0) + _pair('FIX', 'M', 0)
        steps += [Step('set', PIPE['M'], PIPE['MTE1'], i, op='set_flag') for i in (0, 1)]
        ab, bb = Access(g.l1_tile(a, *self._tile(a)), 'r', a.buffer.name), Access(g.l1_tile(b, *self._tile(b)), 'r', b.buffer.name)
        for s in range(slices):
            pp, ks = s & 1, min(128, k - s * 128)
            l0a = Span2D('L0A', pp * m * 128 * es, 1, m * ks * es, m * ks * es)
            l0b = Span2D('L0B', pp * n * 128 * es, 1, n * ks * es, n * ks * es)
            steps.append(Step('wait', PIPE['MTE1'], PIPE['M'], pp, op='wait_flag'))
            steps.append(Step('op', PIPE['MTE1'], accesses=(ab, Access(l0a, 'w', 'gemm_v0 L0A')), cycles=self.cost.mte1('l1_to_l0a', m * ks * es), op='gemm_v0 load A'))
            steps.append(Step('op', PIPE['MTE1'], accesses=(bb, Access(l0b, 'w', 'gemm_v0 L0B')), cycles=self.cost.mte1('l1_to_l0b', n * ks * es), op='gemm_v0 load B'))
            steps += _pair('MTE1', 'M', pp) + [Step('barrier', PIPE['M'], op='pipe_barrier')]
            cs = c if s == 0 else c._replace(mode='m')
            steps.append(Step('op', PIPE['M'], accesses=(Access(l0a, 'r', 'gemm_v0 L0A'), Access(l0b, 'r', 'gemm_v0 L0B'), cs),
                              cycles=self.cost.mmad(m, ks, n, a.buffer.dtype), op='gemm_v0', fractals=fractals,
                              flops=2 * m * n * ks, dtype=a.buffer.dtype))
            steps.append(Step('set', PIPE['M'], PIPE['MTE1'], pp, op='set_flag'))
        steps += [Step('wait', PIPE['MTE1'], PIPE['M'], i, op='wait_flag') for i in (0, 1)]
        return steps + _pair('MTE1', 'MTE2', 0) + _pair('M', 'FIX', 0)

    def _tile(self, r: Rect) -> tuple[int, int]:
        shape = self.geometry.shapes[r.buffer.name]
        return shape[-2], shape[-1]

    # -- vector -------------------------------------------------------------------------------------------------------
    def vector(self, op: str, args: tuple, rects: dict[int, Rect], attrs: dict, faults: list[Fault], joined: bool) -> list[Step]:
        accesses = tuple(vector_accesses(op, args, rects, attrs, self.geometry))
        for a in accesses:
            self._aligned(a, faults)
        widest = max(rects.values(), key=lambda r: r.buffer.es).buffer
        es = widest.es
        n = work(op, args, rects, attrs)
        steps: list[Step] = []
        for r in rects.values():
            if r.form == 'element' and r.buffer.space in ('UB', 'GM'):
                span = self.geometry.element(r.buffer, attrs['element']) if 'element' in attrs else self.geometry.run(r, 1)
                read = Access(span, 'r', r.buffer.name)
                steps += [Step('barrier', ALL, op='barrier_all'), Step('op', PIPE['S'], accesses=(read,), cycles=self.cost.scalar('ub_read'), op='GetValue')]
        if op in ('compare', 'compare_scalar') and n * rects[1].buffer.es % 256:
            faults.append(Fault('misaligned', f'{op} of {n * rects[1].buffer.es} bytes', 'compare works on whole 256-byte repeats', 'pad the tile to a multiple of '
                                f'{256 // rects[1].buffer.es} elements'))
        places = [a.span.start for a in accesses] if OPS[op].signature == 'wrr' else []
        conflict = self.cost.bank_conflict(n * es, *places) if len(places) == 3 else ''
        steps.append(Step('op', PIPE['V'], accesses=accesses, cycles=self.cost.vector(op, n, es, conflict, fused=joined, **shape(op, args, rects, attrs)), op=op,
                          flops=n, dtype=widest.dtype))
        if op == 'reduce' and not attrs['clear'] and self.target == 'ascendc':
            merge = next(a for a in accesses if a.mode == 'm')
            steps += _pair('V', 'S', FENCE) + [Step('op', PIPE['S'], accesses=(merge,), cycles=self.cost.scalar('issue'), op='merge results')]
        return steps

    # -- synchronisation ----------------------------------------------------------------------------------------------
    def sync(self, op: str, args: list, attrs: dict, faults: list[Fault], role: str) -> list[Step]:
        if op in ('set_flag', 'wait_flag'):
            src, dst, ident = args
            if not 0 <= ident < self.chip.event_ids:
                if self.target == 'pto':
                    faults.append(Fault('flag', f'event id {ident}: the PTO target drops this {op}', f'each pipe pair has ids 0 to {self.chip.event_ids - 1}', 'use a smaller id'))
                    return []
                faults.append(Fault('flag', f'event id {ident} does not exist', f'each pipe pair has ids 0 to {self.chip.event_ids - 1}; AscendC passes larger ones on unchecked', 'use a smaller id'))
            if op == 'set_flag':
                return [Step('set', PIPE[src], PIPE[dst], ident, op=op)]
            return [Step('wait', PIPE[dst], PIPE[src], ident, op=op)]
        if op == 'pipe_barrier':
            return [Step('barrier', ALL if args[0] == 'ALL' else PIPE[args[0]], op='barrier_all' if args[0] == 'ALL' else op)]
        if op == 'sync_all':
            return [Step('sync_all', PIPE['S'], op=op)]
        pipe, ident = (args[0], args[1]) if op == 'set_cross_flag' else (args[1], args[0])
        if not 0 <= ident < self.chip.cross_flags:
            faults.append(Fault('flag', f'cross flag {ident} does not exist', f'the chip has cross flags 0 to {self.chip.cross_flags - 1}', 'use a smaller id'))
        if op == 'set_cross_flag':
            return [Step('cset', PIPE[pipe], attrs.get('mode', 2), ident, op=op)]
        if self.chip.cross_wait_blocks_core:
            return [Step('cwait', PIPE['S'], 0, ident, op=op)]
        return [Step('cwait', PIPE[pipe or ('MTE1' if role == 'C' else 'V')], 0, ident, op=op)]

