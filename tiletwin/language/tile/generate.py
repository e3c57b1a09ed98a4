"""Filling tiles and generating indices (dialect 5.3.6)."""

from __future__ import annotations

from ..emit import issue
from ..operands import scalar
from .common import count, scalar_operand, tile, whole


def fill(buffer, value):
    """Every element becomes `value`."""
    d = tile(buffer, 'T.tile.fill: buffer')
    return issue('fill', d.call(), scalar_operand(value, 'fill', d.dtype, 'the value'))


def clear(buffer):
    """Every element becomes 0."""
    return fill(buffer, 0)


def arith_progression(buffer, first, diff, n):
    """buffer[i] = first + i * diff, for i < n."""
    d = tile(buffer, 'T.tile.arith_progression: buffer')
    return issue('arith_progression', d.call(), scalar(first, 'the first value'), scalar(diff, 'the difference'), count(n, 'arith_progression'))


def createvecindex(dst, first):
    """dst[i] = first + i."""
    d = tile(dst, 'T.tile.createvecindex: dst')
    return issue('createvecindex', d.call(), scalar(first, 'the first value'))


def init_sort_buf(buffer, num, rsv):
    """Pairs (-inf, -1) over the buffer; the compiler takes `rsv` as the element count."""
    d = whole(buffer, 'T.tile.init_sort_buf: buffer')
    return issue('init_sort_buf', d.call(), scalar(num, 'num'), scalar(rsv, 'rsv'))
