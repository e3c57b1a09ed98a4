"""Rules about instructions: operands, memories, routes, cube shapes, and what the AscendC generator asks of them."""

from __future__ import annotations

from typing import Any, Iterator

from .expr import EXPR_TYPES, int_value
from .nodes import SPACES, Instr, Program, Region, Stmt, walk
from .ops import OPS, ROUTES, letters
from .rules import ASCENDC, COMMON, Problem, instructions

_UB, _CUBE_OUT = ('UB', 'SHARED'), ('L0C', 'FRAGMENT')
_L1 = ('L1', 'SHARED')
# Memories an operand may be in, per op; ops that are not listed work on UB.
SPACES_OF: dict[str, tuple[tuple[str, ...], ...]] = {
    'copy': (SPACES, SPACES),
    'atomic_add': (('GM',), (*_UB, *_CUBE_OUT)),
    'gemm_v0': (_L1, _L1, _CUBE_OUT),
    'mma': (('L0A', 'FRAGMENT'), ('L0B', 'FRAGMENT'), _CUBE_OUT),
    'dump_tensor': (SPACES,),
    'printf': (SPACES,) * 64,
    'datacachecleanandinvalid_experiment': (('GM',),),
}
_REQUIRED = {'gemm_v0': ('M', 'N', 'K', 'transpose_A', 'transpose_B'), 'mma': ('M', 'N', 'K'), 'reduce': ('kind', 'dim', 'clear', 'M', 'N'),
             'broadcast': ('axis',), 'copy': ('relu', 'transpose', 'pad'), 'set_cross_flag': ('mode',)}
_MEANING = {'w': 'a written region', 'r': 'a read region', 'm': 'a read and written region', 'x': 'a scalar expression',
            'e': 'a scalar expression or one element', 's': 'a string'}
# (A, B) element type -> C element types the cube produces
CUBE_TYPES = {('float16', 'float16'): ('float32',), ('bfloat16', 'bfloat16'): ('float32',), ('float32', 'float32'): ('float32',),
              ('int8', 'int8'): ('int32',), ('float8_e4m3fn', 'float8_e4m3fn'): ('float32',), ('float8_e5m2', 'float8_e5m2'): ('float32',)}


@COMMON.rule('known-op')
def known_op(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op not in OPS:
            yield s.span, f'unknown instruction {s.op!r}', 'the inventory in ir.ops is closed', ''
        for name in _REQUIRED.get(s.op, ()):
            if name not in s.attrs:
                yield s.span, f'{s.op} has no attribute {name!r}', 'its meaning depends on it', ''


@COMMON.rule('operand-kind')
def operand_kind(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        spec = letters(OPS[s.op], len(s.args))
        if len(spec) != len(s.args):
            yield s.span, f'{s.op} takes {len(spec)} operands but has {len(s.args)}', 'positions are fixed in ir.ops', ''
            continue
        for i, (letter, a) in enumerate(zip(spec, s.args)):
            if not _fits(letter, a):
                yield s.span, f'operand {i} of {s.op} is {type(a).__name__}', f'{_MEANING.get(letter, "an operand")} is needed there', ''


def _fits(letter: str, a: Any) -> bool:
    if letter in 'wrm':
        return isinstance(a, Region)
    if letter == 'x':
        return isinstance(a, EXPR_TYPES) or isinstance(a, Region) and a.form == 'element'
    if letter == 'e':
        return isinstance(a, EXPR_TYPES) or isinstance(a, Region) and a.form == 'element'
    if letter == 's':
        return isinstance(a, str)
    return isinstance(a, (Region, str, *EXPR_TYPES))


@COMMON.rule('region')
def region_in_buffer(p: Program) -> Iterator[Problem]:
    for s in walk(p.body):
        for r in _regions(s):
            b = p.buffers.get(r.buffer)
            if b is None:
                yield s.span, f'there is no buffer {r.buffer!r}', 'every operand is declared', ''
                continue
            if not len(r.starts) == len(r.extents) == len(b.shape):
                yield (s.span, f'{r.buffer} has {len(b.shape)} dimensions but the operand has {len(r.starts)} starts and {len(r.extents)} extents',
                       'every dimension has both', '')
                continue
            if r.form not in ('buffer', 'region', 'element'):
                yield s.span, f'operand form {r.form!r}', 'buffer, region or element', ''
            for d, (start, extent, size) in enumerate(zip(r.starts, r.extents, b.shape)):
                at, n, full = int_value(start), int_value(extent), int_value(size)
                if n is not None and n < 1:
                    yield (s.span, f'dimension {d} of the slice of {r.buffer} has extent {n}', 'a slice holds at least one element',
                           'stop greater than start')
                if b.space != 'GM' and at is not None and at < 0:
                    yield s.span, f'the slice of {r.buffer} starts at {at} in dimension {d}', 'indices do not count from the end on the chip', ''
                # GM is clipped by the copy engines, on-chip memory is not.
                # An instruction a pass pushed past its tile says so; the sanitizer judges it.
                clipped = b.space in ('GM', 'VAR') or s.attrs.get('beyond')
                if not clipped and None not in (at, n, full) and at + n > full:
                    yield (s.span, f'{r.buffer} has {full} elements in dimension {d} but the slice reaches {at + n}',
                           'on-chip accesses are not clipped', f'at most {full}')


def _regions(s: Stmt) -> Iterator[Region]:
    if isinstance(s, Instr):
        yield from (a for a in s.args if isinstance(a, Region))


@COMMON.rule('operand-space')
def operand_space(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        spaces = SPACES_OF.get(s.op)
        position = 0
        for a in s.args:
            if not isinstance(a, Region):
                continue
            allowed = spaces[min(position, len(spaces) - 1)] if spaces else _UB
            position += 1
            space = p.buffers[a.buffer].space
            if space not in allowed:
                yield (s.span,
                       f'{a.buffer} is in {space}, but {s.op} works on {" or ".join(x for x in allowed if x not in ("SHARED", "FRAGMENT"))} here',
                       'each unit reads and writes only its own memories', f'copy {a.buffer} first')


@COMMON.rule('copy-route')
def copy_route(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op != 'copy':
            continue
        pair = tuple(p.buffers[a.buffer].space for a in s.args)
        if not {'SHARED', 'FRAGMENT'} & set(pair) and pair not in ROUTES:
            yield (s.span, f'no data path {pair[0]} -> {pair[1]}', 'the copy engines connect ' + ', '.join(f'{a}->{b}' for a, b in ROUTES),
                   'a memory both sides reach in between')
        elif pair in (('GM', 'L1'), ('L1', 'L0A'), ('L1', 'L0B')):
            a, b = (p.buffers[x.buffer] for x in s.args)
            if a.dtype != b.dtype:
                yield (s.span, f'copy of {a.dtype} {a.name} to {b.dtype} {b.name}', 'the load engines of the cube do not convert',
                       'tiles of one element type')


@ASCENDC.rule('copy-type')
def copy_type(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op == 'copy':
            a, b = (p.buffers[x.buffer] for x in s.args)
            if {(a.space, b.space)} & {('GM', 'UB'), ('UB', 'GM')} and a.dtype != b.dtype:
                yield (s.span, f'copy of {a.dtype} {a.name} to {b.dtype} {b.name}', 'DMA between GM and UB moves bytes',
                       'a UB tile of the GM type, then T.copy or T.tile.cast between tiles')


@ASCENDC.rule('compare-bytes')
def compare_bytes(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op in ('compare', 'compare_scalar'):
            n = _size(s.args[1])
            b = p.buffers[s.args[1].buffer]
            if n is None or n * b.es % 256:
                name = 'Compare' if s.op == 'compare' else 'CompareScalar'
                yield (s.span, f'{name} alignment error: {n} elements of {b.dtype} are not a multiple of 256 bytes',
                       'the comparison works on whole repeats', f'a multiple of {256 // b.es} elements')


@ASCENDC.rule('row-expand-mul')
def row_expand_mul(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op == 'row_expand_mul':
            yield (s.span, 'TROWEXPANDMUL is only supported in the PTO codegen path.', 'AscendC has no such instruction',
                   'target="pto", or T.tile.broadcast and T.tile.mul')


@ASCENDC.rule('reduce-pitch')
def reduce_pitch(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op == 'reduce' and s.attrs.get('real_shape') is not None:
            m, n, cols = (int_value(s.attrs[k]) if not isinstance(s.attrs[k], int) else s.attrs[k] for k in ('M', 'N', 'cols'))
            if m is not None and m > 1 and n is not None and cols is not None and n != cols:
                yield (s.span, f'reduction of {m} rows of {n} valid elements out of {cols}',
                       'AscendC reads the valid part densely, with a row length of the valid columns: wrong elements',
                       'real_shape with all columns and padding that does not change the result')


def _size(r: Region) -> int | None:
    n = 1
    for e in r.extents:
        v = int_value(e)
        if v is None:
            return None
        n *= v
    return n


@COMMON.rule('cube-shape')
def cube_shape(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op not in ('gemm_v0', 'mma'):
            continue
        a, b, c = (tuple(int_value(e) for e in r.extents[-2:]) for r in s.args[:3])
        m, n, k = (s.attrs[x] for x in 'MNK')
        if s.attrs.get('transpose_A'):
            a = a[::-1]
        if s.attrs.get('transpose_B'):
            b = b[::-1]
        if (a, b, c) != ((m, k), (k, n), (m, n)):
            yield (s.span, f'{s.op} of {a[0]}x{a[1]} by {b[0]}x{b[1]} into {c[0]}x{c[1]} with M={m}, N={n}, K={k}',
                   'the shapes of a product fit together', '')
        ta, tb, tc = (p.buffers[r.buffer].dtype for r in s.args[:3])
        if tc not in CUBE_TYPES.get((ta, tb), ()):
            known = ', '.join(f'{x[0]} into {y[0]}' for x, y in CUBE_TYPES.items())
            yield s.span, f'{s.op} of {ta} by {tb} into {tc}', f'the cube multiplies {known}', 'a float32 accumulator, int32 for int8'
