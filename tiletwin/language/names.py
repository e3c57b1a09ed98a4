"""Which binding of a Python name a kernel line sees.

The kernel language is block-structured: a name bound inside a loop, an `if` or a `with` ends with that block, and an assignment
never changes a value across iterations. Python itself would let the last traced assignment win, which silently compiles a
different program; every read that the two readings disagree on is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import DialectError, Span
from .leniency import doubt

LOOPS = ('for', 'while')


@dataclass(slots=True, eq=False)
class Block:
    kind: str  # 'function', 'for', 'while', 'if', 'then', 'else', 'with'
    span: Span
    parent: 'Block | None'
    opened: int
    alive: bool = True

    def describe(self) -> str:
        words = {'then': 'the if', 'else': 'the else', 'for': 'the loop', 'while': 'the while loop', 'with': 'the with block'}
        return f'{words.get(self.kind, "the block")} at line {self.span.line}'


@dataclass(slots=True, eq=False)
class Binding:
    value: Any
    block: Block
    span: Span
    loop_target: bool = False
    read: int = -1


@dataclass(slots=True)
class Names:
    """Bindings of one function or macro body, innermost last per name."""

    clock: int = 0
    table: dict[str, list[Binding]] = field(default_factory=dict)

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def visible(self, name: str) -> Binding | None:
        """The binding the next assignment would see, without judging it."""
        for binding in reversed(self.table.get(name, ())):
            if binding.block.alive:
                return binding
        return None

    def latest_alive(self, name: str) -> Binding | None:
        stack = self.table.get(name)
        return stack[-1] if stack and stack[-1].block.alive else None

    def read(self, name: str, where: Span) -> Binding | None:
        stack = self.table.get(name)
        if not stack:
            return None
        while len(stack) > 1 and stack[-1].loop_target and not stack[-1].block.alive and self.visible(name):
            stack.pop()
        top = stack[-1]
        if top.block.alive:
            top.read = self.tick()
            return top
        if self.visible(name) is None:
            raise DialectError(f'`{name}` is used outside its defining region: it was bound in {top.block.describe()}, which has ended', where=where,
                               why='a name ends with the loop, if or with block that binds it',
                               instead=f'bind `{name}` before the block; for a scalar that changes: {name} = T.alloc_var("int32", init=...)')
        doubt(False, DialectError, f'`{name}` was rebound in {top.block.describe()} (line {top.span.line}) and is read after that block', where=where,
              why='an assignment inside a block is a new name for that block: the value outside does not change, whatever Python shows',
              instead=f'{name} = T.alloc_var(dtype, init=...) before the block, or another name inside it')
        while not stack[-1].block.alive:
            stack.pop()
        stack[-1].read = self.tick()
        return stack[-1]

    def bind(self, name: str, value: Any, block: Block, span: Span, loop_target: bool = False) -> None:
        stack = self.table.setdefault(name, [])
        outer = self.visible(name)
        if outer is not None and outer.block is not block and not loop_target:
            self._refuse_carried(name, outer, block, span)
        if outer is not None and outer.block is block:
            del stack[stack.index(outer):]
        elif outer is None:
            stack.clear()
        stack.append(Binding(value, block, span, loop_target))

    def _refuse_carried(self, name: str, outer: Binding, block: Block, span: Span) -> None:
        inner: Block | None = block
        while inner is not None and inner is not outer.block:
            if inner.kind in LOOPS and outer.read > inner.opened:
                doubt(False, DialectError, f'`{name}` is read and then rebound inside {inner.describe()}', where=span,
                      why='an assignment does not reach the next iteration: every iteration would read the value from before the loop',
                      instead=f'{name} = T.alloc_var(dtype, init=...) before the loop: then assignments store')
                return
            inner = inner.parent
