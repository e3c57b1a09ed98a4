"""How many elements each vector operation touches of each operand (dialect 5.3, 5.4)."""

from __future__ import annotations

import math
from typing import Callable

from ..dtypes import dtype as dtype_of
from ..ir.expr import int_value
from ..ir.ops import OPS, letters
from .access import Access, Geometry, Rect, Span2D

MODE = {'r': 'r', 'w': 'w', 'm': 'm', 'a': 'r'}


def _aligned(n: int, to: int) -> int:
    return -(-n // to) * to


# op -> (args, rects by position) -> elements touched per position; positions left out touch their whole region.
Counts = Callable[[tuple, dict[int, Rect], dict], dict[int, int]]


# `count`: a pass changed the operands of an instruction but not the number of elements it works on.
def _by_dst(args, rects, attrs):
    n = attrs.get('count', rects[0].count)
    return {p: n for p in rects if rects[p].form != 'element'}


def _count_last(args, rects, attrs):
    return {p: int(args[-1]) for p in rects if rects[p].form != 'element'}


def _compare(args, rects, attrs):
    n = attrs.get('count', rects[1].count)
    return {0: -(-n // 8), 1: n, 2: n}


def _select(args, rects, attrs):
    n = attrs.get('count', rects[0].count)
    bits = n if args[4] != 'VSEL_CMPMASK_SPR' else min(n, 256 // rects[0].buffer.es)
    return {0: n, 1: -(-bits // 8), 2: n, 3: n}


def _reduce(args, rects, attrs):
    m, n = attrs['M'], attrs['N']
    return {0: m if attrs['dim'] == -1 else n, 1: m * n}


def _gather(args, rects, attrs):
    n = attrs.get('count', min(rects[0].count, rects[2].count))
    return {0: n, 2: n}


def _gather_mask(args, rects, attrs):
    n = rects[1].count
    if isinstance(args[2], str):
        return {0: n * args[2].lstrip('P').count('1') // len(args[2].lstrip('P'))}
    return {0: rects[2].count}


def _sort(args, rects, attrs):
    n = _aligned(int(args[2]), 32)
    return {0: 2 * n, 1: n}


def _topk(args, rects, attrs):
    return {0: _aligned(2 * int(args[2]), dtype_of(rects[0].buffer.dtype).block), 1: _aligned(int(args[3]), 32)}


def _sort32(args, rects, attrs):
    n = rects[1].count // 32 * 32
    return {0: n * 8 // rects[0].buffer.es, 1: n, 2: n}


def _merge(args, rects, attrs):
    return {0: sum(rects[p].count for p in rects if p)}


def _brcb(args, rects, attrs):
    return {1: 8 * int(args[2])}


def _repeat_span(es: int, mask: int, repeats: int, blk: int, rep: int) -> int:
    per = 256 // es
    last = (repeats - 1) * rep * (32 // es)
    return last + (min(mask, per) if blk == 1 else min(mask, per) * blk)


def _whole_reduce(args, rects, attrs):
    mask, repeats, dst_rep, blk, rep = (int(a) for a in args[2:7])
    return {0: (repeats - 1) * dst_rep + (2 if len(args) > 7 and args[7] == 'ORDER_VALUE_INDEX' else 1),
            1: _repeat_span(rects[1].buffer.es, mask, repeats, blk, rep)}


def _block_reduce(args, rects, attrs):
    repeats, mask, dst_rep, blk, rep = (int(a) for a in args[2:7])
    return {0: (repeats - 1) * dst_rep * 8 + 8, 1: _repeat_span(rects[1].buffer.es, mask, repeats, blk, rep)}


def _sum_rows(args, rects, attrs):
    outer, inner, n = (int(a) for a in args[2:5])
    return {0: outer, 1: (outer - 1) * inner + n}


COUNTS: dict[str, Counts] = {
    'compare': _compare, 'compare_scalar': _compare, 'select': _select, 'reduce': _reduce, 'gather': _gather, 'gather_mask': _gather_mask,
    'sort': _sort, 'topk': _topk, 'sort32': _sort32, 'merge_sort': _merge, 'brcb_experiment': _brcb,
    'cast': _count_last, 'round': _count_last, 'clamp': _count_last, 'clamp_max': _count_last, 'clamp_min': _count_last,
    'arith_progression': _count_last, 'sub_experiment': _count_last, 'abs_experiment': _count_last, 'mins_experiment': _count_last,
    'reduce_sum_experiment': lambda a, r, k: {0: 1, 1: int(a[2])}, 'reduce_sum_mask_experiment': lambda a, r, k: {0: 1},
    'sum_experiment': _sum_rows, 'wholereducemax': _whole_reduce, 'wholereducemin': _whole_reduce, 'wholereducesum': _whole_reduce,
    'block_reduce_max': _block_reduce, 'block_reduce_min': _block_reduce, 'block_reduce_sum': _block_reduce,
    'fill_experiment': lambda a, r, k: {0: min(r[0].count, (int(a[3]) - 1) * int(a[5]) * (32 // r[0].buffer.es) + 256 // r[0].buffer.es)},
}
# Instructions that go through a tile row by row, each row as wide as the operand and as far from the next as the buffer's rows.
_BY_ROW = {'row_expand_mul_experiment', 'row_expand_sub_experiment', 'row_expand_div_experiment'}
_WHOLE = {'transpose', 'broadcast', 'row_expand_mul', 'row_expand_mul_experiment', 'row_expand_sub_experiment', 'row_expand_div_experiment',
          'gatherb', 'gathermask_experiment', 'bilinear_interpolation', 'createvecindex', 'init_sort_buf', 'pow', 'bitwise_xor'}


def vector_accesses(op: str, args: tuple, rects: dict[int, Rect], attrs: dict, geometry: Geometry) -> list[Access]:
    """Accesses of one vector instruction; `args` holds Rects, numbers and strings by position."""
    counts = COUNTS[op](args, rects, attrs) if op in COUNTS else {} if op in _WHOLE else _by_dst(args, rects, attrs)
    if 'shapes' in attrs:  # of a broadcast whose operands a pass changed
        counts = {i: math.prod(int_value(d) for d in shape) for i, shape in enumerate(attrs['shapes'])}
    counts = attrs.get('runs', {}) | counts
    out = []
    for position, letter in enumerate(letters(OPS[op], len(args))):
        r = rects.get(position)
        if r is None or r.form == 'element' and letter == 'e':
            continue
        mode = MODE.get(letter, 'r')
        if op == 'reduce' and position == 0 and not attrs['clear']:
            mode = 'm'
        if op == 'gather_mask' and position == 2:
            mode = 'm'  # the index buffer is shifted in place
        if position < 2 and op in _BY_ROW:
            rows, cols, pitch = r.count // r.extents[-1], r.extents[-1] * r.buffer.es, geometry.shapes[r.buffer.name][-1] * r.buffer.es
            out.append(Access(geometry.strided(r, rows, cols, pitch), mode, r.buffer.name))
            continue
        out.append(Access(geometry.run(r, counts.get(position)), mode, r.buffer.name))
    if op == 'brcb_experiment':
        repeat, blk, rep = (int(a) for a in args[2:5])
        span = ((repeat - 1) * rep + 7 * blk + 1) * 32
        first = out[0].span
        out[0] = Access(Span2D(first.memory, first.start, 1, span, span), 'w', out[0].buffer)
    return out


def work(op: str, args: tuple, rects: dict[int, Rect], attrs: dict) -> int:
    """Elements the vector unit walks over; what its time depends on."""
    if op == 'reduce':
        return attrs['M'] * attrs['N']
    if op in ('compare', 'compare_scalar', 'gather_mask', 'sort32', 'sort', 'topk', 'transpose', 'reduce_sum_experiment', 'sum_experiment',
              'wholereducemax', 'wholereducemin', 'wholereducesum', 'block_reduce_max', 'block_reduce_min', 'block_reduce_sum'):
        return attrs.get('count', rects[1].count)
    if op in COUNTS and COUNTS[op] is _count_last:
        return int(args[-1])
    return attrs.get('count', rects[0].count)


# op -> position of its repeat count
_REPEATS = {'brcb_experiment': 2, 'gatherb': 3, 'fill_experiment': 3, 'reduce_sum_mask_experiment': 3, 'wholereducemax': 3, 'wholereducemin': 3,
            'wholereducesum': 3, 'block_reduce_max': 2, 'block_reduce_min': 2, 'block_reduce_sum': 2}


def shape(op: str, args: tuple, rects: dict[int, Rect], attrs: dict) -> dict:
    """What the time of a library routine depends on besides its element count: keywords of `CostModel.vector`."""
    if op in _REPEATS:
        return {'repeats': int(args[_REPEATS[op]])}
    if op == 'bilinear_interpolation':
        return {'repeats': int(args[5]) * int(args[9])}
    if op == 'reduce':
        return {'rows': attrs['M'], 'cols': attrs['N'], 'axis': attrs['dim'], 'kind': attrs['kind'], 'clear': attrs['clear']}
    if op in ('broadcast', 'transpose') or op.startswith('row_expand'):
        r = rects[1] if op == 'transpose' else rects[0]
        cols = r.extents[-1]
        return {'rows': r.count // cols, 'cols': cols, 'axis': attrs.get('axis', -1) or 0}
    if op == 'gather_mask':
        return {'kind': 'pattern' if isinstance(args[2], str) else 'index'}
    if op == 'topk':
        return {'cols': int(args[2])}
    if op == 'sum_experiment':
        return {'rows': int(args[2]), 'cols': int(args[4])}
    return {}
