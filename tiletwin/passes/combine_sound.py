"""The split by core as correctness needs it: every statement on the core it belongs to, scalars and synchronisation of the
whole launch on both, and flags for every dependence between the cores.

Both copies are made together, block by block: the cores take the same branches and count the same trips, so flags placed in one
block balance on every path.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import UnsupportedError
from ..ir import expr as E
from ..ir.nodes import Break, For, If, Instr, Let, Program, Scope, Stmt, Store, While, walk
from ..ir.ops import OPS, route
from .combine_cv import Filter, without_idle_lets
from .context import AUTO_CV_SYNC, PassContext
from .cross_core_sync import MODE_GROUP, PASS, interval
from .exchange import OTHER, Access, Dependences, Edge, Item, numbered
from .uses import reads, scalar_loads, writes

# A stage of up to this many iterations is flagged one by one; the flags of the chip count to 15.
MANY = 8
# Pipes that exist on one core only; MTE2 and S are on both.
OWN_PIPES = {'C': {'M', 'MTE1', 'FIX'}, 'V': {'V', 'MTE3'}}


class Splitter:
    def __init__(self, program: Program, ctx: PassContext):
        self.program, self.ctx = program, ctx
        self.filters = {c: Filter(program, c) for c in 'CV'}
        self.idents: dict[tuple[str, str, int], int] = {}
        self.tensors = {b.name for b in program.tensors}

    # -- who executes what --------------------------------------------------------------------------------------------
    def owners(self, s: Stmt) -> tuple[str, ...]:
        match s:
            case Instr(op='sync_all' | 'set_deq_scale') | Break() | Let():
                return ('C', 'V')
            case Instr():
                kept = tuple(c for c, f in self.filters.items() if f.keeps(s))
                return self.synchronises(s, kept) if OPS[s.op].pipe == 'sync' else kept
            case Store():
                space = self.program.buffers[s.buffer].space
                if space == 'VAR':
                    return ('C', 'V')
                return ('V',) if space == 'UB' or any(self.program.buffers[x.buffer].space == 'UB' for x in scalar_loads(s)) else ('C',)
        return ()

    def synchronises(self, s: Instr, following: tuple[str, ...]) -> tuple[str, ...]:
        """Hand-written flags and barriers go where their pipes are; what names no pipe of one core alone follows the code before it."""
        named = {a for a in s.args if isinstance(a, str)}
        only = tuple(c for c, pipes in OWN_PIPES.items() if named & pipes)
        return only if len(only) == 1 else ('C', 'V') if s.op == 'pipe_barrier' and 'ALL' in named else following or ('C', 'V')

    def accesses(self, s: Stmt, core: str) -> list[Access]:
        """Accesses of the statement itself to global memory."""
        found = [Access(core, 'S', x.buffer, False, s.span) for x in scalar_loads(s)]
        if isinstance(s, Store):
            found.append(Access(core, 'S', s.buffer, True, s.span))
        elif isinstance(s, Instr):
            pipe = 'S'
            if OPS[s.op].pipe == 'copy':
                src, dst = (s.args[1], s.args[0]) if s.op == 'atomic_add' else s.args[:2]
                pipe = route(self.program.buffers[src.buffer].space, self.program.buffers[dst.buffer].space, s.span)[1]
            found += [Access(core, pipe, r.buffer, False, s.span) for r in reads(s)] + [Access(core, pipe, r.buffer, True, s.span) for r in writes(s)]
        return [a for a in found if a.tensor in self.tensors]

    # -- blocks -------------------------------------------------------------------------------------------------------
    def block(self, body: tuple[Stmt, ...], loop: bool = False, leaving: bool = False) -> tuple[Item, list[tuple[Edge, int]]]:
        """The block as one item without a statement, and the edges its loop has to open and close."""
        items = [self.item(s, leaving) for s in _flat(body)]
        edges = Dependences(self.program, self.ctx, items, loop, leaving).find() if self.ctx.on(AUTO_CV_SYNC) else []
        numbers, used = numbered(items, edges)
        kept: dict[str, list[Stmt]] = {'C': [], 'V': []}
        flagged = [(e, self.ident(e, n)) for e, n in zip(edges, numbers)]
        inside = [(e, n) for e, n in flagged if self.stages(items, e)]
        for e, n in inside:
            self.per_iteration(items, e, n)
        border = [(e, n) for e, n in flagged if (e, n) not in inside]
        for k, item in enumerate(items):
            for e, n in border:
                if e.target == k:
                    kept[OTHER[e.core]].append(self.wait(e, n))
            for c in 'CV':
                kept[c] += item.kept[c]
            for e, n in border:
                if e.source == k:
                    kept[e.core].append(self.set(e, n))
        for e, n in border:
            if e.target == len(items):
                kept[OTHER[e.core]].append(self.wait(e, n))
        whole = Item(None, kept, [a for i in items for a in i.accesses], set().union(*(i.settled for i in items)) if items else set(), used)
        for e in edges:
            whole.settled |= {a for i in items[:e.source + 1] for a in i.accesses if (a.core, a.pipe) == (e.core, e.pipe)}
        return whole, [(e, n) for e, n in flagged if e.carried]

    def item(self, s: Stmt, leaving: bool) -> Item:
        match s:
            case For() | While():
                return self.loop(s)
            case If():
                return self.branch(s, leaving)
        who = self.owners(s)
        return Item(s, {c: [s] if c in who else [] for c in 'CV'}, [a for c in who for a in self.accesses(s, c)])

    def loop(self, s: For | While) -> Item:
        out, open_edges = self.block(s.body, loop=True, leaving=_leaves(s.body))
        out.stmt = s
        out.kept = {c: [replace(s, body=b)] if (b := without_idle_lets(out.kept[c])) else [] for c in 'CV'}
        self.control(out, s)
        for e, n in open_edges:
            out.kept[e.core].insert(0, self.set(e, n))
            out.kept[OTHER[e.core]].append(self.wait(e, n))
        return out

    def branch(self, s: If, leaving: bool) -> Item:
        then, els = self.block(s.then, leaving=leaving)[0], self.block(s.els, leaving=leaving)[0]
        arms = {c: (without_idle_lets(then.kept[c]), without_idle_lets(els.kept[c])) for c in 'CV'}
        out = Item(s, {c: [replace(s, then=a, els=b)] if a or b else [] for c, (a, b) in arms.items()}, then.accesses + els.accesses,
                   then.settled | els.settled,
                   {k: max(then.flags.get(k, 0), els.flags.get(k, 0)) for k in then.flags | els.flags})
        crossing = any(isinstance(x, Instr) and x.origin == PASS for x in walk((*then.kept['C'], *els.kept['C'])))
        if crossing and self.program.launch.vid.name in E.free_vars(s.cond):
            raise UnsupportedError('the cores exchange data under a condition on the vector core number', where=s.span,
                                   why='a flag of the vector cores is complete when both have set it, and one of them does not come by',
                                   instead='the exchange outside the condition')
        self.control(out, s)
        return out

    def control(self, out: Item, s: Stmt) -> None:
        """Conditions and extents that read tensors, on the cores that evaluate them."""
        out.accesses[:0] = [a for c in 'CV' if out.kept[c] for a in self.accesses(s, c)]

    # -- flags --------------------------------------------------------------------------------------------------------
    def ident(self, e: Edge, n: int) -> int:
        ident = self.idents.setdefault((e.core, e.pipe, n), len(self.idents))
        if ident >= self.ctx.chip.cross_flags:
            raise UnsupportedError(f'more than {self.ctx.chip.cross_flags} cross-core flags', where=e.span,
                                   why='the cores of a block share one set of flags',
                                   instead='fewer exchanges between the cores in one nest of loops')
        return ident

    def set(self, e: Edge, ident: int) -> Instr:
        return Instr('set_cross_flag', (e.pipe, E.Const(ident)), {'mode': MODE_GROUP}, e.span, PASS)

    def wait(self, e: Edge, ident: int) -> Instr:
        return Instr('wait_cross_flag', (E.Const(ident), e.at), {}, e.span, PASS)

    def stages(self, items: list[Item], e: Edge) -> bool:
        """Both ends are stages of one pipelined loop, whose iterations can be handed over one by one."""
        if e.carried or e.target >= len(items):
            return False
        ends = [items[k].stmt for k in (e.source, e.target)]
        return all(isinstance(s, For) and s.annotations.get('stage_loop') and s.annotations.get('stage_depth', MANY + 1) <= MANY for s in ends)

    def per_iteration(self, items: list[Item], e: Edge, ident: int) -> None:
        for core, k, flag in ((e.core, e.source, self.set(e, ident)), (OTHER[e.core], e.target, self.wait(e, ident))):
            loop = items[k].kept[core][0]
            sets = flag.op == 'set_cross_flag'
            at = [n for n, s in enumerate(loop.body) if any(a.tensor in e.tensors for x in walk((s,)) for a in self.accesses(x, core))]
            placed: Stmt = flag
            if int(loop.annotations.get('tl_cross_interval', 1)) > 1:
                placed = If(interval(loop, sets), (flag,), (), flag.span)
            cut = at[-1] + 1 if sets else at[0]
            items[k].kept[core][0] = replace(loop, body=(*loop.body[:cut], placed, *loop.body[cut:]))


def _flat(body: tuple[Stmt, ...]) -> list[Stmt]:
    """Without hand-written scopes: the operands say which core it is."""
    return [x for s in body for x in (_flat(s.body) if isinstance(s, Scope) else (s,))]


def _leaves(body: tuple[Stmt, ...]) -> bool:
    """A loop_break in the block ends the loop around it."""
    for s in body:
        inside = s.then + s.els if isinstance(s, If) else s.body if isinstance(s, Scope) else ()
        if isinstance(s, Break) or _leaves(inside):
            return True
    return False


def split(program: Program, ctx: PassContext) -> tuple[tuple[Stmt, ...], tuple[Stmt, ...]]:
    """What the cube core executes and what the vector cores execute."""
    whole = Splitter(program, ctx).block(program.body)[0]
    return without_idle_lets(whole.kept['C']), without_idle_lets(whole.kept['V'])
