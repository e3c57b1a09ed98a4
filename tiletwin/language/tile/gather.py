"""Gather, compression and transposition (dialect 5.3.10, 5.3.11)."""

from __future__ import annotations

from ...errors import DialectAssertionError, DialectError, DialectTypeError
from ..emit import issue
from ..operands import scalar, text
from ..where import check
from .common import tile, whole

PATTERNS = ('P0101', 'P1010', 'P0001', 'P0010', 'P0100', 'P1000', 'P1111')


def gather(dst, src, src_offset, src_base_addr):
    """dst[i] = the element `src_base_addr + src_offset[i]` bytes into src."""
    d, s, o = (tile(v, f'T.tile.gather: {w}') for v, w in ((dst, 'dst'), (src, 'src'), (src_offset, 'src_offset')))
    check(o.dtype in ('uint32', 'int32'), DialectTypeError, f'T.tile.gather: offsets {o.name} are {o.dtype}', 'offsets are 32-bit byte addresses',
          'a uint32 tile')
    return issue('gather', d.call(), s.call(), o.call(), scalar(src_base_addr, 'src_base_addr'))


def gatherb(dst, src0, offset, repeat_time, dst_blk_stride, dst_rep_stride):
    """One 32-byte block per offset, eight blocks per repeat."""
    d, s, o = (tile(v, f'T.tile.gatherb: {w}') for v, w in ((dst, 'dst'), (src0, 'src0'), (offset, 'offset')))
    check(o.dtype in ('uint32', 'int32'), DialectTypeError, f'T.tile.gatherb: offsets {o.name} are {o.dtype}', 'offsets are 32-bit byte addresses',
          'a uint32 tile')
    strides = (repeat_time, 'repeat_time'), (dst_blk_stride, 'dst_blk_stride'), (dst_rep_stride, 'dst_rep_stride')
    numbers = (scalar(v, f'T.tile.gatherb: {w}') for v, w in strides)
    return issue('gatherb', d.call(), s.call(), o.call(), *numbers)


def gather_mask(dst, src, src1Pattern):
    """Keeps the elements of a fixed pattern ("P0101", ...), or those an index buffer names."""
    d, s = tile(dst, 'T.tile.gather_mask: dst'), tile(src, 'T.tile.gather_mask: src')
    if isinstance(src1Pattern, str):
        check(src1Pattern in PATTERNS, DialectError, f'T.tile.gather_mask: pattern {src1Pattern!r} is not one of {", ".join(PATTERNS)}',
              'the pattern is a vendor constant')
        return issue('gather_mask', d.call(), s.call(), text(src1Pattern, 'the pattern'))
    indices = whole(src1Pattern, 'T.tile.gather_mask: src1Pattern')
    check(indices.dtype == 'uint32', DialectAssertionError, f'src1Pattern dtype must be uint32, but got {indices.dtype}',
          'indices are 32-bit addresses', 'a uint32 tile')
    return issue('gather_mask', d.call(), s.call(), indices.call())


def gathermask_experiment(dst, src0, src1Pattern, reduceMode, mask, params, rsvdCnt):
    """The vendor GatherMask with a bit pattern buffer; params = [block stride, repeat, repeat stride 0, repeat stride 1]."""
    d, s, p = (tile(v, f'T.tile.gathermask_experiment: {w}') for v, w in ((dst, 'dst'), (src0, 'src0'), (src1Pattern, 'src1Pattern')))
    check(len(params) == 4, DialectError, f'T.tile.gathermask_experiment: {len(params)} parameters',
          'block stride, repeat, source repeat stride, pattern repeat stride')
    mode = text(str(reduceMode).lower() if isinstance(reduceMode, bool) else reduceMode, 'reduceMode')
    return issue('gathermask_experiment', d.call(), s.call(), p.call(), mode, scalar(mask, 'mask'), *(scalar(v, 'a parameter') for v in params),
                 scalar(rsvdCnt, 'rsvdCnt'))


def transpose(dst, src):
    """dst = the transpose of the whole matrix src."""
    d, s = whole(dst, 'T.tile.transpose: dst'), whole(src, 'T.tile.transpose: src')
    check(len(s.shape) == 2, DialectError, f'T.tile.transpose: {s} has {len(s.shape)} dimensions', 'other ranks are treated as one 16x16 block',
          'a two-dimensional buffer')
    check(d.size == s.size, DialectAssertionError, f'T.tile.transpose: size must be same, got {d} and {s}', 'every element of src has a place in dst')
    return issue('transpose', d.call(), s.call())
