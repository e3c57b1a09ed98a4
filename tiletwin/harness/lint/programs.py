"""Rules over the tile program of an operator: constants that only show once the kernel is built."""

from __future__ import annotations

from typing import Any, Iterator

from ...dtypes import dtype as dtype_of
from ...errors import Span
from ...ir import expr as E
from ...ir.nodes import Instr, Program, Region, walk
from .finding import Lint

EVENTS, CROSS_FLAGS = 8, 16
FRACTAL = 16
BLOCK = 32  # bytes
ATTENTION = ('flash_attn', 'paged_attn', 'sparse_flash_attn', 'mha_ifa', 'mla_decode', 'attn_bwd')


def _ids(s: Instr) -> int | None:
    at = {'set_flag': 2, 'wait_flag': 2, 'set_cross_flag': 1, 'wait_cross_flag': 0}[s.op]
    return E.int_value(s.args[at])


def check(program: Program, source: Program, mode: str, chips: tuple[str, ...], variant: Any) -> Iterator[Lint]:
    """`source` is the program before the passes."""
    here = source.span or Span('', 0)

    def lint(rule: str, span: Span | None, message: str, why: str, instead: str) -> Lint:
        at = span or here
        return Lint(at.file, at.line, rule, message, why, instead)

    buffers = program.buffers
    for s in walk(program.body):
        if not isinstance(s, Instr):
            continue
        if s.op in ('set_flag', 'wait_flag', 'set_cross_flag', 'wait_cross_flag'):
            cross, ident = 'cross' in s.op, _ids(s)
            limit = CROSS_FLAGS if cross else EVENTS
            if ident is not None and not 0 <= ident < limit:
                yield lint('C4.44', s.span, f'{s.op} {ident}', f'there are {limit} {"cross flags" if cross else "events per pair of pipes"}',
                           f'0 to {limit - 1}')
        if s.op == 'reduce' and s.attrs.get('kind') == 'sum' and variant.family in ATTENTION:
            kind = buffers[s.args[1].buffer].dtype
            if kind != 'float32':
                yield lint('C0.25', s.span, f'a row sum of {kind}', 'the normaliser is the sum of the float probabilities, before any cast',
                           'T.reduce_sum of the float tile; cast only what is multiplied with V')
        if s.op == 'mma' and mode == 'expert':
            first, second = (E.text(r.starts[0]) if len(r.starts) > 2 else '' for r in s.args[:2])
            if first and second and first != second:
                yield lint('C0.10', s.span, f'operands in the slots {first} and {second}', 'a pair of operands is loaded, used and freed together',
                           'one counter for both')
        if s.op.startswith('row_expand_') and len(s.args) > 2 and isinstance(s.args[2], Region):
            factor = buffers[s.args[2].buffer]
            if E.int_value(factor.shape[-1]) != BLOCK // factor.es:
                yield lint('C0.43', s.span, f'the row factors in {factor.name} lie {E.text(factor.shape[-1])} times over',
                           'a factor is read as one block of 32 bytes per row', f'a tile [rows, {BLOCK // factor.es}] from T.tile.brcb_experiment')
        if s.op == 'copy' and mode == 'expert' and 'a2' in chips and within_ub(program, s):
            extents = [E.int_value(e) for e in s.args[1].extents]
            if extents[-1] == 1 and len(extents) > 1 and any((n or 2) > 1 for n in extents[:-1]):
                yield lint('C0.44', s.span, 'a column of row scalars copied with T.copy', 'a UB to UB copy moves whole 32-byte blocks on a2',
                           'T.tile.add(dst, src, 0.0)')
    for b in program.tensors:
        if 'workspace' in b.name and any(E.int_value(d) is None for d in b.shape):
            yield lint('C0.40', b.span, f'the workspace {b.name} has a symbolic shape',
                       'workspace tiles are always whole; tails are cut at the border of GM',
                       'constants')
    for b in program.on_chip('L0B', 'L0C'):
        if min(b.dims[-1:]) % FRACTAL or b.dims[-2] % (FRACTAL if b.space == 'L0C' else 32 // dtype_of(b.dtype).bytes):
            yield lint('C4.24', b.span, f'{b.name} is {b.dims[-2]} x {b.dims[-1]} in {b.space}', 'L0B and L0C are made of fractals',
                       'multiples of 16')
    if mode != 'expert':
        yield from developer(program, source, variant, lint)


def developer(program: Program, source: Program, variant: Any, lint: Any) -> Iterator[Lint]:
    workspaces = [b.name for b in program.tensors if 'workspace' in b.name]
    if workspaces and not variant.war_cover:
        yield lint('C4.43', source.span, f'{", ".join(workspaces)}: nothing says why a slot is not overwritten while it is read',
                   'the compiler sets no flag in that direction',
                   "war_cover='reverse_edge', 'single_shot', 'slots>=trips' or 'hybrid_flag' in the contract")
    if source.launch.form == 'threads2':
        for b in source.buffers.values():
            rows = E.int_value(b.shape[0])
            if b.space == 'SHARED' and space_of(program, b.name) == 'UB' and rows not in (None, 1) and rows % 2:
                yield lint('C4.45', b.span, f'{b.name} has {rows} rows', 'each vector core works on half of the rows',
                           'an even number of rows')


def within_ub(program: Program, s: Instr) -> bool:
    return all(isinstance(a, Region) and program.buffers[a.buffer].space == 'UB' for a in s.args[:2])


def space_of(program: Program, name: str) -> str:
    return program.buffers[name].space if name in program.buffers else ''
