"""The text of a Program: what `tiletwin lower` shows and golden files hold. Equal Programs have equal text."""

from __future__ import annotations

from typing import Any, Iterator

from .expr import EXPR_TYPES
from .expr import text as expr_text
from .nodes import Break, Buffer, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While

_CUBE = ('gemm_v0', 'mma')
_MOVES = ('copy', 'atomic_add')
_PLAIN = ('set_flag', 'wait_flag', 'pipe_barrier', 'sync_all', 'set_cross_flag', 'wait_cross_flag')
# Attribute values that say nothing: left out.
_DEFAULTS = {'relu': False, 'transpose': False, 'pad': None, 'transpose_A': False, 'transpose_B': False, 'clear': True, 'real_shape': None, 'mode': 2,
             'shape_info': None, 'tl_cross_interval': 1}


def region(program: Program, r: Region, ranges: bool = False) -> str:
    """`SPACE name[start:+extent, ...]`; a whole buffer is its name alone, one element has no extents."""
    b = program.buffers.get(r.buffer)
    head = f'{b.space if b else "?"} {r.buffer}'
    if r.form == 'buffer' and not ranges:
        return head
    if r.form == 'element' and not ranges:
        return f'{head}[{", ".join(map(expr_text, r.starts))}]'
    return f'{head}[{", ".join(f"{expr_text(s)}:+{expr_text(e)}" for s, e in zip(r.starts, r.extents))}]'


def value(program: Program, a: Any) -> str:
    if isinstance(a, Region):
        return region(program, a)
    if isinstance(a, EXPR_TYPES):
        return expr_text(a)
    if isinstance(a, tuple):
        return f'[{", ".join(value(program, x) for x in a)}]'
    return repr(a) if isinstance(a, str) else str(a)


def _braces(program: Program, attrs: dict[str, Any], **extra: str) -> str:
    shown = {k: value(program, v) if not isinstance(v, str) else v for k, v in sorted(attrs.items()) if k not in _DEFAULTS or v != _DEFAULTS[k]}
    shown |= extra
    return f' {{{", ".join(f"{k}={v}" for k, v in shown.items())}}}' if shown else ''


def instruction(program: Program, s: Instr) -> str:
    """One instruction on one line."""
    if s.op in _MOVES:
        first, second = (s.args[1], s.args[0]) if s.op == 'atomic_add' else s.args[:2]
        return f'{s.op} {region(program, first, True)} -> {region(program, second, True)}{_braces(program, s.attrs)}'
    if s.op in _CUBE:
        a, b, c, init = s.args
        return f'cube {s.op} {", ".join(value(program, x) for x in (a, b, c))}{_braces(program, s.attrs, init=value(program, init))}'
    if s.op in _PLAIN:
        return ' '.join([s.op, *(a if isinstance(a, str) else value(program, a) for a in s.args if a != '')]) + _braces(program, s.attrs)
    return f'{s.op} {", ".join(value(program, a) for a in s.args)}'.rstrip() + _braces(program, s.attrs)


def _statement(program: Program, s: Stmt) -> str:
    match s:
        case Instr():
            origin = '' if s.origin == 'user' else f'  <{s.origin}>'
            return instruction(program, s) + origin
        case Store(buffer=b, indices=i, value=v):
            at = '' if program.buffers[b].space == 'VAR' else f'[{", ".join(map(expr_text, i))}]'
            return f'store {program.buffers[b].space} {b}{at} = {expr_text(v)}'
        case Let(var=v, value=e):
            return f'let {v.name}: {v.dtype} = {expr_text(e)}'
        case For(var=v, start=a, extent=n, kind=kind, annotations=notes):
            word = '' if kind == 'serial' else f' {kind}'
            return f'for {v.name} in {expr_text(a)}:+{expr_text(n)}{word}{_braces(program, notes)}:'
        case While(cond=c):
            return f'while {expr_text(c)}:'
        case If(cond=c):
            return f'if {expr_text(c)}:'
        case Scope(core=core):
            return f'scope {core}:'
        case Break():
            return 'break'
    raise TypeError(s)


def _lines(program: Program, body: tuple[Stmt, ...], depth: int) -> Iterator[tuple[str, Any]]:
    pad = '  ' * depth
    if not body:
        yield f'{pad}pass', None
    for s in body:
        yield pad + _statement(program, s), s.span
        if isinstance(s, (For, While, Scope)):
            yield from _lines(program, s.body, depth + 1)
        elif isinstance(s, If):
            yield from _lines(program, s.then, depth + 1)
            if s.els:
                yield f'{pad}else:', None
                yield from _lines(program, s.els, depth + 1)


def buffer_line(b: Buffer) -> str:
    """`buffer L1 a float16[128, 64] @0 zN`"""
    parts = [f'buffer {b.space} {b.name} {b.dtype}']
    if b.space != 'VAR':
        parts[0] += f'[{", ".join(expr_text(d) for d in b.shape)}]'
    elif b.init is not None:
        parts.append(f'= {b.init}')
    if b.alias_of is not None:
        parts.append(f'views {b.alias_of} +{b.alias_offset}')
    if b.address is not None:
        parts.append(f'@{b.address}' + (' (annotated)' if b.annotated else ''))
    if b.layout:
        parts.append(b.layout)
    if b.origin != 'user':
        parts.append(f'<{b.origin}>')
    return ' '.join(parts)


def text(program: Program, spans: bool = False, width: int = 100) -> str:
    """The whole Program; with `spans` the source file and line of each statement in a trailing column."""
    params = ', '.join(p if isinstance(p, str) else f'{p.name}: {p.dtype}' for p in program.params)
    launch = program.launch
    head = [f'kernel {program.name}({params})', f'launch {expr_text(launch.blocks)} blocks, {launch.form}: {launch.cid.name}, {launch.vid.name}']
    head += [f'attr {k} = {v!r}' for k, v in sorted(program.attrs.items())]
    lines: list[tuple[str, Any]] = [(line, None) for line in head]
    lines += [(buffer_line(b), b.span) for b in program.buffers.values()]
    lines += [('', None), *_lines(program, program.body, 0)]
    if not spans:
        return '\n'.join(line for line, _ in lines) + '\n'
    return '\n'.join(f'{line.ljust(width)}  # {span}' if span else line for line, span in lines) + '\n'

