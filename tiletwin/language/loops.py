"""Loops: serial, unrolled, element-wise, pipelined, persistent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator

from tilelang.language.loop import Parallel as _parallel
from tilelang.language.loop import serial as _serial
from tilelang.language.loop import unroll as _unroll
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as tb

from ..errors import DialectError, DialectTypeError
from .carrier import instr_call
from .emit import issue
from .where import check, fail


def serial(start, stop=None, *extra, annotations: dict[str, Any] | None = None):
    """A loop from `start` (0 when only one bound is given) to `stop`."""
    check(not extra, DialectTypeError, 'T.serial takes a start and a stop', 'the dialect has no loop step here',
          'range(start, stop, step), or multiply the index')
    return _serial(start, stop, annotations=annotations)


def unroll(start, stop=None, *, annotations: dict[str, Any] | None = None):
    return _unroll(start, stop, annotations=annotations)


def Parallel(*extents, coalesced_width=None):
    """Element-wise nest: the body runs for every index, in no order. `coalesced_width` has no meaning on this hardware."""
    check(bool(extents), DialectTypeError, 'T.Parallel without extents')
    return _parallel(*extents)


def Pipelined(start, stop=None, num_stages=0, order=None, stage=None, sync=None, group=None, cross_interval=1):
    """A loop whose copies run ahead of its computation (dialect 7)."""
    for label, value in (('num_stages', num_stages), ('cross_interval', cross_interval)):
        check(isinstance(value, int) and not isinstance(value, bool), DialectTypeError, f'T.Pipelined: {label} must be a Python int, not {value!r}')
    check(num_stages >= 0, DialectError, f'T.Pipelined: num_stages={num_stages}', 'there is no negative number of stages')
    check(cross_interval >= 1, DialectError, f'T.Pipelined: cross_interval={cross_interval}',
          'a flag is set every cross_interval iterations, at least one')
    found: dict[str, Any] = {'tl_cross_interval': tirx.const(cross_interval, 'int32')}
    if num_stages > 0:
        found['num_stages'] = tirx.const(num_stages, 'int32')
    for label, value in (('order', order), ('stage', stage), ('sync', sync), ('group', group)):
        if value:
            found[f'tl_pipeline_{label}'] = value
    return _serial(start, stop, annotations=found)


@dataclass(frozen=True)
class PersistentLoop:
    """Tiles of `domain` handed out `wave_size` at a time (dialect 2.4)."""

    domain: tuple
    wave_size: Any
    index: Any
    group_size: int

    def iterate(self, builder) -> Iterator[Any]:
        total = 1
        for d in self.domain:
            total = total * d
        waves = -(-total // self.wave_size) if isinstance(total, int) and isinstance(self.wave_size, int) else tirx.ceildiv(total, self.wave_size)
        with builder.with_frame(tb.serial(0, waves)) as wave:
            IRBuilder.name('wave', wave)
            tile = self._bind('tile', wave * self.wave_size + self.index)
            # With one wave, or a wave count nobody can prove, the compiler emits no guard: tiles past the end rely on clipping.
            if isinstance(waves, int) and waves >= 2:
                with builder.with_frame(tb.If(tile >= total)), builder.with_frame(tb.Then()):
                    tb.evaluate(instr_call('loop_break', [], {}))
            yield self._coordinates(tile)

    @staticmethod
    def _bind(name, value):
        var = tb.bind(value)
        IRBuilder.name(name, var)
        return var

    def _coordinates(self, tile):
        if len(self.domain) == 1:
            return tile
        *outer, last = self.domain
        group = min(self.group_size, last)
        rest, coordinates = tirx.truncdiv(tile, group), [tirx.truncmod(tile, group)]
        inner = []
        for d in reversed(outer):
            inner.append(tirx.truncmod(rest, d))
            rest = tirx.truncdiv(rest, d)
        return (*reversed(inner), rest * group + coordinates[0])


def Persistent(domain, wave_size, index, group_size=8) -> PersistentLoop:
    check(isinstance(domain, (list, tuple)) and len(domain) > 0, DialectTypeError, 'T.Persistent needs a list of extents')
    last = domain[-1]
    check(isinstance(last, int) and isinstance(group_size, int), DialectTypeError, 'T.Persistent: the last extent and group_size must be Python ints',
          'the tiles of the last dimension are handed out in groups')
    if len(domain) > 1 and last % min(group_size, last):
        fail(DialectError, f'T.Persistent: the last extent {last} is not a multiple of group_size {min(group_size, last)}',
             'the compiler enumerates wrong or missing tiles in this case', f'group_size that divides {last}')
    return PersistentLoop(tuple(domain), wave_size, index, group_size)


def loop_break():
    """Leaves the innermost loop."""
    return issue('loop_break')
