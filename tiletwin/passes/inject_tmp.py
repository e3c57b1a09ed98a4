"""Scratch the vector library needs: one `tmp_ub` of the largest request, plus typed ones for sort and top-k (dialect 5.3.15, 8.2).

The instruction names its scratch in the attribute `tmp`; the compiler sees it as one more operand.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import Buffer, Instr, Program, Region, Stmt, map_bodies, walk
from .context import PassContext

_WHOLE_TWICE = {'sin', 'cos', 'pow'}
_ACCESSED = {'clamp', 'clamp_max', 'clamp_min', 'reduce', 'sigmoid', 'bitwise_xor', 'bilinear_interpolation', 'reduce_sum_experiment',
             'reduce_sum_mask_experiment'}
# On PTO these ask for a byte that only marks the operand.
_PLACEHOLDER = {'clamp', 'clamp_max', 'clamp_min', 'sigmoid', 'bitwise_xor', 'bilinear_interpolation', 'reduce_sum_experiment',
                'reduce_sum_mask_experiment',
                'sin', 'cos', 'pow', 'broadcast', 'round', 'merge_sort', 'select', 'gather'}


def _bytes(program: Program, r: Region) -> int:
    n = program.buffers[r.buffer].es
    for e in r.extents:
        n *= E.int_value(e) or 1
    return n


def _rows_cols(program: Program, r: Region) -> tuple[int, int]:
    extents = [E.int_value(e) or 1 for e in r.extents]
    return (1, extents[0]) if len(extents) == 1 else (extents[-2], extents[-1])


def _ascendc(program: Program, s: Instr) -> tuple[int, int]:
    op = s.op
    if op in _WHOLE_TWICE:
        return 2 * program.buffers[s.args[1].buffer].bytes, 0
    if op in _ACCESSED:
        return _bytes(program, s.args[1]), 0
    if op == 'broadcast':
        return _bytes(program, s.args[0]) // 4, 0
    if op == 'round':
        return max(256, _bytes(program, s.args[0])), 0
    if op == 'merge_sort':
        return _bytes(program, s.args[0]), 0
    if op in ('sort', 'topk'):
        src = program.buffers[s.args[1].buffer]
        factor = 8 if op == 'sort' else 4
        return factor * (src.bytes if op == 'sort' else src.elements), factor * src.elements
    return 0, 0


def _pto(program: Program, s: Instr) -> tuple[int, int]:
    if s.op in _PLACEHOLDER:
        return 1, 0
    if s.op == 'reduce':
        es = program.buffers[s.args[1].buffer].es
        rows, cols = _rows_cols(program, s.args[1])
        if s.attrs['dim'] == 0:
            return rows * cols // 2 * es, 0
        wide = 1 if cols <= 256 // es else max(cols // 2, 256 // es)
        return rows * -(-wide * es // 32) * 32, 0
    return _ascendc(program, s) if s.op in ('sort', 'topk') else (0, 0)


def request(program: Program, s: Instr, target: str = 'ascendc') -> tuple[int, int]:
    """Bytes of `tmp_ub` and elements of the typed scratch an instruction asks for."""
    return _pto(program, s) if target == 'pto' else _ascendc(program, s)


def _merged(program: Program, s: Instr, target: str) -> bool:
    """Whether PTO reduces into a scratch first, to merge with what the result holds."""
    return target == 'pto' and s.op == 'reduce' and not s.attrs['clear']


def run(program: Program, ctx: PassContext) -> Program:
    """Adds the scratch buffers; they take part in addresses, capacity and synchronisation like any tile."""
    total, merged, typed = 0, 0, {}
    for s in walk(program.body):
        if isinstance(s, Instr):
            size, elements = request(program, s, ctx.target)
            total = max(total, size)
            if elements:
                dtype = program.buffers[s.args[1].buffer].dtype
                typed[dtype] = max(typed.get(dtype, 0), elements)
            if _merged(program, s, ctx.target):
                merged = max(merged, _bytes(program, s.args[0]))
    if not total:
        return program
    names = {dtype: f'tmp_ub_{i}' for i, dtype in enumerate(typed, 1)}
    buffers = dict(program.buffers)
    sizes = [('tmp_ub', total, 'uint8'), *((names[d], n, d) for d, n in typed.items()), *([('tmp_ub_reduce_out', merged, 'uint8')] if merged else [])]
    for name, n, dtype in sizes:
        buffers[name] = Buffer(name, 'UB', (E.Const(n),), dtype, program.span, origin='inject_tmp')

    def block(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(served(map_bodies(s, block)) for s in body)

    def served(s: Stmt) -> Stmt:
        if not isinstance(s, Instr):
            return s
        size, elements = request(program, s, ctx.target)
        if not size:
            return s
        wanted = ['tmp_ub']
        if elements:
            wanted.append(names[program.buffers[s.args[1].buffer].dtype])
        if _merged(program, s, ctx.target):
            wanted.append('tmp_ub_reduce_out')
        return replace(s, attrs={**s.attrs, 'tmp': wanted[0] if len(wanted) == 1 else tuple(wanted)})

    return replace(program, buffers=buffers, body=block(program.body))
