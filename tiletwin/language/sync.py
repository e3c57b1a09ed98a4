"""Flags and barriers (dialect 6)."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from ..errors import DialectError, DialectTypeError
from ..ir.ops import PIPES
from .emit import issue, tracing
from .operands import scalar
from .where import check


def _pipe(name: Any, what: str, extra: tuple[str, ...] = ()) -> tirx.StringImm:
    check(isinstance(name, str), DialectTypeError, f'{what} must be a pipe name, got {name!r}')
    found = name.upper()
    known = ', '.join((*PIPES, *extra))
    check(found in (*PIPES, *extra), DialectError, f'{what}: there is no pipe {name!r}', f'the device compiler knows only {known}',
          'one of these names, in any case')
    return tirx.StringImm(found)


def _flag(op: str, src, dst, event) -> Any:
    a, b = _pipe(src, f'{op}: source'), _pipe(dst, f'{op}: destination')
    check(a.value != b.value, DialectError, f'{op}({a.value}, {b.value}): a flag orders two different pipes',
          'a pipe runs in order; within it only a barrier waits',
          f'T.pipe_barrier("{a.value.lower()}")')
    return issue(op, a, b, scalar(event, 'the event id'))


def set_flag(src, dst, eventId):
    """Raised by pipe `src` once its earlier instructions have finished."""
    return _flag('set_flag', src, dst, eventId)


def wait_flag(src, dst, eventId):
    """Pipe `dst` starts nothing later before the flag is raised; the wait clears it."""
    return _flag('wait_flag', src, dst, eventId)


def pipe_barrier(pipe):
    return issue('pipe_barrier', _pipe(pipe, 'T.pipe_barrier', ('ALL',)))


def barrier_all():
    """All pipes of this core drain before the scalar unit goes on."""
    return issue('pipe_barrier', tirx.StringImm('ALL'))


def sync_all():
    """A barrier of every core of the launch."""
    return issue('sync_all')


def set_cross_flag(pipe, flag, mode=2):
    check(mode in (0, 1, 2), DialectError, f'set_cross_flag: mode {mode!r}',
          '0: all cores of a kind, 1: the vector cores of a block, 2: cube and vector cores of a block', 'mode 0, 1 or 2')
    return issue('set_cross_flag', _pipe(pipe, 'T.set_cross_flag'), scalar(flag, 'the flag id'), mode=int(mode))


def wait_cross_flag(flag, pipe=''):
    return issue('wait_cross_flag', scalar(flag, 'the flag id'), tirx.StringImm('') if pipe == '' else _pipe(pipe, 'T.wait_cross_flag'))


def _flag_map(op: str, pairs: dict) -> None:
    check(isinstance(pairs, dict), DialectTypeError, f'{op} takes {{"MTE1": {{"MTE2": [0, 1]}}}}, got {pairs!r}')
    builder = tracing(op)
    for src, targets in pairs.items():
        for dst, ids in targets.items():
            for event in ids if isinstance(ids, (list, tuple)) else (ids,):
                builder.eval(_flag('set_flag' if op == 'init_flag' else 'wait_flag', src, dst, event))


def init_flag(pairs):
    """Raises every flag of a map {source: {destination: [ids]}}."""
    _flag_map('init_flag', pairs)


def clear_flag(pairs):
    """Waits for every flag of a map {source: {destination: [ids]}}."""
    _flag_map('clear_flag', pairs)
