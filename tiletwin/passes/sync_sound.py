"""Synchronisation as correctness needs it: every dependence between two accesses of a core, and nothing that follows from the rest.

Blocks are analysed one by one, from the inside out. A loop or branch is one item of its block: what happens inside is
ordered inside, what crosses its border is ordered at the border. A dependence becomes a flag set behind the producing item and
waited for in front of the consuming one, both in the same block, so they balance on every path. One carried by a loop is set once
before the loop and waited for once behind it. Blocks a `loop_break` can leave use pairs set and waited for in one place.
"""

from __future__ import annotations

from ..ir.nodes import CUBE_SPACES, Break, For, If, Instr, Let, Program, Region, Scope, Stmt, Store, While, walk
from ..ir.ops import OPS, PIPES
from .context import PassContext
from .hoist_loads import hoist_loads
from .sound_access import NONE, Access, Reader, Step
from .sound_overlap import Lets, Overlap, conflicting, ranges
from .sound_state import P, Item, Need, Path, S, State
from .sync_place import Carried, Forward, Marks, Placer


class Block:
    """One block of one core: finds the needs of every item, first within an iteration, then across iterations."""

    def __init__(self, owner: 'Analysis', items: list[Item], loop: For | While | None, inner: frozenset[str]):
        self.owner, self.items, self.loop, self.inner = owner, items, loop, inner
        self.near = any(i.exits for i in items)  # sets and waits in one place
        self.needs: list[list[Need]] = [[] for _ in items]
        self.snapshots: list[list[list[int]]] = []
        self.deeps: list[list[frozenset[Need]]] = []

    def run(self) -> None:
        state = State()
        n = len(self.items)
        for j in range(n):
            state = self.settle(j, state, 0)
        self.end = state
        if self.loop is None:
            return
        state.pending.clear()
        self.snapshots_before, self.snapshots, self.deeps = self.snapshots, [], []
        for j in range(n):
            state = self.settle(j, state, 1)

    # -- one item -----------------------------------------------------------------------------------------------------------
    def settle(self, j: int, state: State, iteration: int) -> State:
        """Adds what the item still needs, drops what the rest implies, and returns the state behind it."""
        needs = self.needs[j]
        while missing := self.missing(j, state, iteration, needs):
            best: dict[tuple[int, int, bool], Need] = {}
            for need in missing:
                key = (need.src, need.dst, need.distance > 0)
                have = best.get(key)
                if have is None or (need.distance, -need.item) < (have.distance, -have.item):
                    best[key] = need
            needs += best.values()
        for need in sorted(needs):
            rest = [x for x in needs if x is not need]
            if (need.distance > 0) == (iteration > 0) and not self.missing(j, state, iteration, rest):
                needs[:] = rest
        return self.leave(j, self.enter(j, state, iteration, needs), iteration)

    def enter(self, j: int, state: State, iteration: int, needs: list[Need]) -> State:
        """The state after the waits and barriers in front of an item."""
        state = state.copy()
        for need in needs:
            p, q = need.src, need.dst
            if p == q:
                state.know[p][p] = state.count[p]
            elif self.near:
                state.learn(q, state.finished(p), state.deep[p])
            elif not need.distance:
                state.learn(q, self.snapshots[need.item][p], self.deeps[need.item][p])
            elif iteration and need.distance == 1:
                state.learn(q, self.snapshots_before[need.item][p])
            elif iteration:
                state.learn(q, state.know[q], frozenset([need]))
        return state

    def leave(self, j: int, state: State, iteration: int) -> State:
        item, index = self.items[j], j + iteration * len(self.items)
        before = [list(row) for row in state.know]
        for step in item.steps:
            if step.kind == 'op':
                state.did(P[step.pipe], index)
            else:
                state.step(step)
        if item.compound:
            # Who knew all of a pipe's work before, and is told of all of it inside, knows all of it still; whether it ran or not.
            told = [(p, q) for p in item.pipes for q in range(len(PIPES)) if state.know[q][p] >= state.count[p] and item.tells(p, q)]
            for p in item.pipes:
                state.did(p, index)
            for p, q in told:
                state.know[q][p] = index
        for p, q in item.drains:
            # Set inside the loop: it carries what the pipe knew when the loop began, and all of its own work in it.
            state.learn(q, [*before[p][:p], index, *before[p][p + 1:]])
        self.snapshots.append([state.finished(p) for p in range(len(PIPES))])
        self.deeps.append(list(state.deep))
        return state

    def missing(self, j: int, state: State, iteration: int, needs: list[Need]) -> list[Need]:
        state = self.enter(j, state, iteration, needs)
        item = self.items[j]
        if item.compound:
            return [x for a in item.accesses for x in self.unmet(j, a, state, iteration)]
        out: list[Need] = []
        index = j + iteration * len(self.items)
        for step in item.steps:
            if step.kind == 'op':
                for a in step.accesses:
                    out += self.unmet(j, a, state, iteration)
                state.did(P[step.pipe], index)
            else:
                state.step(step)
        return out

    def unmet(self, j: int, now: Access, state: State, iteration: int) -> list[Need]:
        """Earlier accesses nothing orders before this one."""
        out = []
        q = P[now.pipe]
        n = len(self.items)
        for i in range(n if iteration else j):
            for was in self.items[i].accesses:
                p = P[was.pipe]
                if p == S or was.pipe in now.covers or now.pipe in was.released or not conflicting(was, now) or p == q and self.in_order(was, now):
                    continue
                # What a pipe heard inside the statement includes what the sender knew before it.
                if any(state.know[P[r]][p] >= i for r in now.covers):
                    continue
                if not iteration:
                    # A loop without a counter has no slots to tell iterations apart.
                    if state.know[q][p] < i and (self.same(was, now) or not isinstance(self.loop, For) and self.apart(was, now)):
                        out.append(Need(p, q, i))
                elif state.know[q][p] < i:
                    distance = self.apart(was, now)
                    if distance is None or distance > 1 and self.known(state, q, p, i, distance):
                        continue
                    out.append(Need(p, q, i, distance))
        return out

    def known(self, state: State, q: int, p: int, i: int, distance: int) -> bool:
        """Has q heard that p was done with item i that many iterations ago?"""
        if state.know[q][p] >= 0:
            return True
        told = ((x.distance, self.snapshots_before[x.item][x.src][p]) for x in state.deep[q])
        return any(d < distance and upto >= 0 or d == distance and upto >= i for d, upto in told)

    def in_order(self, was: Access, now: Access) -> bool:
        """Does the hardware order these two accesses of one pipe?"""
        return now.pipe == 'V' and not self.owner.ctx.chip.needs_v_barrier or was.ordered and now.ordered

    # -- seen from outside ----------------------------------------------------------------------------------------------------
    def lifted(self) -> list[Access]:
        """The accesses of the block, with what their pipes hear inside the block before them, and who hears of them after them."""
        heard: list[frozenset[str]] = [frozenset() for _ in PIPES]
        behind: list[list[frozenset[str]]] = []
        out: list[Access] = []
        for i, (item, needs) in enumerate(zip(self.items, self.needs)):
            for need in needs:
                p, q = need.src, need.dst
                # A carried flag was set before the loop, where its pipe had heard nothing inside yet.
                before = frozenset() if p == q or need.distance and not self.near else heard[p] if self.near else behind[need.item][p]
                heard[q] |= before | {PIPES[p]}
            for step in item.steps:
                if step.kind == 'pair':
                    heard[P[step.other]] |= heard[P[step.pipe]] | {step.pipe}
                elif step.kind == 'barrier':
                    heard[P[step.pipe]] |= {step.pipe}
                elif step.kind == 'all':
                    heard = [frozenset(PIPES)] * len(PIPES)
                elif step.kind == 'op':
                    out += [self.seen(i, a, heard) for a in step.accesses]
            if item.compound:
                out += [self.seen(i, a, heard) for a in item.accesses]
            behind.append(list(heard))
        return out

    def seen(self, i: int, a: Access, heard: list[frozenset[str]]) -> Access:
        p = P[a.pipe]
        covers = a.covers | heard[p]
        for r in a.covers:
            covers |= heard[P[r]]
        if self.near:  # a break may skip whatever comes later
            return a._replace(covers=covers)
        after = {PIPES[q] for q in range(len(PIPES)) if self.end.know[q][p] >= i}
        after |= {PIPES[n.dst] for needs in self.needs for n in needs if n.distance and n.src == p and n.dst != p and n.item >= i}
        return a._replace(covers=covers, released=a.released | after)

    def same(self, was: Access, now: Access) -> bool:
        was, now = was._replace(covers=NONE, released=NONE), now._replace(covers=NONE, released=NONE)
        return self.owner.cached((was, now), lambda: self.owner.overlap.same(was, now))

    def apart(self, was: Access, now: Access) -> int | None:
        if self.loop is None:
            return None
        loop = self.loop if isinstance(self.loop, For) else None
        was, now = was._replace(covers=NONE, released=NONE), now._replace(covers=NONE, released=NONE)
        return self.owner.cached((was, now, id(self.loop)), lambda: self.owner.overlap.apart(was, now, loop, self.inner))


class Analysis:
    """One core: walks the blocks and leaves marks for the placer."""

    def __init__(self, program: Program, ctx: PassContext, role: str, marks: dict[Path, Marks]):
        self.program, self.ctx, self.role, self.marks = program, ctx, role, marks
        inline = Lets(program)
        self.overlap = Overlap(ranges(program, inline))
        self.reader = Reader(program, inline, ctx.target)
        self.memories = (*CUBE_SPACES,) if role == 'C' else ('UB',)
        self.cache: dict = {}

    def cached(self, key: tuple, compute):
        found = self.cache.get(key, self)
        if found is self:
            found = self.cache[key] = compute()
        return found

    def mine(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        keep = lambda a: a.memory.startswith('GM:') or a.memory in self.memories  # noqa: E731
        return tuple(s._replace(accesses=tuple(filter(keep, s.accesses))) if s.kind == 'op' else s for s in steps)

    def elsewhere(self, s: Stmt) -> bool:
        """A tile instruction of the other core."""
        if isinstance(s, Store):
            return self.program.buffers[s.buffer].space not in ('GM', 'VAR', *self.memories)
        if not isinstance(s, Instr) or OPS[s.op].pipe in ('sync', 'S'):
            return False
        spaces = [self.program.buffers[a.buffer].space for a in s.args if isinstance(a, Region)]
        first = next((x for x in spaces if x not in ('GM', 'VAR')), None)
        return first is not None and first not in self.memories

    def items(self, body: tuple[Stmt, ...], path: Path) -> list[Item]:
        out: list[Item] = []
        for k, s in enumerate(body):
            at = (*path, k)
            if isinstance(s, Scope):
                if s.core == self.role:
                    out += self.items(s.body, at)
            elif isinstance(s, (For, While, If)):
                out.append(self.compound(s, at))
            elif not self.elsewhere(s):
                steps = self.mine(self.reader.steps(s))
                out.append(Item(at, s, steps, [a for x in steps for a in x.accesses], False, isinstance(s, Break)))
        return out

    def compound(self, s: For | While | If, at: Path) -> Item:
        steps = self.mine(self.reader.head(s))
        accesses = [a for x in steps for a in x.accesses]
        drains: list[tuple[int, int]] = []
        exits = False
        if isinstance(s, If):
            for k, body in enumerate((s.then, s.els)):
                block, _ = self.block(body, (*at, k), None)
                accesses += block.lifted()
                exits |= block.near
        elif isinstance(s, For) and s.kind == 'parallel':
            accesses += [a for i in self.items(s.body, (*at, 0)) for a in i.accesses]
        else:
            block, drains = self.block(s.body, (*at, 0), s)
            accesses += block.lifted()
        return Item(at, s, (), list(dict.fromkeys(accesses)), True, exits, drains)

    def block(self, body: tuple[Stmt, ...], path: Path, loop: For | While | None) -> tuple[Block, list[tuple[int, int]]]:
        items = self.items(body, path)
        inner = frozenset(s.var.name for s in walk(body) if isinstance(s, (For, Let)))
        block = Block(self, items, loop, inner)
        block.run()
        return block, self.place(block, path, loop)

    def place(self, block: Block, path: Path, loop: For | While | None) -> list[tuple[int, int]]:
        """Marks for the needs of a block; returns the pipe pairs whose last flag covers the whole loop."""
        drains = []
        for item, needs in zip(block.items, block.needs):
            here = self.mark(item.path)
            here.barriers |= {PIPES[n.src] for n in needs if n.src == n.dst}
            for n in (n for n in needs if n.src != n.dst):
                p, q = PIPES[n.src], PIPES[n.dst]
                if block.near:
                    here.pairs.add((p, q))
                    continue
                if n.distance:
                    flag = Carried(p, q, n.distance, loop, block.items[n.item].path < item.path)
                    self.mark(path[:-1]).carried.append(flag)
                    if not any(n.src in x.pipes for x in block.items[n.item + 1:]):
                        drains.append((n.src, n.dst))
                else:
                    flag = Forward(p, q)
                self.mark(block.items[n.item].path).sets.append(flag)
                here.waits.append(flag)
        return drains

    def mark(self, path: Path) -> Marks:
        return self.marks.setdefault(path, Marks())


def run(program: Program, ctx: PassContext) -> Program:
    program = hoist_loads(program)
    marks: dict[Path, Marks] = {}
    for role in ('C', 'V'):
        Analysis(program, ctx, role, marks).block(program.body, (), None)
    return Placer(program, ctx, marks).run()
