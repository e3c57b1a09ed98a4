"""Scratch the vector library needs: one `tmp_ub` of the largest request, plus typed ones for sort and top-k (dialect 5.3.15, 8.2)."""

from __future__ import annotations

from dataclasses import replace

from ..ir import expr as E
from ..ir.nodes import Buffer, Instr, Program, Region, walk

_WHOLE_TWICE = {'sin', 'cos', 'pow'}
_ACCESSED = {'clamp', 'clamp_max', 'clamp_min', 'reduce', 'sigmoid', 'bitwise_xor', 'bilinear_interpolation', 'reduce_sum_experiment',
             'reduce_sum_mask_experiment'}


def _bytes(program: Program, r: Region) -> int:
    n = program.buffers[r.buffer].es
    for e in r.extents:
        n *= E.int_value(e) or 1
    return n


def request(program: Program, s: Instr) -> tuple[int, int]:
    """Bytes of `tmp_ub` and elements of the typed scratch an instruction asks for."""
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


def inject_tmp(program: Program) -> Program:
    """Adds the scratch buffers; they take part in addresses and capacity like any tile."""
    total, typed = 0, {}
    for s in walk(program.body):
        if isinstance(s, Instr):
            size, elements = request(program, s)
            total = max(total, size)
            if elements:
                dtype = program.buffers[s.args[1].buffer].dtype
                typed[dtype] = max(typed.get(dtype, 0), elements)
    if not total:
        return program
    buffers = dict(program.buffers)
    buffers['tmp_ub'] = Buffer('tmp_ub', 'UB', (E.Const(total),), 'uint8', program.span, origin='inject_tmp')
    for i, (dtype, elements) in enumerate(typed.items(), 1):
        buffers[f'tmp_ub_{i}'] = Buffer(f'tmp_ub_{i}', 'UB', (E.Const(elements),), dtype, program.span, origin='inject_tmp')
    return replace(program, buffers=buffers)
