"""Element-wise arithmetic (dialect 5.3.1 - 5.3.5)."""

from __future__ import annotations

from ...errors import DialectAssertionError, DialectError
from ..emit import issue
from ..operands import tensor
from ..where import check
from .common import count, leading, same_dtype, same_size, scalar_operand, tile

_SCALAR_FORMS = {'add': 'adds', 'sub': 'subs', 'mul': 'muls', 'div': 'divs', 'max': 'maxs', 'min': 'mins'}


def _binary(op: str, dst, src0, src1):
    d, a = tile(dst, f'T.tile.{op}: dst'), tile(src0, f'T.tile.{op}: src0')
    same_size(op, d, a)
    other = tensor(src1)
    if other is None or other.form == 'element':
        scalar_form = _SCALAR_FORMS.get(op)
        check(scalar_form is not None, DialectError, f'T.tile.{op} with a scalar', f'there is no scalar form of {op}',
              'a tile filled with the scalar: T.tile.fill')
        same_dtype(op, d, a)
        return issue(scalar_form, d.call(), a.call(), scalar_operand(src1, op, d.dtype))
    b = leading(op, tile(src1, f'T.tile.{op}: src1'), d.size)
    same_size(op, d, b)
    return issue(op, d.call(), a.call(), b.call())


def _unary(op: str, dst, src, checked: bool = True):
    d, a = tile(dst, f'T.tile.{op}: dst'), tile(src, f'T.tile.{op}: src')
    if checked:
        same_size(op, d, a)
    else:
        check(not (isinstance(d.size, int) and isinstance(a.size, int)) or a.size >= d.size, DialectAssertionError,
              f'T.tile.{op}: size must be same, {a} has {a.size} elements but {d} needs {d.size}', f'the element count of {op} is the size of dst')
    return issue(op, d.call(), a.call())


def _named(maker, names: str, doc: str) -> dict:
    found = {}
    for name in names.split():
        found[name] = maker(name)
        found[name].__name__ = found[name].__qualname__ = name
        found[name].__doc__ = doc.format(op=name)
    return found


BINARY = _named(lambda op: lambda dst, src0, src1: _binary(op, dst, src0, src1), 'add sub mul div max min bitwise_and bitwise_or',
                'dst = src0 {op} src1, element by element; src1 is a tile, a number, an expression or one element of UB.')
UNARY = _named(lambda op: lambda dst, src0: _unary(op, dst, src0), 'exp ln abs reciprocal sqrt rsqrt relu bitwise_not sin cos',
               'dst = {op}(src0), element by element.')
UNCHECKED = _named(lambda op: lambda dst, src: _unary(op, dst, src, checked=False), 'sigmoid silu', 'dst = {op}(src) for the elements of dst.')
globals().update({**BINARY, **UNARY, **UNCHECKED})


def _scaled(op: str, dst, src0, scalar):
    d, a = tile(dst, f'T.tile.{op}: dst'), tile(src0, f'T.tile.{op}: src0')
    same_size(op, d, a)
    same_dtype(op, d, a)
    return issue(op, d.call(), a.call(), scalar_operand(scalar, op, d.dtype))


def leaky_relu(dst, src0, scalar):
    """dst = src0 where positive, src0 * scalar elsewhere."""
    return _scaled('leaky_relu', dst, src0, scalar)


def axpy(dst, src0, scalar):
    """dst += scalar * src0."""
    return _scaled('axpy', dst, src0, scalar)


def bitwise_lshift(dst, src0, scalar):
    return _scaled('bitwise_lshift', dst, src0, scalar)


def bitwise_rshift(dst, src0, scalar):
    """Arithmetic shift right for signed types."""
    return _scaled('bitwise_rshift', dst, src0, scalar)


def round(out, buffer, count_):
    """Rounds half away from zero, the first `count_` elements."""
    d, a = tile(out, 'T.tile.round: out'), tile(buffer, 'T.tile.round: buffer')
    return issue('round', d.call(), a.call(), count(count_, 'round'))


def _clamp(op: str, out, buffer, bounds, n):
    d, a = tile(out, f'T.tile.{op}: out'), tile(buffer, f'T.tile.{op}: buffer')
    return issue(op, d.call(), a.call(), *(scalar_operand(b, op, d.dtype) for b in bounds), count(n, op))


def clamp_max(out, buffer, scalar, n):
    """out = min(buffer, scalar), the first `n` elements."""
    return _clamp('clamp_max', out, buffer, (scalar,), n)


def clamp_min(out, buffer, scalar, n):
    """out = max(buffer, scalar), the first `n` elements."""
    return _clamp('clamp_min', out, buffer, (scalar,), n)


def clamp(out, buffer, low, high, n):
    """out = min(max(buffer, low), high), the first `n` elements."""
    return _clamp('clamp', out, buffer, (low, high), n)


def mul_add_dst(dst, src0, src1):
    """dst += src0 * src1."""
    d, a, b = (tile(v, f'T.tile.mul_add_dst: {w}') for v, w in ((dst, 'dst'), (src0, 'src0'), (src1, 'src1')))
    same_size('mul_add_dst', d, a)
    same_size('mul_add_dst', d, b)
    return issue('mul_add_dst', d.call(), a.call(), b.call())


def _implied(op: str, dst, src0, src1):
    d, a, b = (tile(v, f'T.tile.{op}: {w}') for v, w in ((dst, 'dst'), (src0, 'src0'), (src1, 'src1')))
    same_size(op, d, a)
    same_size(op, d, b)
    return issue(op, d.call(), a.call(), b.call())


def pow(dst, src0, src1):
    """dst = src0 ** src1."""
    return _implied('pow', dst, src0, src1)


def bitwise_xor(dst, src0, src1):
    return _implied('bitwise_xor', dst, src0, src1)
