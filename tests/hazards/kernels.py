"""Minimal kernels for rule tables, built from nodes so that the rules are tested without the front end."""

from __future__ import annotations

from tiletwin.backends.analysis import Analyser
from tiletwin.errors import Span
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import Buffer, For, If, Instr, Launch, Program, Region, Scope, Store
from tiletwin.machine.chip import chip as chip_of
from tiletwin.passes import inject_tmp, memory_planning
from tiletwin.passes.addresses import check_capacity
from tiletwin.passes.context import PassContext
from tiletwin.passes.pipeline import check_paths
from tiletwin.sanitize.findings import Verdict

CID, VID = E.Var('cid'), E.Var('vid')
ROWS, COLS = 16, 64


def c(v):
    return E.as_expr(v)


def buffer(name, space, shape=(ROWS, COLS), dtype='float16', **more):
    return Buffer(name, space, tuple(c(d) for d in shape), dtype, Span('kernel.py', 1), **more)


def whole(b: Buffer) -> Region:
    return Region(b.name, tuple(c(0) for _ in b.shape), b.shape, 'buffer')


def at(b: Buffer, starts, extents) -> Region:
    return Region(b.name, tuple(c(s) for s in starts), tuple(c(e) for e in extents), 'region')


class Kernel:
    """Collects buffers and statements; every statement gets its own line."""

    def __init__(self, blocks=1, form='cid_vid'):
        self.buffers: dict[str, Buffer] = {}
        self.params: list[str] = []
        self.line = 1
        self.launch = Launch(CID, VID, c(blocks), form)

    def alloc(self, name, space, shape=(ROWS, COLS), dtype='float16', **more) -> Buffer:
        b = self.buffers[name] = buffer(name, space, shape, dtype, **more)
        if space == 'GM':
            self.params.append(name)
        return b

    def instr(self, op, *args, **attrs) -> Instr:
        self.line += 1
        return Instr(op, tuple(whole(a) if isinstance(a, Buffer) else a if isinstance(a, (Region, str)) else c(a) for a in args), attrs,
                     Span('kernel.py', self.line))

    def copy(self, src, dst, **attrs):
        return self.instr('copy', src, dst, **{'relu': False, 'transpose': False, 'pad': None} | attrs)

    def mma(self, a, b, out, init=True, op='mma', **attrs):
        m, n = out.dims[-2:]
        k = (a if isinstance(a, Buffer) else self.buffers[a.buffer]).dims[-1]
        return self.instr(op, a, b, out, init, M=m, N=n, K=k, **attrs)

    def set(self, src, dst, ident=0):
        return self.instr('set_flag', src, dst, ident)

    def wait(self, src, dst, ident=0):
        return self.instr('wait_flag', src, dst, ident)

    def barrier(self, pipe='ALL'):
        return self.instr('pipe_barrier', pipe)

    def cset(self, pipe, ident=0, mode=2):
        return self.instr('set_cross_flag', pipe, ident, mode=mode)

    def cwait(self, ident=0):
        return self.instr('wait_cross_flag', ident, '')

    def loop(self, name, extent, *body):
        return For(E.Var(name), c(0), c(extent), tuple(body), span=Span('kernel.py', self.line))

    def when(self, cond, *body):
        return If(cond, tuple(body), (), Span('kernel.py', self.line))

    def store(self, b, indices, value):
        self.line += 1
        return Store(b.name, tuple(c(i) for i in indices), value, Span('kernel.py', self.line))

    def program(self, cube=(), vector=(), both=()) -> Program:
        body = (Scope('C', tuple(cube)), Scope('V', tuple(vector)), *both)
        return Program('kernel', tuple(self.params), self.buffers, self.launch, body)


def placed(program: Program, chip='a3', target='ascendc') -> Program:
    """With scratch and addresses, unverified: the sanitizer has to find what the verifier would refuse."""
    ctx = PassContext(chip_of(chip), target)
    check_paths(program, ctx.chip)
    program = memory_planning.run(inject_tmp.run(program, ctx), ctx)
    check_capacity(program, ctx.chip)
    return program


def verdict(program: Program, chip='a3', target='ascendc', poisoned=frozenset(), **scalars) -> Verdict:
    lowered = placed(program, chip, target)
    return Verdict(Analyser(lowered, chip_of(chip), target, scalars, True).run(poisoned).findings)


def words(v: Verdict) -> set[str]:
    return {f.word for f in v.findings}
