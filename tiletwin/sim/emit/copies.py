"""Copies (dialect 4.1): rectangles clipped by the GM side, packed in UB, whole tiles in L1 and L0."""

from __future__ import annotations

from ...ir import expr as E
from ...ir.analysis import bounds
from ...ir.nodes import Buffer, Instr, Region
from ..codegen import instr_route
from ..memory import NARROW
from .bridges import Bridges
from .operands import Operands


class Rect:
    """A GM region as the copy engines see it: start, row and column extents, what is valid, row pitch (4.1.3)."""

    def __init__(self, g: 'Copies', r: Region):
        shape = [g.static(d, 'a tensor extent') for d in g.buffer(r.buffer).shape]
        rank = len(shape)
        active = [d for d in range(rank) if E.int_value(r.extents[d]) != 1]
        if not active or active[-1] != rank - 1:
            active.append(rank - 1)
        if len(active) == 1 and rank >= 2:
            active.insert(0, rank - 2)
        self.start = g.offset(r)
        self.cols = _valid(g, shape[-1], r.starts[-1], r.extents[-1])
        self.rows: E.Expr = E.Const(1)
        if rank >= 2:
            row = active[-2]
            self.rows = _valid(g, shape[row], r.starts[row], r.extents[row])
        self.pitch, d = shape[-1], rank - 2
        while d >= 0 and E.int_value(r.extents[d]) == 1:
            self.pitch *= shape[d]
            d -= 1


def _valid(g: Operands, size: int, start: E.Expr, extent: E.Expr) -> E.Expr:
    """Elements of a dim that lie inside the tensor; only the upper bound clips."""
    end = bounds(E.add(start, extent), g.ranges)
    if end is not None and end[1] <= size:
        return extent
    return E.emin(extent, E.emax(E.sub(size, start), 0))


def tile(b: Buffer) -> tuple[int, int]:
    """Last two dims of an on-chip buffer."""
    dims = b.dims
    return (dims[-2], dims[-1]) if len(dims) > 1 else (1, dims[0])


class Copies(Bridges):
    def on_copy(self, s: Instr) -> None:
        route, _ = instr_route(self.program, s)
        if s.args[1].buffer in self.unfilled:
            return
        src, dst = (self.pinned(r) for r in s.args[:2])
        getattr(self, route)(s, src, dst)
        self.finish()

    def on_atomic_add(self, s: Instr) -> None:
        dst, src = (self.pinned(r) for r in s.args[:2])
        route, _ = instr_route(self.program, s)
        if route == 'l0c_to_gm':
            self.l0c_to_gm(s, src, dst, atomic=True)
        else:
            self.ub_to_gm(s, src, dst, atomic=True)
        self.finish()

    # -- helpers ------------------------------------------------------------------------------------------------------
    def sizes(self, rect: Rect, full: tuple[int, int]) -> tuple[str, str, bool | None]:
        """Texts of the valid rows and columns, and whether they are the full tile (None: known at run time)."""
        r, c = E.int_value(rect.rows), E.int_value(rect.cols)
        if r is not None and c is not None:
            return str(r), str(c), (r, c) == full
        return self.text_of(rect.rows), self.text_of(rect.cols), None

    def move(self, dst: str, src: str, to_torch: bool) -> None:
        self.emit(f'{dst}.copy_({src})' if to_torch else f'copyto({dst}, {src})')

    def gm_view(self, name: str, start: E.Expr, rows, cols, pitch: int, torch: bool) -> str:
        """Rectangle of a tensor; rows and cols are numbers or texts."""
        if isinstance(rows, int) and isinstance(cols, int):
            return self.view(name, start, (rows, cols), (pitch, 1), torch)
        table = self.hoist(f'Clipped({self.flat(name)}, {pitch}, {name!r}, {torch})', 'w')
        return f'{table}[{self.expr(start)}, {rows}, {cols}]'

    def chip_view(self, name: str, start: E.Expr, rows, cols, pitch, torch: bool) -> str:
        if all(isinstance(x, int) for x in (rows, cols, pitch)):
            return self.view(name, start, (rows, cols), (pitch, 1), torch)
        table = self.hoist(f'Clipped({self.flat(name)}, None, {name!r}, {torch})', 'w')
        return f'{table}[{self.expr(start)}, {rows}, {cols}, {pitch}]'

    # -- GM -> L1 -----------------------------------------------------------------------------------------------------
    def gm_to_l1(self, s: Instr, src: Region, dst: Region) -> None:
        full = tile(self.buffer(dst.buffer))
        rect = Rect(self, src)
        start = self.offset(dst)
        literal = all(E.int_value(e) == 0 for e in dst.starts) and not s.attrs.get('whole_tile')
        vr, vc, whole = self.sizes(rect, full)
        torch = self.place(src.buffer).exact or self.place(dst.buffer).exact
        if whole is True:
            self.move(self.view(dst.buffer, start, full, (full[1], 1), torch), self.gm_view(src.buffer, rect.start, *full, rect.pitch, torch), torch)
            return

        def partial() -> None:
            if literal:
                run = self.view(dst.buffer, start, (full[0] * full[1],))
                self.emit(f'{run}.zero_()' if self.place(dst.buffer).exact else f'{run}.fill(0)')
            # a tile completely outside the tensor is read as a full tile (dialect 12.5, 7)
            with self.block(f'if {vr} == 0 or {vc} == 0:'):
                self.emit(f'put_rows({self.flat(dst.buffer)}, {self.expr(start)}, {full[1]}, '
                          f'rows_of({self.flat(src.buffer)}, {self.expr(rect.start)}, {vr} or {full[0]}, {vc} or {full[1]}, {rect.pitch}))')
            with self.block('else:'):
                self.move(self.chip_view(dst.buffer, start, vr, vc, full[1], torch),
                          self.gm_view(src.buffer, rect.start, vr, vc, rect.pitch, torch), torch)

        if whole is False:
            partial()
            return
        with self.block(f'if {vr} == {full[0]} and {vc} == {full[1]}:'):
            self.move(self.view(dst.buffer, start, full, (full[1], 1), torch), self.gm_view(src.buffer, rect.start, *full, rect.pitch, torch), torch)
        with self.block('else:'):
            partial()

    # -- L1 -> L0 -----------------------------------------------------------------------------------------------------
    def l1_to_l0a(self, s: Instr, src: Region, dst: Region) -> None:
        rows, cols = tile(self.buffer(dst.buffer))
        pitch = tile(self.buffer(src.buffer))[1]
        strides = (1, pitch) if s.attrs.get('transpose') else (pitch, 1)
        torch = self.place(src.buffer).exact or self.place(dst.buffer).exact
        if dst.buffer in self.turned:
            self.move(self.view(dst.buffer, self.offset(dst), (cols, rows), (rows, 1), torch),
                      self.view(src.buffer, self.offset(src), (cols, rows), (pitch, 1), torch), torch)
            return
        self.move(self.view(dst.buffer, self.offset(dst), (rows, cols), (cols, 1), torch),
                  self.view(src.buffer, self.offset(src), (rows, cols), strides, torch), torch)

    l1_to_l0b = l1_to_l0a

    # -- L0C -> GM ----------------------------------------------------------------------------------------------------
    def l0c_to_gm(self, s: Instr, src: Region, dst: Region, atomic: bool = False) -> None:
        b = self.buffer(src.buffer)
        full = tile(b)
        if atomic:
            full = (self.rows_of_region(src), self.static(src.extents[-1], 'the last extent'))
        rect = Rect(self, dst)
        vr, vc, whole = self.sizes(rect, full)
        start = self.offset(src)
        gm = self.buffer(dst.buffer)
        narrow = self.place(dst.buffer).exact

        def store(rows, cols) -> None:
            out = self.gm_view(dst.buffer, rect.start, rows, cols, rect.pitch, narrow)
            value = self.chip_view(src.buffer, start, rows, cols, full[1], False)
            if s.attrs.get('relu'):
                value = f'maximum({value}, 0)'
            if b.dtype == 'int32' and gm.dtype in NARROW:
                value = f'({value} * rt.deq).astype(float32)'
            if atomic:
                self.emit(f'accumulate({out}, {value})')
            elif narrow and value.startswith(('maximum', '(')):
                self.emit(f'lower({out}, {value})')
            elif narrow:
                self.emit(f'{out}.copy_({self.chip_view(src.buffer, start, rows, cols, full[1], True)})')
            elif b.dtype == gm.dtype:
                self.emit(f'copyto({out}, {value})')
            else:
                self.emit(f'copyto({out}, array_to({value}, {gm.dtype!r}, {b.dtype!r}))')

        if whole is True:
            store(*full)
        elif whole is False:
            store(int(vr) or full[0], int(vc) or full[1])
        else:
            with self.block(f'if {vr} == {full[0]} and {vc} == {full[1]}:'):
                store(*full)
            with self.block('else:'):
                # a tile completely outside the tensor is written as a full tile (dialect 12.5, 7): nobody's memory here
                with self.block(f'if {vr} and {vc}:'):
                    store(vr, vc)

    # -- GM <-> UB ----------------------------------------------------------------------------------------------------
    def rows_of_region(self, r: Region) -> int:
        b = self.buffer(r.buffer)
        if len(b.shape) < 2:
            return 1
        e = E.int_value(r.extents[-2])
        return min(b.dims[-2], e) if e is not None else b.dims[-2]

    def ub_pitch(self, vc: str, width: int, es: int) -> int | str:
        """Row pitch in UB: rows are padded to whole 32-byte blocks (4.1.7)."""
        if width * es % 32 == 0 or self.target == 'pto':
            return width
        if vc.isdigit():
            n = int(vc)
            return (-(-n * es // 32) * 32 + (width - n) * es // 32 * 32) // es
        return f'((-(-{vc} * {es} // 32)) * 32 + ({width} - {vc}) * {es} // 32 * 32) // {es}'

    def gm_to_ub(self, s: Instr, src: Region, dst: Region) -> None:
        b = self.buffer(dst.buffer)
        full = (self.rows_of_region(dst), self.static(dst.extents[-1], 'the last extent of a UB tile'))
        rect = Rect(self, src)
        start = self.offset(dst)
        if not isinstance(start, E.Const):
            start = E.Var(self.bind(start))
        vr, vc, whole = self.sizes(rect, full)
        mixed = self.buffer(src.buffer).dtype != b.dtype
        torch = self.place(src.buffer).exact or self.place(dst.buffer).exact

        def load(rows, cols) -> None:
            pitch = self.ub_pitch(str(cols), full[1], b.es)
            value = self.gm_view(src.buffer, rect.start, rows, cols, rect.pitch, torch and not mixed or self.place(src.buffer).exact)
            if mixed:
                if self.place(src.buffer).exact:
                    value = f'raised({value})'
                self.emit(f'put_rows({self.flat(dst.buffer)}, {self.expr(start)}, {pitch}, convert({value}, {b.dtype!r}, "CAST_NONE", rt.deq))')
            elif pitch == full[1]:
                self.move(self.chip_view(dst.buffer, start, rows, cols, pitch, torch), value, torch)
            else:
                value = f'raised({value})' if torch else value
                self.emit(f'put_rows({self.flat(dst.buffer)}, {self.expr(start)}, {pitch}, {value})')

        def partial() -> None:
            if b.es in (2, 4) and self.pads(s, dst):
                run = self.view(dst.buffer, start, (full[0] * full[1],))
                pad = s.attrs.get('pad')
                self.emit(f'{run}.fill{"_" if self.place(dst.buffer).exact else ""}({self.value_as(0 if pad is None else pad, b.dtype)})')
            with self.block(f'if {vr} and {vc}:'):
                load(vr, vc)

        if whole is True:
            load(*full)
        elif whole is False:
            vr, vc = int(vr), int(vc)
            partial()
        else:
            with self.block(f'if {vr} == {full[0]} and {vc} == {full[1]}:'):
                load(*full)
            with self.block('else:'):
                partial()

    def pads(self, s: Instr, dst: Region) -> bool:
        """PTO pads with 0 and infinities only, and only whole destinations."""
        if self.target != 'pto':
            return True
        pad = s.attrs.get('pad')
        value = pad.value if isinstance(pad, E.Const) else pad
        if isinstance(pad, E.Un) and isinstance(pad.a, E.Const):
            value = -pad.a.value
        return dst.form == 'buffer' and (value is None or value in (0, float('inf'), float('-inf')))

    def ub_to_gm(self, s: Instr, src: Region, dst: Region, atomic: bool = False) -> None:
        b, gm = self.buffer(src.buffer), self.buffer(dst.buffer)
        full = (self.rows_of_region(src), self.static(src.extents[-1], 'the last extent of a UB tile'))
        rect = Rect(self, dst)
        start = self.offset(src)
        if not isinstance(start, E.Const):
            start = E.Var(self.bind(start))
        vr, vc, whole = self.sizes(rect, full)
        torch = self.place(src.buffer).exact or self.place(dst.buffer).exact

        def store(rows, cols) -> None:
            pitch = self.ub_pitch(str(cols), full[1], b.es)
            out = self.gm_view(dst.buffer, rect.start, rows, cols, rect.pitch, self.place(dst.buffer).exact or torch and b.dtype == gm.dtype)
            mixed = b.dtype != gm.dtype
            as_torch = self.place(src.buffer).exact or torch and not mixed and not atomic
            if isinstance(pitch, int) and pitch == full[1]:
                value = self.chip_view(src.buffer, start, rows, cols, pitch, as_torch)
                value = f'raised({value})' if as_torch and (mixed or atomic) else value
            else:
                value = f'rows_of({self.flat(src.buffer)}, {self.expr(start)}, {rows}, {cols}, {pitch})'
                value = f'from_numpy({value})' if torch and not mixed and not atomic else value
            if atomic:
                self.emit(f'accumulate({out}, {value})')
            elif mixed:
                self.emit(f'lower({out}, convert({value}, {gm.dtype!r}, "CAST_NONE", rt.deq))')
            else:
                self.move(out, value, torch)

        if whole is True:
            store(*full)
        elif whole is False:
            if int(vr) and int(vc):
                store(int(vr), int(vc))
        else:
            with self.block(f'if {vr} == {full[0]} and {vc} == {full[1]}:'):
                store(*full)
            with self.block(f'elif {vr} and {vc}:'):
                store(vr, vc)

    # -- UB -> UB -----------------------------------------------------------------------------------------------------
    def ub_to_ub(self, s: Instr, src: Region, dst: Region) -> None:
        a, b = self.buffer(src.buffer), self.buffer(dst.buffer)
        dense = all(len(x.shape) == 1 or E.int_value(r.extents[-1]) == x.dims[-1] for x, r in ((a, src), (b, dst)))
        if dense:
            n = self.count(dst)
            value, out = self.source(src, (n,)), self.target_of(dst, (n,), round_=False)
        else:
            rows = self.static(src.extents[-2], 'the row count of a UB copy') if len(src.extents) > 1 else 1
            cols = self.static(src.extents[-1], 'the row length of a UB copy')
            if self.place(src.buffer).exact or self.place(dst.buffer).exact:
                value = f'rows_of({self.flat(src.buffer)}, {self.expr(self.offset(src))}, {rows}, {cols}, {a.dims[-1]})'
                mode = '' if a.dtype == b.dtype else f'convert({value}, {b.dtype!r}, {self.copy_mode(a.dtype, b.dtype)!r}, rt.deq)'
                self.emit(f'put_rows({self.flat(dst.buffer)}, {self.expr(self.offset(dst))}, {b.dims[-1]}, {mode or value})')
                return
            value = self.view(src.buffer, self.offset(src), (rows, cols), (a.dims[-1], 1))
            out = self.view(dst.buffer, self.offset(dst), (rows, cols), (b.dims[-1], 1))
        if a.dtype == b.dtype:
            self.emit(f'copyto({out}, {value})')
        elif dense and b.dtype == 'float32' and a.dtype in ('float16', 'bfloat16'):
            self.emit(f'copyto({out}, {value})')
        elif dense and a.dtype == 'float32' and b.dtype in ('float16', 'bfloat16') and not self.place(dst.buffer).exact and isinstance(n, int):
            low = self.scratch(b.dtype, (n,), numpy=False)
            if self.place(src.buffer).exact:
                self.emit(f'{low}.copy_(from_numpy({value}))')
            else:
                self.emit(f'{low}.copy_({self.view(src.buffer, self.offset(src), (n,), torch=True)})')
            self.emit(f'{self.view(dst.buffer, self.offset(dst), (n,), torch=True)}.copy_({low})')
        else:
            self.emit(f'copyto({out}, convert({value}, {b.dtype!r}, {self.copy_mode(a.dtype, b.dtype)!r}, rt.deq))')

    def copy_mode(self, a: str, b: str) -> str:
        exact = {('float16', 'float32'), ('bfloat16', 'float32'), ('int16', 'float32'), ('int8', 'float16'), ('int32', 'int16')}
        return 'CAST_NONE' if self.target == 'pto' or (a, b) in exact else 'CAST_RINT'
