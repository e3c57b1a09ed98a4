"""Library instructions: reductions, gathers, sorting, transposition and the raw repeat forms."""

from __future__ import annotations

from ...ir import expr as E
from ...ir.nodes import Instr, Region
from .vector import Vector


class Library(Vector):
    def es(self, r: Region) -> int:
        return self.buffer(r.buffer).es

    def op_reduce(self, s: Instr, dst: Region, src: Region) -> None:
        at = s.attrs
        kind = str(at['kind']).removeprefix('reduce_')
        dim = at['dim']
        rows, cols = self.number(at['M']), self.number(at['N'])
        # with a real_shape AscendC reads rows densely, PTO keeps the physical row length
        pitch = self.number(at['cols']) if self.target == 'pto' and at.get('cols') is not None else cols
        clear = bool(at.get('clear', True))
        half_sum = kind == 'sum' and self.dtype(src) == 'float16' and self.target != 'pto'
        narrow = self.dtype(dst) != 'float32' and kind == 'sum'
        plain = isinstance(rows, int) and isinstance(cols, int) and pitch == cols and rows > 0 and cols > 0
        # half sums go through WholeReduceSum: the general form reproduces its limits
        if plain and (not (half_sum and clear) or dim != 0 and cols <= 128 and cols % 16 == 0):
            axis = 1 if dim != 0 else 0
            n = rows if axis else cols
            out = self.target_of(dst, (n,), narrow, keep=not clear)
            part = out if clear else self.scratch(self.values_type(dst), (n,))
            if self.values_type(dst) == 'float32' and not self.place(src.buffer).exact and not self.place(dst.buffer).exact:
                fn = {'sum': 'tsum', 'max': 'amax', 'min': 'amin'}[kind]
                to = self.view(dst.buffer, self.offset(dst), (n,), torch=True) if clear else self.torch_of[part]
                self.emit(f'{fn}({self.view(src.buffer, self.offset(src), (rows, cols), torch=True)}, {axis}, out={to})')
            else:
                self.emit(f'reduce_axis({part}, {self.source(src, (rows, cols))}, {kind!r}, {axis})')
            if not clear:
                fn = {'sum': 'add', 'max': 'maximum', 'min': 'minimum'}[kind]
                self.emit(f'{fn}({out}, {part}, out={out})')
            return
        self.emit(f'reduce_tile({self.tail(dst, True)}, {self.tail(src)}, {kind!r}, {dim}, {rows}, {cols}, {pitch}, {clear}, {half_sum})')

    def values_type(self, r: Region) -> str:
        d = self.dtype(r)
        return 'float32' if 'float' in d else d

    # -- gathers ------------------------------------------------------------------------------------------------------
    def op_gather(self, s, dst, src, offsets, base):
        count = E.emin(E.product(dst.extents), E.product(offsets.extents))
        n = self.number(count)
        fn = 'gather_pto' if self.target == 'pto' else 'gather'
        off = self.tail(offsets, self.target == 'pto')
        texts = [self.target_of(dst, (n,), False), self.tail(src), self.unsigned(off, offsets), self.number(base), self.es(src), n]
        self.emit(f'{fn}({", ".join(map(str, texts))})')

    def unsigned(self, text: str, r: Region) -> str:
        return f'{text}.view("uint32")' if self.dtype(r) == 'int32' else text

    def op_gatherb(self, s, dst, src, offsets, *rest):
        numbers = ', '.join(str(self.number(v)) for v in rest)
        self.emit(f'gather_blocks({self.tail(dst, True)}, {self.tail(src)}, {self.unsigned(self.tail(offsets), offsets)}, {numbers}, {self.es(src)})')

    def op_gather_mask(self, s, dst, src, how):
        if isinstance(how, Region):
            n = self.count(how)
            index = self.target_of(how, (n,), False, keep=True) if self.target != 'pto' else self.source(how, (n,))
            fn = 'mask_indices_pto' if self.target == 'pto' else 'mask_indices'
            self.emit(f'{fn}({self.tail(dst, True)}, {self.tail(src)}, {index}, {self.es(src)})')
        else:
            text = how if isinstance(how, str) else how.value
            self.emit(f'mask_pattern({self.tail(dst, True)}, {self.source(src, (self.count(src),))}, {text!r})')

    def op_gathermask_experiment(self, s, dst, src, pattern, mode, mask, blk, repeat, rep0, rep1, rsvd):
        counter = str(mode).lower() in ('true', '1', 'counter')
        numbers = ', '.join(str(self.number(v)) for v in (mask, blk, repeat, rep0, rep1))
        self.number(rsvd)
        self.emit(f'mask_bits({self.tail(dst, True)}, {self.tail(src)}, {self.tail(pattern)}, {counter}, {numbers}, {self.es(src)})')

    # -- sorting ------------------------------------------------------------------------------------------------------
    def op_sort32(self, s, dst, values, payload):
        n = self.count(values)
        self.emit(f'sort32({self.tail(dst, True)}, {self.source(values, (n,))}, {self.source(payload, (n,))}, {self.dtype(values)!r})')

    def op_sort(self, s, dst, src, actual):
        self.emit(f'sort({self.tail(dst, True)}, {self.tail(src, True)}, {self.number(actual)}, {self.dtype(src)!r})')

    def op_topk(self, s, dst, src, k, actual):
        texts = [self.tail(dst, True), self.tail(src, True), self.number(k), self.number(actual), self.es(src), repr(self.dtype(src))]
        self.emit(f'topk({", ".join(map(str, texts))})')

    def op_merge_sort(self, s, dst, *lists):
        texts = [self.source(x, (self.count(x),)) for x in lists]
        self.emit(f'merge_sort({self.tail(dst, True)}, {", ".join(texts)})')

    def op_transpose(self, s, dst, src):
        dims = self.buffer(src.buffer).dims
        rows, cols = dims if len(dims) == 2 else (16, 16)
        fn = 'transpose_pto' if self.target == 'pto' else 'transpose'
        self.emit(f'{fn}({self.tail(dst, True)}, {self.tail(src)}, {rows}, {cols})')

    # -- raw repeat forms ---------------------------------------------------------------------------------------------
    def whole(self, kind: str, dst: Region, src: Region, mask, repeat, dst_rep, src_blk, src_rep, order: str = 'ORDER_ONLY_VALUE') -> None:
        numbers = ', '.join(str(self.number(v)) for v in (mask, repeat, dst_rep, src_blk, src_rep))
        self.emit(f'whole_reduce({self.tail(dst, True)}, {self.tail(src)}, {kind!r}, {numbers}, {self.es(src)}, {self.dtype(src)!r}, {order!r})')

    def op_wholereducemax(self, s, *args):
        self.whole('max', *args)

    def op_wholereducemin(self, s, *args):
        self.whole('min', *args)

    def op_wholereducesum(self, s, *args):
        self.whole('sum', *args)

    def by_block(self, kind: str, dst: Region, src: Region, *rest) -> None:
        numbers = ', '.join(str(self.number(v)) for v in rest)
        self.emit(f'block_reduce({self.tail(dst, True)}, {self.tail(src)}, {kind!r}, {numbers}, {self.es(src)})')

    def op_block_reduce_max(self, s, *args):
        self.by_block('max', *args)

    def op_block_reduce_min(self, s, *args):
        self.by_block('min', *args)

    def op_block_reduce_sum(self, s, *args):
        self.by_block('sum', *args)

    def op_reduce_sum_experiment(self, s, dst, src, count):
        n = self.number(count)
        self.emit(f'add.reduce({self.source(src, (1, n))}, axis=1, out={self.target_of(dst, (1,))})')

    def op_reduce_sum_mask_experiment(self, s, dst, src, *rest):
        numbers = ', '.join(str(self.number(v)) for v in rest)
        self.emit(f'sum_masked({self.tail(dst, True)}, {self.tail(src)}, {numbers}, {self.es(src)})')

    def op_sum_experiment(self, s, dst, src, *rest):
        numbers = ', '.join(str(self.number(v)) for v in rest)
        self.emit(f'sum_rows({self.tail(dst, True)}, {self.tail(src)}, {numbers})')

    def op_bilinear_interpolation(self, s, dst, src0, offsets, src1, *rest):
        numbers = ', '.join(str(self.number(v)) for v in rest)
        texts = [self.tail(dst, True), self.tail(src0), self.unsigned(self.tail(offsets), offsets), self.tail(src1), numbers]
        self.emit(f'bilinear({", ".join(texts)}, {self.es(src0)}, {self.dtype(src0)!r})')

    # -- cube ---------------------------------------------------------------------------------------------------------
    def op_mma(self, s: Instr, a: Region, b: Region, c: Region, init) -> None:
        at = s.attrs
        m = self.static(at.get('M', c.extents[-2]), 'M')
        n = self.static(at.get('N', c.extents[-1]), 'N')
        k = self.static(at.get('K', a.extents[-1]), 'K')
        ta, tb = bool(at.get('transpose_A')), bool(at.get('transpose_B'))
        if s.op == 'gemm_v0' and k > 128 and self.missliced(a, ta, b, tb, k):
            self.sliced(s, (a, b, c), (m, n, k), ta, tb, init)
            return
        ma, mb = self.operand(0, a, m, k, ta), self.operand(1, b, k, n, tb)
        mc = self.view(c.buffer, self.offset(c), (m, n), torch=True)
        out = mc
        if self.place(c.buffer).exact:
            out = self.fresh('acc')
            self.emit(f'{out} = {mc}.to(float32_t)')
            self.after.append(f'{mc}.copy_({out})')
        first = E.as_expr(init)
        fn = 'mma_int' if self.dtype(c) == 'int32' else 'mma_float'
        if isinstance(first, E.Const) and fn == 'mma_float':
            self.emit(f'mm({ma}, {mb}, out={out})' if first.value else f'{out}.addmm_({ma}, {mb})')
        else:
            self.emit(f'{fn}({ma}, {mb}, {out}, {self.expr(first)})')

    op_gemm_v0 = op_mma

    def missliced(self, a: Region, ta: bool, b: Region, tb: bool, k: int) -> bool:
        """Slices of 128 along K that do not start where they should (dialect 12.5, 19)."""
        if self.target == 'pto':
            return k % 128 != 0
        return self.es(a) != 2 and ta or self.es(b) != 2 and not tb

    def sliced(self, s: Instr, operands: tuple, sizes: tuple[int, int, int], ta: bool, tb: bool, init) -> None:
        a, b, c = operands
        m, n, k = sizes
        tiles = []
        for r, rows_are_k in ((a, ta), (b, not tb)):
            rows, cols = self.buffer(r.buffer).dims[-2:]
            tiles.append(self.source(r, (rows, cols)))
            es = 2 if self.target == 'pto' else self.es(r)
            tiles.append(self.hoist(f'slice_index({rows}, {cols}, {k}, {rows_are_k}, {es}, {self.target == "pto"})', 'i'))
        out = self.target_of(c, (m, n), keep=True)
        self.emit(f'gemm_sliced({", ".join(tiles)}, {out}, {ta}, {tb}, {self.expr(E.as_expr(init))})')

    def operand(self, i: int, r: Region, rows: int, cols: int, transposed: bool) -> str:
        copy = self.forward.get((id(self.instr), i))
        if copy is not None:
            return self.matrix_view(copy.args[0], rows, cols, bool(copy.attrs.get('transpose')))
        return self.matrix_view(r, rows, cols, transposed != (r.buffer in self.turned))

    def matrix_view(self, r: Region, rows: int, cols: int, transposed: bool) -> str:
        """A torch matrix of a leading-dim slice; the stored form is the transpose when `transposed`."""
        pitch = self.tile_pitch(r, rows, cols, transposed)
        strides = (1, pitch) if transposed else (pitch, 1)
        text = self.view(r.buffer, self.offset(r), (rows, cols), strides, torch=True)
        return f'{text}.to(float32_t)' if self.place(r.buffer).exact else text

    def tile_pitch(self, r: Region, rows: int, cols: int, transposed: bool) -> int:
        if r.buffer in self.turned:
            return self.buffer(r.buffer).dims[-2]
        return self.buffer(r.buffer).dims[-1]

