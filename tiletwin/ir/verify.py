"""Validity of a Program, as rules. It runs on what the front end made and after every pass.

A rule is a function that yields (span, what is wrong, why, what to write instead); its name is part of the error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Iterator

from ..errors import Span, VerifyError
from .expr import EXPR_TYPES, Bin, Expr, Load, Var, int_value
from .expr import walk as walk_expr
from .nodes import SPACES, Break, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, walk
from .ops import CUBE_PIPES, OPS, PIPES, ROUTES, VECTOR_PIPES, letters

Problem = tuple[Span | None, str, str, str]
Rule = Callable[[Program], Iterator[Problem]]


@dataclass(frozen=True)
class _Rules:
    rules: dict[str, Rule] = field(default_factory=dict)

    def rule(self, name: str):
        def add(fn: Rule) -> Rule:
            self.rules[name] = fn
            return fn

        return add


COMMON = _Rules()
# What the AscendC generator adds to the rules of the language.
ASCENDC = _Rules()


def verify(program: Program, made_by: str = 'the front end', target: str | None = None, without: Collection[str] = ()) -> Program:
    """The Program itself, or VerifyError naming the first broken rule that is not in `without`."""
    rules = COMMON.rules | (ASCENDC.rules if target == 'ascendc' else {})
    for name, rule in rules.items():
        if name in without:
            continue
        for span, what, why, instead in rule(program):
            raise VerifyError(f'{what} [rule {name}, after {made_by}]', where=span or program.span, why=why, instead=instead)
    return program


# ---- operands ----------------------------------------------------------------------------------------------------------

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
_REQUIRED = {'gemm_v0': ('M', 'N', 'K', 'transpose_A', 'transpose_B'), 'mma': ('M', 'N', 'K'), 'reduce': ('kind', 'dim', 'clear', 'M', 'N'), 'broadcast': ('axis',),
             'copy': ('relu', 'transpose', 'pad'), 'set_cross_flag': ('mode',)}
# (A, B) element type -> C element types the cube produces
CUBE_TYPES = {('float16', 'float16'): ('float32', 'float16'), ('bfloat16', 'bfloat16'): ('float32',), ('float32', 'float32'): ('float32',), ('int8', 'int8'): ('int32',),
              ('float8_e4m3fn', 'float8_e4m3fn'): ('float32',), ('float8_e5m2', 'float8_e5m2'): ('float32',)}


def instructions(program: Program) -> Iterator[Instr]:
    return (s for s in walk(program.body) if isinstance(s, Instr))


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
                yield s.span, f'operand {i} of {s.op} is {type(a).__name__}', {'w': 'a written region', 'r': 'a read region', 'm': 'a read and written region',
                              'x': 'a scalar expression', 'e': 'a scalar expression or one element', 's': 'a string'}.get(letter, '') + ' is needed there', ''


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
                yield s.span, f'{r.buffer} has {len(b.shape)} dimensions but the operand has {len(r.starts)} starts and {len(r.extents)} extents', 'every dimension has both', ''
                continue
            if r.form not in ('buffer', 'region', 'element'):
                yield s.span, f'operand form {r.form!r}', 'buffer, region or element', ''
            for d, (start, extent, size) in enumerate(zip(r.starts, r.extents, b.shape)):
                at, n, full = int_value(start), int_value(extent), int_value(size)
                if n is not None and n < 1:
                    yield s.span, f'dimension {d} of the slice of {r.buffer} has extent {n}', 'a slice holds at least one element', 'stop greater than start'
                if b.space != 'GM' and at is not None and at < 0:
                    yield s.span, f'the slice of {r.buffer} starts at {at} in dimension {d}', 'indices do not count from the end on the chip', ''
                # GM is clipped by the copy engines, on-chip memory is not.
                # An instruction a pass pushed past its tile says so; the sanitizer judges it.
                if b.space not in ('GM', 'VAR') and full is not None and at is not None and n is not None and at + n > full and not s.attrs.get('beyond'):
                    yield s.span, f'{r.buffer} has {full} elements in dimension {d} but the slice reaches {at + n}', 'on-chip accesses are not clipped', f'at most {full}'


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
                yield s.span, f'{a.buffer} is in {space}, but {s.op} works on {" or ".join(x for x in allowed if x not in ("SHARED", "FRAGMENT"))} here', \
                    'each unit reads and writes only its own memories', f'copy {a.buffer} first'


@COMMON.rule('copy-route')
def copy_route(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op != 'copy':
            continue
        pair = tuple(p.buffers[a.buffer].space for a in s.args)
        if not {'SHARED', 'FRAGMENT'} & set(pair) and pair not in ROUTES:
            yield s.span, f'no data path {pair[0]} -> {pair[1]}', 'the copy engines connect ' + ', '.join(f'{a}->{b}' for a, b in ROUTES), 'a memory both sides reach in between'
        elif pair in (('GM', 'L1'), ('L1', 'L0A'), ('L1', 'L0B')):
            a, b = (p.buffers[x.buffer] for x in s.args)
            if a.dtype != b.dtype:
                yield s.span, f'copy of {a.dtype} {a.name} to {b.dtype} {b.name}', 'the load engines of the cube do not convert', 'tiles of one element type'


@ASCENDC.rule('copy-type')
def copy_type(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op == 'copy':
            a, b = (p.buffers[x.buffer] for x in s.args)
            if {(a.space, b.space)} & {('GM', 'UB'), ('UB', 'GM')} and a.dtype != b.dtype:
                yield s.span, f'copy of {a.dtype} {a.name} to {b.dtype} {b.name}', 'DMA between GM and UB moves bytes', 'a UB tile of the GM type, then T.copy or T.tile.cast between tiles'


@ASCENDC.rule('compare-bytes')
def compare_bytes(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op in ('compare', 'compare_scalar'):
            n = _size(s.args[1])
            b = p.buffers[s.args[1].buffer]
            if n is None or n * b.es % 256:
                name = 'Compare' if s.op == 'compare' else 'CompareScalar'
                yield s.span, f'{name} alignment error: {n} elements of {b.dtype} are not a multiple of 256 bytes', 'the comparison works on whole repeats', f'a multiple of {256 // b.es} elements'


@ASCENDC.rule('row-expand-mul')
def row_expand_mul(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op == 'row_expand_mul':
            yield s.span, 'TROWEXPANDMUL is only supported in the PTO codegen path.', 'AscendC has no such instruction', 'target="pto", or T.tile.broadcast and T.tile.mul'


@ASCENDC.rule('reduce-pitch')
def reduce_pitch(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op == 'reduce' and s.attrs.get('real_shape') is not None:
            m, n, cols = (int_value(s.attrs[k]) if not isinstance(s.attrs[k], int) else s.attrs[k] for k in ('M', 'N', 'cols'))
            if m is not None and m > 1 and n is not None and cols is not None and n != cols:
                yield s.span, f'reduction of {m} rows of {n} valid elements out of {cols}', 'AscendC reads the valid part densely, with a row length of the valid columns: wrong elements', \
                    'real_shape with all columns and padding that does not change the result'


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
            yield s.span, f'{s.op} of {a[0]}x{a[1]} by {b[0]}x{b[1]} into {c[0]}x{c[1]} with M={m}, N={n}, K={k}', 'the shapes of a product fit together', ''
        ta, tb, tc = (p.buffers[r.buffer].dtype for r in s.args[:3])
        if tc not in CUBE_TYPES.get((ta, tb), ()):
            yield s.span, f'{s.op} of {ta} by {tb} into {tc}', 'the cube multiplies ' + ', '.join(f'{x[0]} into {y[0]}' for x, y in CUBE_TYPES.items()), 'a float32 accumulator, int32 for int8'


# ---- names -------------------------------------------------------------------------------------------------------------


def _scalars(s: Stmt) -> Iterator[Expr]:
    match s:
        case Instr(args=args, attrs=attrs):
            for a in (*args, *attrs.values()):
                if isinstance(a, Region):
                    yield from (*a.starts, *a.extents)
                elif isinstance(a, EXPR_TYPES):
                    yield a
                elif isinstance(a, tuple):
                    yield from (x for x in a if isinstance(x, EXPR_TYPES))
        case Store(indices=i, value=v):
            yield from (*i, v)
        case Let(value=v):
            yield v
        case For(start=a, extent=n):
            yield from (a, n)
        case While(cond=c) | If(cond=c):
            yield c


def _known(p: Program) -> set[str]:
    names = {p.launch.cid.name, p.launch.vid.name} | {v.name for v in p.params if isinstance(v, Var)}
    return names | {x.name for b in p.tensors for d in b.shape for x in walk_expr(d) if isinstance(x, Var)}


@COMMON.rule('defined-before-use')
def defined_before_use(p: Program) -> Iterator[Problem]:
    def check(body: tuple[Stmt, ...], known: set[str]) -> Iterator[Problem]:
        known = set(known)
        for s in body:
            for e in _scalars(s):
                for x in walk_expr(e):
                    if isinstance(x, Var) and x.name not in known:
                        yield s.span, f'{x.name} is used where it is not defined', 'a name ends with the block that binds it', 'bind it in the enclosing block'
                    elif isinstance(x, Load) and x.buffer not in p.buffers:
                        yield s.span, f'there is no buffer {x.buffer!r}', 'every operand is declared', ''
            if isinstance(s, Let):
                known.add(s.var.name)
            elif isinstance(s, For):
                yield from check(s.body, known | {s.var.name})
            elif isinstance(s, (While, Scope)):
                yield from check(s.body, known)
            elif isinstance(s, If):
                yield from check(s.then, known)
                yield from check(s.els, known)

    yield from check(p.body, _known(p))


@COMMON.rule('unique-names')
def unique_names(p: Program) -> Iterator[Problem]:
    seen = _known(p) | set(p.buffers)
    for name, b in p.buffers.items():
        if name != b.name:
            yield b.span, f'buffer {b.name} is filed as {name}', 'buffers are found by name', ''
    for s in walk(p.body):
        if isinstance(s, (Let, For)):
            if s.var.name in seen:
                yield s.span, f'the name {s.var.name} is bound twice', 'passes substitute by name', ''
            seen.add(s.var.name)


# ---- buffers -----------------------------------------------------------------------------------------------------------


@COMMON.rule('buffers')
def buffers(p: Program) -> Iterator[Problem]:
    for b in p.buffers.values():
        if b.space not in SPACES:
            yield b.span, f'{b.name} is in {b.space!r}', 'the memories are ' + ', '.join(SPACES), ''
        if b.space != 'GM' and any(int_value(d) is None for d in b.shape):
            yield b.span, f'{b.name} has a symbolic extent', 'on-chip memory is laid out when the kernel is compiled', 'a Python int'
        if b.alias_of is not None and (b.alias_of not in p.buffers or p.buffers[b.alias_of].space != b.space):
            yield b.span, f'{b.name} views {b.alias_of}', 'a view lives in the memory of an existing buffer', ''
        if b.layout is not None and b.space not in _L1:
            yield b.span, f'{b.name} in {b.space} has a layout', 'only L1 tiles have a choice of layout', ''
    for name in p.params:
        if isinstance(name, str) and (name not in p.buffers or p.buffers[name].space != 'GM'):
            yield p.span, f'parameter {name} is not a GM buffer', 'callers pass GM tensors and scalars', ''


@COMMON.rule('scalar-access')
def scalar_access(p: Program) -> Iterator[Problem]:
    for s in walk(p.body):
        touched = [(x.buffer, x.indices) for e in _scalars(s) for x in walk_expr(e) if isinstance(x, Load)]
        if isinstance(s, Store):
            touched.append((s.buffer, s.indices))
        for name, indices in touched:
            b = p.buffers[name]
            if b.space in ('L0A', 'L0B'):
                yield s.span, f'scalar access to {name} in {b.space}', 'the scalar unit reaches only GM and UB', 'a copy to GM or UB'
            if len(indices) != len(b.shape):
                yield s.span, f'{name} has {len(b.shape)} dimensions but {len(indices)} indices', 'every dimension has an index', ''


# ---- control and synchronisation ---------------------------------------------------------------------------------------


@COMMON.rule('control')
def control(p: Program) -> Iterator[Problem]:
    def check(body: tuple[Stmt, ...], loops: int, scope: str | None) -> Iterator[Problem]:
        for s in body:
            match s:
                case Break() if not loops:
                    yield s.span, 'break outside a loop', 'it leaves the innermost loop', ''
                case Scope(core=core, body=inner):
                    if core not in ('C', 'V'):
                        yield s.span, f'scope {core!r}', 'a block has cube and vector cores', 'C or V'
                    elif scope is not None and core != scope:
                        yield s.span, f'scope {core} inside scope {scope}', 'no core runs both: the code would never run', 'scopes side by side'
                    yield from check(inner, loops, core)
                case For(body=inner, kind=kind) if kind not in ('serial', 'parallel', 'unroll'):
                    yield s.span, f'loop kind {kind!r}', 'serial, parallel or unroll', ''
                case For(body=inner) | While(body=inner):
                    yield from check(inner, loops + 1, scope)
                case If(then=a, els=b):
                    yield from check(a, loops, scope)
                    yield from check(b, loops, scope)

    yield from check(p.body, 0, None)
    if p.launch.form not in ('cid_vid', 'threads1', 'threads2'):
        yield p.span, f'kernel form {p.launch.form!r}', 'cid_vid, threads1 or threads2', ''
    if (n := int_value(p.launch.blocks)) is not None and n < 1:
        yield p.span, f'a launch of {n} blocks', 'at least one block runs', ''


@COMMON.rule('pipes')
def pipes(p: Program) -> Iterator[Problem]:
    for s in instructions(p):
        if s.op in ('set_flag', 'wait_flag'):
            a, b = s.args[:2]
            if a not in PIPES or b not in PIPES:
                yield s.span, f'{s.op} {a} {b}', 'the pipes are ' + ', '.join(PIPES), ''
            elif not any({a, b} <= set(core) for core in (CUBE_PIPES, VECTOR_PIPES)):
                yield s.span, f'{s.op} {a} {b}: no core has both pipes', f'the cube core has {", ".join(CUBE_PIPES)}, a vector core {", ".join(VECTOR_PIPES)}', 'T.set_cross_flag between cores'
            elif a == b:
                yield s.span, f'{s.op} {a} {b}', 'a flag orders two different pipes', f'T.pipe_barrier("{a.lower()}")'
        elif s.op == 'pipe_barrier' and s.args[0] not in (*PIPES, 'ALL'):
            yield s.span, f'pipe_barrier {s.args[0]}', 'the pipes are ' + ', '.join(PIPES), ''
        elif s.op == 'set_cross_flag' and s.args[0] not in PIPES:
            yield s.span, f'set_cross_flag {s.args[0]}', 'the pipes are ' + ', '.join(PIPES), ''
        elif s.op == 'wait_cross_flag' and s.args[1] not in ('', *PIPES):
            yield s.span, f'wait_cross_flag {s.args[1]}', 'the pipes are ' + ', '.join(PIPES), ''


@COMMON.rule('integer-index')
def integer_index(p: Program) -> Iterator[Problem]:
    for s in walk(p.body):
        for r in _regions(s):
            for e in (*r.starts, *r.extents):
                if _is_float(e):
                    yield s.span, f'an index of {r.buffer} is a float expression', 'addresses are integers', 'T.cast(x, "int32")'


def _is_float(e: Expr) -> bool:
    return 'float' in e.dtype or isinstance(e, Bin) and e.op == '/'
