"""Text of T.printf and T.dump_tensor."""

from __future__ import annotations

import re

import numpy as np

_SPEC = re.compile(r'%([-+ #0]*)(\d+)?(?:\.(\d+))?(?:hh|h|ll|l|z)?([diuxXofFeEgGcsp%])')


def printf(fmt: str, *args) -> str:
    """C formatting; `%p` prints like 0x%x."""
    left = list(args)

    def one(m: re.Match) -> str:
        flags, width, precision, kind = m.groups()
        if kind == '%':
            return '%'
        value = left.pop(0) if left else 0
        head = f'%{flags}{width or ""}' + (f'.{precision}' if precision else '')
        if kind == 'p':
            return f'0x{int(value):x}'
        if kind in 'diu':
            return (head + 'd') % int(value)
        if kind in 'xXo':
            return (head + kind) % (int(value) & 0xFFFFFFFFFFFFFFFF)
        if kind == 'c':
            return chr(int(value))
        return (head + kind) % (str(value) if kind == 's' else float(value))

    return _SPEC.sub(one, fmt)


def dump(name: str, desc: int, values: np.ndarray) -> str:
    return f'dump_tensor {name} desc={desc}: ' + ' '.join(f'{v:g}' if values.dtype.kind == 'f' else str(int(v)) for v in values)
