"""`T.Parallel` nests whose vector form does not compute what the nest says (dialect 5.6, the quirks).

The compiler looks at which variables an index contains, not at how it grows with them: every operand is taken for
consecutive elements, every copy for one of whole buffers.
"""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import For, Instr, Region, Store
from .parallel_value import Operand, Shape, Values, factor


class Nest:
    """One store of a vectorised nest and the instructions it became."""

    def __init__(self, values: Values, outer: For | None, inner: For, st: Store, shape: Shape, made: list[Instr]):
        self.values, self.inner, self.st, self.shape, self.made = values, inner, st, shape, made
        self.serial = outer is not None and outer.kind != 'parallel'
        self.outer = outer
        self.trips = 1 if outer is None else E.int_value(outer.extent)
        # A parallel outer loop whose rows one instruction takes in a go.
        self.rows = outer.var.name if outer is not None and not self.serial and shape.at_once and self.trips > 1 else None

    def changed(self) -> str | None:
        """What the instructions do that the store does not say; None when they agree."""
        st = self.st
        if self.serial and len(st.indices) == 1 and self.trips != 1:
            return f'each trip of {self.outer.var.name} works on {self.shape.count} elements of {st.buffer} in place of {E.text(self.inner.extent)}'
        scattered = self.scattered(st.buffer, st.indices, True) or next(
            (found for x in E.loads(st.value) if (found := self.scattered(x.buffer, x.indices, False))), None)
        if scattered:
            return scattered
        if len(self.made) == 1 and self.made[0].op == 'copy' and isinstance(st.value, (E.Load, E.Cast)):
            return self.copied(self.made[0])
        spread = [r.buffer for r in self.elements() if r.buffer in self.values.made]
        return f'both operands are vectors repeated over the tile, and the second is taken for the scalar {spread[0]}[0]' if spread else None

    def elements(self) -> list[Region]:
        return [a for i in self.made for a in i.args if isinstance(a, Region) and a.form == 'element']

    def scattered(self, name: str, indices: tuple[E.Expr, ...], target: bool) -> str | None:
        """Elements that do not lie where the instruction takes them from."""
        b = self.values.buffer(name)
        if b.space == 'VAR':
            return None
        flat = E.flat_offset(b.shape, indices)
        step, row = factor(flat, self.inner.var.name), 0 if self.rows is None else factor(flat, self.rows)
        if self.shape.outer is not None and self.rows is not None and not target and len(indices) == 1 and {step, row} == {0, 1}:
            return None  # repeated over the tile by a broadcast
        if step == 0 and not target and any(r.buffer == name for r in self.elements()):
            return None if row == 0 else f'one element of {name} is taken for all rows'
        if step != 1:
            return f'{name} is taken for consecutive elements, and the index goes in steps of {"varying size" if step is None else step}'
        n = E.int_value(self.inner.extent)
        if self.rows is not None and row != n:
            return f'rows of {n} elements of {name} are taken one behind the other, and the index goes in steps of {"varying size" if row is None else row} from row to row'
        return None

    def copied(self, copy: Instr) -> str | None:
        """A copy of other elements than those the store names."""
        load = self.st.value.a if isinstance(self.st.value, E.Cast) else self.st.value
        for name, indices, region in ((self.st.buffer, self.st.indices, copy.args[1]), (load.buffer, load.indices, copy.args[0])):
            wanted = self.values.run(Operand(name, self.values.offsets(indices, self.shape), True), self.shape)
            if _box(wanted) != _box(region):
                return f'the copy goes over {_text(region)} in place of {_text(wanted)}'
        return None


def _box(r: Region) -> tuple[str, ...]:
    pairs = list(zip(r.starts, r.extents))
    while len(pairs) > 1 and E.int_value(pairs[0][0]) == 0 and E.int_value(pairs[0][1]) == 1:
        pairs.pop(0)
    return tuple(f'{E.text(E.fold(s))}:+{E.text(E.fold(n))}' for s, n in pairs)


def _text(r: Region) -> str:
    return f'{r.buffer}[{", ".join(f"{E.text(s)}:+{E.text(n)}" for s, n in zip(r.starts, r.extents))}]'
