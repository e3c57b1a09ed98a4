"""Writes the flags and barriers a synchronisation analysis decided on into the Program, with event ids that never meet."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Program, Region, Scope, Stmt, While, walk
from .context import PassContext

ORIGIN = 'sync_insert'


@dataclass(eq=False, slots=True)
class Forward:
    """Set behind one item, waited for in front of a later one of the same block."""

    src: str
    dst: str
    ident: int | None = None


@dataclass(eq=False, slots=True)
class Carried:
    """Set in one iteration of `loop`, waited for `distance` iterations later; as many are set before the loop and waited for behind it.

    `early`: the set stands in front of the wait, so that one more is on its way between the two.
    """

    src: str
    dst: str
    distance: int
    loop: For | While
    early: bool = False
    ident: int | None = None

    @property
    def slots(self) -> int:
        return self.distance + self.early

    def slot(self, iteration: E.Expr) -> E.Expr:
        """The id of the flag set in an iteration."""
        if self.slots == 1:
            return E.Const(self.ident)
        return E.add(E.fold(E.Bin('%', iteration, E.Const(self.slots), 'int32')), self.ident)

    def now(self, wait: bool) -> E.Expr:
        """The id in the loop body: a wait takes the oldest flag."""
        if self.slots == 1:
            return E.Const(self.ident)
        iteration = E.sub(self.loop.var, self.loop.start)
        return self.slot(E.add(iteration, 1) if wait and self.early else iteration)

    def first(self) -> list[E.Expr]:
        """What the waits of the first iterations take."""
        return [E.Const(self.ident + i + self.early) for i in range(self.distance)]

    def left(self) -> list[E.Expr]:
        """What the last iterations set."""
        if not self.early:
            return self.first()
        return [self.slot(E.add(self.loop.extent, 1 + i)) for i in range(self.distance)]


@dataclass(slots=True)
class Marks:
    """What goes around one statement, in the order of the fields; `carried` and `sets` stand behind it, too."""

    waits: list[Forward | Carried] = field(default_factory=list)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    barriers: set[str] = field(default_factory=set)
    carried: list[Carried] = field(default_factory=list)
    sets: list[Forward | Carried] = field(default_factory=list)


def reserved(program: Program, ids: int) -> dict[tuple[str, str], set[int]]:
    """Ids that flags of the user and of library templates hold."""
    out: dict[tuple[str, str], set[int]] = {}

    def keep(pair: str, *taken: int) -> None:
        out.setdefault(tuple(pair.split('_')), set()).update(taken)

    for s in walk(program.body):
        if not isinstance(s, Instr):
            continue
        if s.op in ('set_flag', 'wait_flag'):
            n = E.int_value(s.args[2])
            keep(f'{s.args[0]}_{s.args[1]}', *(range(ids) if n is None else (n,)))
        elif s.op == 'gemm_v0':
            for pair in ('MTE2_MTE1', 'FIX_M', 'M_MTE1', 'MTE1_M', 'MTE1_MTE2', 'M_FIX'):
                keep(pair, 0, 1)
        elif s.op == 'copy' and isinstance(s.args[1], Region) and program.buffers[s.args[1].buffer].space == 'UB':
            for pair in ('MTE2_V', 'MTE3_V', 'V_MTE2'):
                keep(pair, 0)
        elif s.op == 'reduce':
            keep('V_S', 0)
    return out


class Placer:
    def __init__(self, program: Program, ctx: PassContext, marks: dict[tuple, Marks]):
        self.program, self.marks, self.ids = program, marks, ctx.chip.event_ids
        self.taken = reserved(program, self.ids)

    def run(self) -> Program:
        return self.program.with_body(self.block(self.program.body, ()))

    # -- ids ------------------------------------------------------------------------------------------------------------------
    def take(self, src: str, dst: str, count: int = 1) -> int | None:
        """The first of `count` consecutive free ids, or None."""
        busy = self.taken.setdefault((src, dst), set())
        for first in range(self.ids - count + 1):
            if not busy & set(range(first, first + count)):
                busy |= set(range(first, first + count))
                return first
        return None

    def give(self, flag: Forward | Carried) -> None:
        if flag.ident is not None:
            self.taken[flag.src, flag.dst] -= set(range(flag.ident, flag.ident + getattr(flag, 'slots', 1)))

    # -- statements -------------------------------------------------------------------------------------------------------------
    def block(self, body: tuple[Stmt, ...], path: tuple) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for k, s in enumerate(body):
            at = (*path, k)
            m = self.marks.get(at)
            if m is None:
                out.append(self.inside(s, at))
                continue
            span = s.span
            self.before(m, span, out)
            for flag in m.carried:
                flag.ident = self.take(flag.src, flag.dst, flag.slots)
                if flag.ident is not None:
                    out += [self.instr('set_flag', flag, ident, span) for ident in flag.first()]
            out.append(self.inside(s, at))
            for flag in m.carried:
                if flag.ident is not None:
                    out += [self.instr('wait_flag', flag, ident, span) for ident in flag.left()]
                self.give(flag)
            if any(flag.ident is None for flag in m.carried):
                out.append(Instr('pipe_barrier', ('ALL',), {}, span, ORIGIN))
            for flag in m.sets:
                if isinstance(flag, Forward):
                    flag.ident = self.take(flag.src, flag.dst)
                if flag.ident is not None:
                    out.append(self.instr('set_flag', flag, self.slot(flag, False), span))
        return tuple(out)

    def before(self, m: Marks, span: Span | None, out: list[Stmt]) -> None:
        waits: list[Stmt] = []
        drain = False
        for flag in m.waits:
            if flag.ident is None:
                drain = True
            else:
                waits.append(self.instr('wait_flag', flag, self.slot(flag, True), span))
            if isinstance(flag, Forward):
                self.give(flag)
        for src, dst in sorted(m.pairs):
            pair = Forward(src, dst, self.take(src, dst))
            if pair.ident is None:
                drain = True
            else:
                waits += [self.instr(op, pair, E.Const(pair.ident), span) for op in ('set_flag', 'wait_flag')]
            self.give(pair)
        out += waits
        # Out of event ids: a full barrier orders everything.
        if drain:
            out.append(Instr('pipe_barrier', ('ALL',), {}, span, ORIGIN))
        else:
            out += [Instr('pipe_barrier', (p,), {}, span, ORIGIN) for p in sorted(m.barriers)]

    @staticmethod
    def slot(flag: Forward | Carried, wait: bool) -> E.Expr:
        return flag.now(wait) if isinstance(flag, Carried) else E.Const(flag.ident)

    def inside(self, s: Stmt, at: tuple) -> Stmt:
        match s:
            case Scope():
                return Scope(s.core, self.block(s.body, at), s.span)
            case For():
                return For(s.var, s.start, s.extent, self.block(s.body, (*at, 0)), s.kind, s.annotations, s.span)
            case While():
                return While(s.cond, self.block(s.body, (*at, 0)), s.span)
            case If():
                return If(s.cond, self.block(s.then, (*at, 0)), self.block(s.els, (*at, 1)), s.span)
        return s

    @staticmethod
    def instr(op: str, flag: Forward | Carried, ident: E.Expr, span: Span | None) -> Instr:
        return Instr(op, (flag.src, flag.dst, ident), {}, span, ORIGIN)
