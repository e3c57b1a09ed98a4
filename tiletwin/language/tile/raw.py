"""Repeat-and-stride forms and the `_experiment` operations (dialect 5.3.9, 5.3.13, 5.3.14)."""

from __future__ import annotations

import warnings

from ...errors import DialectAssertionError, DialectError
from ..emit import issue
from ..operands import scalar, text
from ..where import check
from .common import count, same_size, tile, whole


def _numbers(op: str, **values):
    return tuple(scalar(v, f'T.tile.{op}: {name}') for name, v in values.items())


def _deprecated(op: str, instead: str) -> None:
    warnings.warn(f'T.tile.{op} is deprecated, use {instead}', DeprecationWarning, stacklevel=4)


def _whole_reduce(op, dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride, order=None):
    _deprecated(op, 'T.reduce_max, T.reduce_min or T.reduce_sum')
    d, s = tile(dst, f'T.tile.{op}: dst'), tile(src, f'T.tile.{op}: src')
    numbers = _numbers(op, mask=mask, repeattimes=repeattimes, dstrepstride=dstrepstride, srcblkstride=srcblkstride, srcrepstride=srcrepstride)
    return issue(op, d.call(), s.call(), *numbers, *(() if order is None else (text(order, 'ReduceOrder'),)))


def wholereducemax(dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride, ReduceOrder='ORDER_VALUE_INDEX'):
    """The maximum of each repeat, with its index."""
    return _whole_reduce('wholereducemax', dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride, ReduceOrder)


def wholereducemin(dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride, ReduceOrder='ORDER_VALUE_INDEX'):
    """The minimum of each repeat, with its index."""
    return _whole_reduce('wholereducemin', dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride, ReduceOrder)


def wholereducesum(dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride):
    """The sum of each repeat."""
    return _whole_reduce('wholereducesum', dst, src, mask, repeattimes, dstrepstride, srcblkstride, srcrepstride)


def _block_reduce(op, dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride):
    _deprecated(op, 'T.reduce_max, T.reduce_min or T.reduce_sum')
    d, s = tile(dst, f'T.tile.{op}: dst'), tile(src, f'T.tile.{op}: src')
    numbers = _numbers(op, repeat=repeat, mask=mask, dstRepStride=dstRepStride, srcBlkStride=srcBlkStride, srcRepStride=srcRepStride)
    return issue(op, d.call(), s.call(), *numbers)


def block_reduce_max(dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride):
    """The maximum of each 32-byte block."""
    return _block_reduce('block_reduce_max', dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride)


def block_reduce_min(dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride):
    """The minimum of each 32-byte block."""
    return _block_reduce('block_reduce_min', dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride)


def block_reduce_sum(dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride):
    """The sum of each 32-byte block."""
    return _block_reduce('block_reduce_sum', dst, src, repeat, mask, dstRepStride, srcBlkStride, srcRepStride)


def bilinear_interpolation(dst, src0, src0_offset, src1, mask, h_repeat, repeat_mode, dst_blk_stride, v_r_offset, v_repeat):
    """Weighted sums of gathered blocks."""
    _deprecated('bilinear_interpolation', 'T.tile.gather and T.tile.mul_add_dst')
    named = (dst, 'dst'), (src0, 'src0'), (src0_offset, 'src0_offset'), (src1, 'src1')
    operands = (tile(v, f'T.tile.bilinear_interpolation: {w}').call() for v, w in named)
    numbers = _numbers('bilinear_interpolation', mask=mask, h_repeat=h_repeat, repeat_mode=repeat_mode, dst_blk_stride=dst_blk_stride,
                       v_r_offset=v_r_offset, v_repeat=v_repeat)
    return issue('bilinear_interpolation', *operands, *numbers)


def _row_expand(op: str, dst, src0, src1, tmp):
    d, a = tile(dst, f'T.tile.{op}: dst'), tile(src0, f'T.tile.{op}: src0')
    b = tile(src1, f'T.tile.{op}: src1')
    rows = 1
    for e in d.extents[:-1]:
        rows = rows * e
    check(len(d.extents) >= 2, DialectError, f'T.tile.{op}: dst {d} has one dimension', 'rows are scaled one by one', 'a two-dimensional tile')
    check(list(d.extents) == list(a.extents), DialectError, f'T.tile.{op}: dst {d} and src0 {a} differ in shape', 'both are the same matrix')
    if tmp is not None or op == 'row_expand_mul':
        check(b.size == rows, DialectError, f'T.tile.{op}: src1 {b} has {b.size} elements but there are {rows} rows', 'one factor per row',
              f'a tile of {rows} elements')
    extra = () if tmp is None else (tile(tmp, f'T.tile.{op}: tmp').call(),)
    return issue(op, d.call(), a.call(), b.call(), *extra)


def row_expand_mul(dst, src0, src1, tmp=None):
    """dst[i, j] = src0[i, j] * src1[i]; only the PTO target has it."""
    return _row_expand('row_expand_mul', dst, src0, src1, tmp)


def row_expand_mul_experiment(dst, src0, src1, tmp=None):
    return _row_expand('row_expand_mul_experiment', dst, src0, src1, tmp)


def row_expand_sub_experiment(dst, src0, src1, tmp=None):
    return _row_expand('row_expand_sub_experiment', dst, src0, src1, tmp)


def row_expand_div_experiment(dst, src0, src1, tmp=None):
    return _row_expand('row_expand_div_experiment', dst, src0, src1, tmp)


def brcb_experiment(dst, src, repeat_times, dst_blk_stride, dst_repeat_stride):
    """Each of 8 * repeat_times elements fills one 32-byte block."""
    d, s = tile(dst, 'T.tile.brcb_experiment: dst'), tile(src, 'T.tile.brcb_experiment: src')
    if isinstance(s.size, int) and isinstance(repeat_times, int):
        check(s.size >= 8 * repeat_times, DialectAssertionError,
              f'T.tile.brcb_experiment: src {s} has {s.size} elements but {8 * repeat_times} are read', 'eight elements per repeat')
    numbers = _numbers('brcb_experiment', repeat_times=repeat_times, dst_blk_stride=dst_blk_stride, dst_repeat_stride=dst_repeat_stride)
    return issue('brcb_experiment', d.call(), s.call(), *numbers)


def sub_experiment(dst, src0, src1, n):
    """dst = src0 - src1, the first n elements."""
    d, a, b = (whole(v, f'T.tile.sub_experiment: {w}') for v, w in ((dst, 'dst'), (src0, 'src0'), (src1, 'src1')))
    same_size('sub_experiment', d, a)
    same_size('sub_experiment', d, b)
    return issue('sub_experiment', d.call(), a.call(), b.call(), count(n, 'sub_experiment'))


def abs_experiment(dst, src, n):
    """dst = |src|, the first n elements."""
    d, a = whole(dst, 'T.tile.abs_experiment: dst'), whole(src, 'T.tile.abs_experiment: src')
    same_size('abs_experiment', d, a)
    return issue('abs_experiment', d.call(), a.call(), count(n, 'abs_experiment'))


def mins_experiment(dst, src, s, n):
    """dst = min(src, s), the first n elements."""
    d, a = whole(dst, 'T.tile.mins_experiment: dst'), whole(src, 'T.tile.mins_experiment: src')
    same_size('mins_experiment', d, a)
    return issue('mins_experiment', d.call(), a.call(), scalar(s, 'the scalar'), count(n, 'mins_experiment'))


def reduce_sum_experiment(dst, src, n):
    """dst[0] = the sum of the first n elements."""
    d, a = tile(dst, 'T.tile.reduce_sum_experiment: dst'), tile(src, 'T.tile.reduce_sum_experiment: src')
    return issue('reduce_sum_experiment', d.call(), a.call(), count(n, 'reduce_sum_experiment'))


def reduce_sum_mask_experiment(dst, src, mask, repeatTime, srcRepStride):
    """dst[0] = the sum over masked repeats."""
    d, a = tile(dst, 'T.tile.reduce_sum_mask_experiment: dst'), tile(src, 'T.tile.reduce_sum_mask_experiment: src')
    numbers = _numbers('reduce_sum_mask_experiment', mask=mask, repeatTime=repeatTime, srcRepStride=srcRepStride)
    return issue('reduce_sum_mask_experiment', d.call(), a.call(), *numbers)


def fill_experiment(dst, value, mask, repeat, dstBlkStride, dstRepStride):
    """Bit i of mask[0] selects element i of each repeat."""
    d = tile(dst, 'T.tile.fill_experiment: dst')
    check(isinstance(mask, (list, tuple)) and len(mask) == 1, DialectError, f'T.tile.fill_experiment: mask {mask!r}',
          'one 64-bit mask word is supported', '[mask0]')
    return issue('fill_experiment', d.call(), scalar(value, 'the value'),
                 *_numbers('fill_experiment', mask0=mask[0], repeat=repeat, dstBlkStride=dstBlkStride, dstRepStride=dstRepStride))


def sum_experiment(dst, src, params):
    """The sum of the first n elements of each of `outter` rows with pitch `inner`; params = [outter, inner, n]."""
    d, a = tile(dst, 'T.tile.sum_experiment: dst'), tile(src, 'T.tile.sum_experiment: src')
    check(isinstance(params, (list, tuple)) and len(params) == 3, DialectError, f'T.tile.sum_experiment: params {params!r}',
          'rows, row pitch, summed elements', '[outter, inner, n]')
    return issue('sum_experiment', d.call(), a.call(), *(scalar(v, 'a parameter') for v in params))


def datacachecleanandinvalid_experiment(gm, CacheLine, DcciDst):
    """Writes the scalar unit's cache back to GM and drops it."""
    from ..operands import buffer_or_region

    found = buffer_or_region(gm, 'T.tile.datacachecleanandinvalid_experiment: gm', ('GM',))
    return issue('datacachecleanandinvalid_experiment', found.call(), text(CacheLine, 'CacheLine'), text(DcciDst, 'DcciDst'))
