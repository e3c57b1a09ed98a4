"""Automatic synchronisation inside a core (dialect 8.20): flags and pipe barriers in front of the instructions that need them.

The `fork` profile does what the compiler does. It remembers one access per buffer, the last, walks every loop body twice
and keeps of the second walk only what it found in front of the statements of that body, not inside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import Span
from ..ir import expr as E
from ..ir.nodes import For, If, Instr, Let, Program, Scope, Stmt, Store, While
from . import sync_sound
from .context import AUTO_SYNC, PassContext
from .sync_operands import uses

ORIGIN = 'sync_insert'
IDS = 8
# Pipe pairs the compiler has an event for; a dependence between any other two pipes is left alone.
EVENTS = frozenset(tuple(name.split('_')) for name in (
    'MTE2_MTE1 MTE1_MTE2 MTE1_M M_MTE1 MTE2_V V_MTE2 MTE3_V V_MTE3 M_V V_M V_V MTE3_MTE1 MTE1_MTE3 MTE1_V MTE2_M M_MTE2 V_MTE1 M_FIX FIX_M '
    'MTE3_MTE2 MTE2_MTE3 S_V V_S S_MTE2 MTE2_S S_MTE3 MTE3_S MTE2_FIX FIX_MTE2 FIX_S M_S FIX_MTE3').split())


class Sync(NamedTuple):
    """One requirement in front of a statement; `ident` is the event id and no part of what it is."""

    kind: str  # 'event', 'all', 'barrier': in this order in front of one statement
    src: str = ''
    dst: str = ''
    ident: int = -1

    @property
    def what(self) -> tuple[str, str, str]:
        return self.kind, self.src, self.dst


ALL = Sync('all')


@dataclass(slots=True)
class Last:
    """The last access to a buffer, and the synchronisation emitted since."""

    write: bool
    pipe: str
    events: set[tuple[str, str]] = field(default_factory=set)
    barriers: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Item:
    """A statement as the analysis sees it: a let takes the rest of its block along."""

    before: list[Sync]
    stmts: tuple[Stmt, ...]
    span: Span | None


@dataclass(slots=True)
class Block:
    items: list[Item]
    after: list[Sync]


def reachable(src: str, dst: str, edges: set[tuple[str, str]]) -> bool:
    seen, todo = {src}, [src]
    while todo:
        at = todo.pop()
        for a, b in edges:
            if a == at and b not in seen:
                if b == dst:
                    return True
                seen.add(b)
                todo.append(b)
    return False


def emit(syncs: list[Sync], span: Span | None) -> list[Instr]:
    out = []
    for s in syncs:
        if s.kind == 'event':
            out += [Instr(op, (s.src, s.dst, E.Const(s.ident)), {}, span, ORIGIN) for op in ('set_flag', 'wait_flag')]
        else:
            out.append(Instr('pipe_barrier', (s.src or 'ALL',), {}, span, ORIGIN))
    return out


class Inserter:
    def __init__(self, program: Program, ctx: PassContext):
        self.program, self.ctx = program, ctx
        self.history: dict[str, Last] = {}
        self.next = 1
        self.loops = 0

    # -- statements -----------------------------------------------------------------------------------------------------
    def run(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return self.rebuild(self.block(body), body)

    def rebuild(self, block: Block, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for item in block.items:
            out += emit(item.before, item.span)
            if self.loops and isinstance(item.stmts[0], Store):
                out += emit([ALL], item.span)
            out += item.stmts
        return (*out, *emit(block.after, body[-1].span if body else None))

    def block(self, body: tuple[Stmt, ...]) -> Block:
        items: list[Item] = []
        carried: list[Sync] = []
        for i, s in enumerate(body):
            if isinstance(s, Let) and E.loads(s.value):
                rest = body[i + 1:]
                items.append(Item([*carried, ALL], (s, *self.run(rest)), s.span))
                return Block(items, [])
            before, stmt, after = self.statement(s)
            items.append(Item(carried + before, (stmt,), s.span))
            carried = after
        return Block(items, carried)

    def statement(self, s: Stmt) -> tuple[list[Sync], Stmt, list[Sync]]:
        match s:
            case Instr():
                return self.instruction(s), s, []
            case Store():
                return self.store(s), s, []
            case For() | While():
                return [], self.loop(s), []
            case If():
                return [ALL], self.branch(s), [ALL]
            case Scope():
                outer, self.history = self.history, {}
                inner = Scope(s.core, self.run(s.body), s.span)
                self.history = outer
                return [], inner, []
        return [], s, []

    def loop(self, s: For | While) -> Stmt:
        self.loops += 1
        first, second = self.block(s.body), self.block(s.body)
        for a, b in zip(first.items, second.items):
            have = {x.what for x in a.before}
            a.before += [x for x in b.before if x.what not in have]
        first.after += second.after
        body = self.rebuild(first, s.body)
        self.loops -= 1
        return While(s.cond, body, s.span) if isinstance(s, While) else For(s.var, s.start, s.extent, body, s.kind, s.annotations, s.span)

    def branch(self, s: If) -> Stmt:
        self.history.clear()
        then = self.run(s.then)
        self.history.clear()
        els = self.run(s.els)
        self.history.clear()
        return If(s.cond, then, els, s.span)

    # -- dependences ----------------------------------------------------------------------------------------------------
    def instruction(self, s: Instr) -> list[Sync]:
        found = uses(self.program, s)
        if found is None:
            return []
        needed = self.requirements(found.pipe, found.buffers)
        for name, write in found.buffers.items():
            self.history[name] = Last(write, found.pipe)
        return self.sorted([*needed, ALL] if found.indirect else needed)

    def store(self, s: Store) -> list[Sync]:
        """A scalar store waits for what it reads, never for earlier accesses to what it writes."""
        read = {self.program.root(x.buffer)[0].name: False for x in E.loads(s.value)}
        needed = self.requirements('S', read)
        for name in read:
            self.history[name] = Last(False, 'S')
        self.history[self.program.root(s.buffer)[0].name] = Last(True, 'S')
        return self.sorted(needed)

    def requirements(self, pipe: str, buffers: dict[str, bool]) -> list[Sync]:
        """What the accesses need, less what is implied; it counts as done for every remembered access from here on."""
        events: dict[tuple[str, str], list[Last]] = {}
        barriers: set[str] = set()
        for name, write in buffers.items():
            for other, last in self.history.items():
                if not (write or last.write) or not self.overlap(name, other):
                    continue
                if last.pipe != pipe:
                    if (last.pipe, pipe) in EVENTS:
                        events.setdefault((last.pipe, pipe), []).append(last)
                elif pipe != 'S' and pipe not in last.barriers:
                    barriers.add(pipe)
        kept = set(events)
        for pair in sorted(events, key='_'.join):
            others = kept - {pair}
            if all(reachable(*pair, last.events | others) for last in events[pair]):
                kept.discard(pair)
        out = [Sync('event', *pair, self.ident()) for pair in sorted(kept, key='_'.join)]
        for last in self.history.values():
            last.events |= kept
            last.barriers |= barriers
        emitted = barriers if self.ctx.chip.needs_v_barrier else barriers - {'V'}
        return out + [Sync('barrier', p) for p in sorted(emitted)]

    def ident(self) -> int:
        self.next += 1
        return (self.next - 1) % IDS

    def overlap(self, a: str, b: str) -> bool:
        if a == b:
            return True
        x, y = self.program.buffers[a], self.program.buffers[b]
        if x.space != y.space or x.address is None or y.address is None:
            return False
        return x.address < y.address + y.bytes and y.address < x.address + x.bytes

    @staticmethod
    def sorted(syncs: list[Sync]) -> list[Sync]:
        return sorted(syncs, key=lambda s: ('event', 'all', 'barrier').index(s.kind))


def run(program: Program, ctx: PassContext) -> Program:
    if not ctx.on(AUTO_SYNC):
        return program
    if ctx.sound:
        return sync_sound.run(program, ctx)
    return program.with_body(Inserter(program, ctx).run(program.body))
