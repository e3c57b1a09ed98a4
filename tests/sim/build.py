"""Programs written directly in IR nodes, for tests of the simulator."""

from __future__ import annotations

from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Buffer, For, If, Instr, Launch, Let, Program, Region, Scope, Store

CID, VID = E.Var('cid'), E.Var('vid')


def ex(v):
    return E.as_expr(v)


def gm(name, shape, dtype='float32'):
    return Buffer(name, 'GM', tuple(map(ex, shape)), dtype)


def chip(name, space, shape, dtype='float32', **more):
    return Buffer(name, space, tuple(map(ex, shape)), dtype, **more)


def ub(name, shape, dtype='float32', **more):
    return chip(name, 'UB', shape, dtype, **more)


def whole(b: Buffer) -> Region:
    return Region(b.name, tuple(E.Const(0) for _ in b.shape), b.shape, 'buffer')


def at(b: Buffer, starts, extents, form='region') -> Region:
    return Region(b.name, tuple(map(ex, starts)), tuple(map(ex, extents)), form)


def element(b: Buffer, *starts) -> Region:
    return Region(b.name, tuple(map(ex, starts)), tuple(E.Const(1) for _ in starts), 'element')


def op(name, *args, **attrs) -> Instr:
    args = tuple(whole(a) if isinstance(a, Buffer) else a if isinstance(a, (Region, str)) else ex(a) for a in args)
    return Instr(name, args, attrs)


def copy(src, dst, **attrs) -> Instr:
    return op('copy', src, dst, **attrs)


def loop(name, extent, *body, start=0, kind='serial') -> For:
    return For(E.Var(name), ex(start), ex(extent), tuple(body), kind)


def v(name, dtype='int32') -> E.Var:
    return E.Var(name, dtype)


def bin_(o, a, b, dtype='int32') -> E.Expr:
    return E.fold(E.Bin(o, ex(a), ex(b), dtype))


def load(b: Buffer, *idx) -> E.Load:
    return E.Load(b.name, tuple(map(ex, idx)), b.dtype)


def store(b: Buffer, idx, value) -> Store:
    return Store(b.name, tuple(map(ex, idx)), ex(value))


def cube(*body) -> Scope:
    return Scope('C', tuple(body))


def vec(*body) -> Scope:
    return Scope('V', tuple(body))


def kernel(buffers, body, blocks=1, form='cid_vid', params=None, name='kernel') -> Program:
    table = {b.name: b for b in buffers}
    names = tuple(params) if params is not None else tuple(b.name for b in buffers if b.space == 'GM')
    return Program(name, names, table, Launch(CID, VID, ex(blocks), form), tuple(body))


__all__ = ['CID', 'VID', 'If', 'Let', 'at', 'bin_', 'chip', 'copy', 'cube', 'element', 'gm', 'kernel', 'load', 'loop', 'op', 'store', 'ub', 'v',
           'vec', 'whole']
