"""Serial loops whose iterations each work on their own row become one two-dimensional operation per instruction.

`for r: sub(x[r, :], x[r, :], m[r])` is `x - m[:, None]`: every iteration touches only its own rows of whatever the loop
writes, so the order of iterations and of the instructions of different iterations cannot be seen.
"""

from __future__ import annotations

from ...ir import expr as E
from ...ir.analysis import terms
from ...ir.nodes import For, Instr, Region, Stmt
from ...ir.ops import OPS
from ..memory import NARROW
from .vector import Vector

_RUNS = {'add', 'sub', 'mul', 'div', 'max', 'min', 'exp', 'ln', 'abs', 'reciprocal', 'sqrt', 'rsqrt', 'relu', 'axpy', 'mul_add_dst', 'fill',
         'adds', 'subs', 'muls', 'divs', 'maxs', 'mins'}
_SILENT = ('pipe_barrier', 'set_flag', 'wait_flag')


class RowFold(Vector):
    def fold_rows(self, s: For) -> bool:
        count, start = E.int_value(s.extent), E.int_value(s.start)
        work = [x for x in s.body if not _silent(x)]
        if count is None or count < 2 or start != 0 or not work or self.role == 'C':
            return False
        if not all(isinstance(x, Instr) and x.op in _RUNS and self.foldable(x, s.var.name) for x in work) or not self.independent(work, s.var.name):
            return False
        self.rows = (s.var.name, count)
        for x in work:
            self.instr, self.span = x, x.span or self.span
            self.vector_op(x)
            self.finish()
        self.rows = None
        return True

    def foldable(self, s: Instr, var: str) -> bool:
        if 'count' in s.attrs or 'beyond' in s.attrs:
            return False
        self.instr = s
        for i, a in enumerate(s.args):
            if isinstance(a, Region):
                b = self.buffer(a.buffer)
                if b.space != 'UB' or self.place(a.buffer).exact or 'float' not in b.dtype or self.split_row(a, var) is None:
                    return False
                scalar = a.form == 'element' and 'element' not in s.attrs and OPS[s.op].signature[i] == 'e'
                if scalar and E.free_vars(E.Load(a.buffer, a.starts[1:], 'float32')) & {var}:
                    return False
            elif isinstance(a, E.EXPR_TYPES) and (var in E.free_vars(a) or E.loads(a)):
                return False
        return True

    def split_row(self, r: Region, var: str) -> tuple[E.Expr, int, int] | None:
        """Base, elements between rows and elements per row of an operand."""
        n = E.int_value(E.product(r.extents))
        if n is None or any(E.loads(e) for e in r.starts):
            return None
        at = self.instr.attrs.get('element', r.starts[0]) if r.form == 'element' else self.offset(r)
        base: E.Expr = E.Const(0)
        step = 0
        for factor, term in terms(at):
            if isinstance(term, E.Var) and term.name == var:
                step += factor
            elif var in E.free_vars(term):
                return None
            else:
                base = E.add(base, E.mul(term, factor))
        return (base, step, n) if step >= 0 else None

    def independent(self, work: list[Instr], var: str) -> bool:
        """Whatever is written is touched by one iteration only, always at the same place."""
        written = {self.place(x.args[0].buffer).arena for x in work}
        seen: dict[str, tuple] = {}
        for x in work:
            self.instr = x
            for a in x.args:
                if isinstance(a, Region) and self.place(a.buffer).arena in written:
                    base, step, n = self.split_row(a, var)
                    if n > step or seen.setdefault(self.place(a.buffer).arena, (a.buffer, base, step)) != (a.buffer, base, step):
                        return False
        return True

    # -- operands of a folded loop ------------------------------------------------------------------------------------
    def source(self, r: Region, shape: tuple, offset: E.Expr | None = None) -> str:
        if self.rows is None:
            return super().source(r, shape, offset)
        base, step, _ = self.split_row(r, self.rows[0])
        return self.view(r.buffer, base, (self.rows[1], shape[0]), (step, 1))

    def target_of(self, r: Region, shape: tuple, round_: bool = True, keep: bool = False, offset: E.Expr | None = None) -> str:
        if self.rows is None:
            return super().target_of(r, shape, round_, keep, offset)
        base, step, _ = self.split_row(r, self.rows[0])
        out = self.view(r.buffer, base, (self.rows[1], shape[0]), (step, 1))
        d = self.place(r.buffer).dtype
        if round_ and d in NARROW:
            n = self.rows[1] * shape[0]
            if step == shape[0]:
                low, high = self.scratch(d, (n,), numpy=False), self.view(r.buffer, base, (n,), torch=True)
                self.after.append(f'{low}.copy_({high}); {high}.copy_({low})')
            else:
                self.after.append(f'settle({out}, {d!r})')
        return out

    def scalar_operand(self, a, dtype: str) -> str:
        if self.rows is None or not isinstance(a, Region):
            return super().scalar_operand(a, dtype)
        base, step, _ = self.split_row(a, self.rows[0])
        return self.view(a.buffer, base, (self.rows[1], 1), (step, 1))


def _silent(s: Stmt) -> bool:
    """Moves no data and reads none."""
    return isinstance(s, Instr) and s.op in _SILENT and not any(isinstance(a, E.EXPR_TYPES) and E.loads(a) for a in s.args)
