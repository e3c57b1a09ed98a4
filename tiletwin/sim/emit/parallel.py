"""T.Parallel in its scalar meaning (dialect 5.6.4): one array operation per store where that cannot be told apart from
the scalar loops, the loops themselves where it could."""

from __future__ import annotations

import numpy as np

from ...ir import expr as E
from ...ir.analysis import bounds, terms
from ...ir.nodes import For, Store
from ..codegen import py_name
from .values import Values

_TOO_MANY = 1 << 22


class Parallel(Values):
    nest: list[tuple[str, int]] = []  # (variable, extent) of the nest being vectorised

    def on_parallel(self, s: For) -> None:
        nest, body = _nest(s)
        if nest is not None and self.vectorisable(nest, body):
            self.nest, self.vector = nest, True
            for store in body:
                self.span = store.span or self.span
                self.store_all(store)
            self.nest, self.vector = [], False
        else:
            self.serial_for(s)

    # -- is the order of iterations visible? --------------------------------------------------------------------------
    def vectorisable(self, nest: list[tuple[str, int]], body: tuple) -> bool:
        size = 1
        for _, n in nest:
            size *= n
        if not body or not all(isinstance(x, Store) for x in body) or not 0 < size <= _TOO_MANY:
            return False
        names = {v for v, _ in nest}
        outer = {v: self.ranges.get(v) for v in names}
        self.ranges.update({v: (0, n - 1) for v, n in nest})
        written: dict[str, E.Expr] = {}
        try:
            for x in body:
                b = self.buffer(x.buffer)
                if b.space == 'VAR' or self.absent(x.buffer) or any(E.loads(i) for i in x.indices) or not self.inside(x.buffer, x.indices):
                    return False
                if any(E.loads(i) for r in E.loads(x.value) for i in r.indices):
                    return False
                at = E.flat_offset(b.shape, x.indices)
                if self.split(at, names) is None or not self.distinct(at, nest):
                    return False
                arena = self.place(x.buffer).arena
                if written.setdefault(arena, at) != at or any(self.place(y.buffer).arena == arena and y.buffer != x.buffer for y in body):
                    return False
            for x in body:
                for r in E.loads(x.value):
                    b = self.buffer(r.buffer)
                    if b.space == 'VAR':
                        continue
                    at = E.flat_offset(b.shape, r.indices)
                    arena = self.place(r.buffer).arena
                    if self.absent(r.buffer) or arena in written and (written[arena] != at or all(r.buffer != y.buffer for y in body)):
                        return False
                    if not self.inside(r.buffer, r.indices):
                        return False
        finally:
            for v, old in outer.items():
                self.ranges.pop(v)
                if old is not None:
                    self.ranges[v] = old
        return True

    def inside(self, name: str, indices: tuple[E.Expr, ...]) -> bool:
        """Scalar accesses to GM are guarded one by one; only provably unguarded ones are merged."""
        b = self.buffer(name)
        if b.space != 'GM':
            return True
        for i, d in zip(indices, b.dims):
            found = bounds(i, self.ranges)
            if found is None or found[0] < 0 or found[1] >= d:
                return False
        return True

    def split(self, at: E.Expr, names: set[str]) -> tuple[E.Expr, dict[str, int]] | None:
        """An address as base + sum of factor * variable; None when it is not of that form."""
        base: E.Expr = E.Const(0)
        factors: dict[str, int] = {}
        for factor, term in terms(at):
            if isinstance(term, E.Var) and term.name in names:
                factors[term.name] = factors.get(term.name, 0) + factor
            elif E.free_vars(term) & names:
                return None
            else:
                base = E.add(base, E.mul(term, factor))
        return base, factors

    def distinct(self, at: E.Expr, nest: list[tuple[str, int]]) -> bool:
        """Every iteration stores to its own element."""
        _, factors = self.split(at, {v for v, _ in nest})
        index = np.zeros(1, np.int64)
        for v, n in nest:
            index = (index[:, None] + np.arange(n)[None, :] * factors.get(v, 0)).reshape(-1)
        return np.unique(index).size == index.size

    # -- text ---------------------------------------------------------------------------------------------------------
    def store_all(self, s: Store) -> None:
        value = self.value(s.value)
        self.emit(f'put({self.lattice(s.buffer, s.indices)}, {value}, {self.buffer(s.buffer).dtype!r})')

    def lattice(self, name: str, indices: tuple[E.Expr, ...]) -> str | None:
        """A strided view with one axis per variable of the nest."""
        found = self.split(E.flat_offset(self.buffer(name).shape, indices), {v for v, _ in self.nest})
        if found is None:
            return None
        base, factors = found
        return self.view(name, base, tuple(n for _, n in self.nest), tuple(factors.get(v, 0) for v, _ in self.nest))

    def element(self, name: str, idx: tuple[E.Expr, ...]) -> str:
        if not self.vector:
            return super().element(name, idx)
        text = self.lattice(name, idx)
        if text is None:
            return f'elements({self.flat(name)}, {self.flat_index(name, [self.value(i) for i in idx])})'
        return f'raised({text})' if self.place(name).exact else text

    def value(self, e: E.Expr) -> str:
        if self.vector and isinstance(e, E.Var):
            for axis, (v, n) in enumerate(self.nest):
                if v == e.name:
                    shape = tuple(n if k == axis else 1 for k in range(len(self.nest)))
                    return self.hoist(f'arange({n}).reshape({shape})', 'i')
            return f'float32({py_name(e.name)})' if 'float' in e.dtype else py_name(e.name)
        return super().value(e)


def _nest(s: For) -> tuple[list[tuple[str, int]] | None, tuple]:
    """Perfectly nested parallel loops with constant bounds, and their body."""
    nest: list[tuple[str, int]] = []
    while True:
        n = E.int_value(s.extent)
        if n is None or E.int_value(s.start) != 0:
            return None, ()
        nest.append((s.var.name, n))
        if len(s.body) == 1 and isinstance(s.body[0], For) and s.body[0].kind == 'parallel':
            s = s.body[0]
            continue
        return nest, s.body
