"""Sorting (dialect 5.3.12): lists of (value, index) pairs, descending."""

from __future__ import annotations

from ...errors import DialectError, DialectTypeError
from ..emit import issue
from ..operands import scalar
from ..where import check
from .common import tile, whole


def sort32(dst, src0, src1):
    """Sorts each group of 32 values of src0 with the payload src1."""
    d, v, p = (tile(x, f'T.tile.sort32: {w}') for x, w in ((dst, 'dst'), (src0, 'src0'), (src1, 'src1')))
    check(p.dtype in ('uint32', 'int32'), DialectTypeError, f'T.tile.sort32: payload {p.name} is {p.dtype}', 'a payload is 32 bits', 'a uint32 tile')
    return issue('sort32', d.call(), v.call(), p.call())


def _room(op: str, dst, actual, needed: int) -> None:
    check(not isinstance(dst.size, int) or dst.size >= needed, DialectError,
          f'T.tile.{op}: dst {dst} holds {dst.size} elements but {needed} are written',
          'each value is stored with its index', f'a tile of {needed} elements')


def sort(dst, src, actual_num):
    """Sorts `actual_num` values; dst holds pairs. The tail of src up to a multiple of 32 is overwritten with -inf."""
    d, s = whole(dst, 'T.tile.sort: dst'), whole(src, 'T.tile.sort: src')
    if isinstance(actual_num, int):
        _room('sort', d, actual_num, 2 * -(-actual_num // 32) * 32)
    return issue('sort', d.call(), s.call(), scalar(actual_num, 'actual_num'))


def topk(dst, src, K, actual_num):
    """The K largest of `actual_num` values as pairs. The tail of src is overwritten with -inf."""
    d, s = whole(dst, 'T.tile.topk: dst'), whole(src, 'T.tile.topk: src')
    check(isinstance(s.size, int), DialectError, f'topk requires src buffer with static shape, got {s}', 'the scratch size is computed from it')
    check(len(s.shape) == 1 or s.size == max(s.shape), DialectError, f'T.tile.topk: {s} has {len(s.shape)} dimensions',
          'the compiler adds the extents up to get the length',
          'a one-dimensional buffer')
    return issue('topk', d.call(), s.call(), scalar(K, 'K'), scalar(actual_num, 'actual_num'))


def merge_sort(dst, src0, src1, src2=None, src3=None):
    """Merges two to four descending lists of pairs."""
    check(src2 is not None or src3 is None, DialectError, 'T.tile.merge_sort: src3 without src2', 'lists are given in order', 'src2=')
    lists = [tile(v, f'T.tile.merge_sort: src{i}') for i, v in enumerate((src0, src1, src2, src3)) if v is not None]
    d = tile(dst, 'T.tile.merge_sort: dst')
    total = sum(x.size for x in lists if isinstance(x.size, int))
    check(not isinstance(d.size, int) or d.size >= total, DialectError,
          f'T.tile.merge_sort: dst {d} holds {d.size} elements but the lists have {total}', 'every pair is kept')
    return issue('merge_sort', d.call(), *(x.call() for x in lists))
