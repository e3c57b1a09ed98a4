"""Printing from the chip (dialect 5.7)."""

from __future__ import annotations

from ..errors import DialectError, DialectTypeError
from .emit import issue
from .operands import buffer_or_region, scalar, tensor, text
from .where import check


def printf(fmt, *args):
    """C-style print by every core; a buffer prints its address."""
    carried = []
    for value in args:
        found = tensor(value)
        if isinstance(value, str):
            carried.append(text(value, 'an argument of printf'))
        elif found is not None and found.form == 'element':
            carried.append(scalar(value, 'an argument of printf'))
        else:
            carried.append(found.call() if found is not None else scalar(value, 'an argument of printf'))
    return issue('printf', text(fmt, 'the format of printf'), *carried)


def dump_tensor(tensor, desc, dump_size, shape_info=()):
    """Prints `dump_size` elements under the number `desc`."""
    check(isinstance(desc, int) and not isinstance(desc, bool), DialectTypeError, f'desc must be uint32, but got {desc!r}', 'it labels the dump')
    check(0 <= desc < 2**32, DialectError, f'desc must be uint32, but got {desc}', 'it labels the dump in 32 bits')
    check(all(isinstance(d, int) for d in shape_info), DialectTypeError, f'shape_info must be a tuple of ints, got {shape_info!r}')
    return issue('dump_tensor', buffer_or_region(tensor, 'the tensor of dump_tensor').call(), scalar(desc, 'desc'), scalar(dump_size, 'dump_size'),
                 shape_info=','.join(map(str, shape_info)) or None)
