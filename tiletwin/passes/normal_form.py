"""A Program as the normal form two lowerings are compared in: plain lists, dicts and strings.

Statements name the operation of the backend with its operands as flat element ranges; copies carry what the copy engine
is told (tile, pitch, valid sizes), derived from their regions with the rules of dialect 4.1.3.
"""

from __future__ import annotations

from typing import Any

from ..ir import expr as E
from ..ir.nodes import Break, Buffer, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, walk
from .addresses import footprint
from .normal_ops import instruction
from .normal_text import expression, offset, operand_space
from .ranges import Known, launch_ranges

Node = str | dict[str, Any]


class _Writer:
    def __init__(self, program: Program):
        self.program = program

    def block(self, body: tuple[Stmt, ...], core: str | None, known: Known) -> list[Node]:
        out: list[Node] = []
        for i, s in enumerate(body):
            match s:
                case Let():
                    rest = self.block(body[i + 1:], core, known)
                    if rest:
                        out.append({'let': s.var.name, 'value': expression(self.program, s.value), 'body': rest})
                    return out
                case Scope(core=c, body=inner):
                    if core is None or c == core:
                        out += self.block(inner, core, known)
                case For():
                    inner = self.block(s.body, core, known.within(s))
                    if inner:
                        out.append(self.loop(s, inner))
                case While():
                    inner = self.block(s.body, core, known)
                    if inner:
                        out.append({'while': expression(self.program, s.cond), 'body': inner})
                case If():
                    then, els = self.block(s.then, core, known.given(s.cond)), self.block(s.els, core, known.given(s.cond, False))
                    out.append({'if': expression(self.program, s.cond), 'then': then, 'else': els})
                case Store():
                    b = self.program.buffers[s.buffer]
                    at = expression(self.program, offset(self.program, b, s.indices))
                    out.append(f'store {operand_space(b)} {s.buffer}[{at}] = {expression(self.program, s.value)}')
                case Instr():
                    out.append(instruction(self.program, s, known))
                case Break():
                    out.append('op loop_break')
        return out

    def loop(self, s: For, body: list[Node]) -> Node:
        node: dict[str, Any] = {'for': s.var.name, 'extent': expression(self.program, s.extent)}
        if E.int_value(s.start) != 0:
            node['min'] = expression(self.program, s.start)
        if s.kind == 'parallel':
            node['kind'] = 'parallel'
        if s.annotations:
            node['annotations'] = {k: str(v) for k, v in s.annotations.items()}
        node['body'] = body
        return node


def statements(program: Program) -> dict[str, list[Node]]:
    """The program per core, or under BOTH when no code is attributed to one."""
    writer, known = _Writer(program), Known(launch_ranges(program))
    if any(isinstance(s, Scope) for s in walk(program.body)):
        return {'AIC': writer.block(program.body, 'C', known), 'AIV': writer.block(program.body, 'V', known)}
    return {'BOTH': writer.block(program.body, None, known)}


def _size(program: Program, e: E.Expr) -> int | str:
    n = E.int_value(e)
    return n if n is not None else expression(program, e)


def _params(program: Program) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    auto = set(program.attrs.get('auto_gm', ()))
    for p in program.params:
        if isinstance(p, str):
            b = program.buffers[p]
            row: dict[str, Any] = {'name': p, 'shape': [_size(program, d) for d in b.shape], 'dtype': b.dtype}
            if p in auto:
                row['auto_workspace'] = True
            out.append(row)
        else:
            out.append({'name': p.name, 'shape': None, 'dtype': p.dtype})
    return out


def touched(program: Program) -> set[str]:
    """Buffers whose bytes some statement names."""
    found: set[str] = set()

    def expr(e: E.Expr) -> None:
        found.update(x.buffer for x in E.loads(e))

    for s in walk(program.body):
        match s:
            case Instr():
                for a in (*s.args, *s.attrs.values()):
                    if isinstance(a, Region):
                        found.add(a.buffer)
                        for e in (*a.starts, *a.extents):
                            expr(e)
                    elif isinstance(a, E.EXPR_TYPES):
                        expr(a)
                if 'tmp' in s.attrs:
                    found.update(n for n in _names(s.attrs['tmp']))
            case Store():
                found.add(s.buffer)
                for e in (*s.indices, s.value):
                    expr(e)
            case Let(value=e) | While(cond=e) | If(cond=e):
                expr(e)
            case For():
                expr(s.start)
                expr(s.extent)
    return {program.root(n)[0].name for n in found}


def _names(tmp: Any) -> tuple[str, ...]:
    return tmp if isinstance(tmp, tuple) else (tmp,)


def _buffer(b: Buffer) -> dict[str, Any]:
    dims = list(b.dims[1:] if b.versions > 1 else b.dims)
    row: dict[str, Any] = {'name': b.name, 'scope': operand_space(b), 'shape': dims, 'dtype': b.dtype, 'elements': b.elements,
                           'address': b.address, 'bytes': None if b.space == 'VAR' else footprint(b)}
    if b.versions > 1:
        row['versions'] = b.versions
    if b.space == 'VAR':
        row['init'] = b.init
    return row


def normal_form(program: Program) -> dict[str, Any]:
    """Parameters, launch, surviving on-chip buffers and statements."""
    launch = program.launch
    axis = 'blockIdx.y' if launch.form == 'cid_vid' else 'threadIdx.x'
    alive = touched(program)
    return {
        'cv_ratio': {'threads1': 'cv_1_1', 'threads2': 'cv_1_2'}.get(launch.form),
        'launch': {'blockIdx.x': {'var': launch.cid.name, 'extent': _size(program, launch.blocks)},
                   axis: {'var': launch.vid.name, 'extent': launch.vectors}},
        'params': _params(program),
        'buffers': [_buffer(b) for b in program.buffers.values() if b.space != 'GM' and b.alias_of is None and b.name in alive],
        'program': statements(program),
    } | ({'address_ties': [list(g) for g in program.attrs['address_ties']]} if 'address_ties' in program.attrs else {})

