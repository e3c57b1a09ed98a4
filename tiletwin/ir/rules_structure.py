"""Rules about names, buffers, control flow and synchronisation."""

from __future__ import annotations

from typing import Iterator

from .expr import EXPR_TYPES, Bin, Expr, Load, Var, int_value
from .expr import walk as walk_expr
from .nodes import SPACES, Break, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, walk
from .ops import CUBE_PIPES, PIPES, VECTOR_PIPES
from .rules import COMMON, Problem, instructions

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
                        yield (s.span, f'{x.name} is used where it is not defined', 'a name ends with the block that binds it',
                               'bind it in the enclosing block')
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
        if b.layout is not None and b.space not in ('L1', 'SHARED'):
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
                yield (s.span, f'{s.op} {a} {b}: no core has both pipes',
                       f'the cube core has {", ".join(CUBE_PIPES)}, a vector core {", ".join(VECTOR_PIPES)}', 'T.set_cross_flag between cores')
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
        for r in s.args if isinstance(s, Instr) else ():
            for e in (*r.starts, *r.extents) if isinstance(r, Region) else ():
                if _is_float(e):
                    yield s.span, f'an index of {r.buffer} is a float expression', 'addresses are integers', 'T.cast(x, "int32")'


def _is_float(e: Expr) -> bool:
    return 'float' in e.dtype or isinstance(e, Bin) and e.op == '/'
