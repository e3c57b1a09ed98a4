"""May two accesses touch a common byte: in one iteration of the loops around both, or so many iterations of one loop apart?"""

from __future__ import annotations

from ..ir import expr as E
from ..ir.analysis import Range, bounds, terms
from ..ir.nodes import For, Let, Program, walk
from .sound_access import Access

FAR = 1 << 40  # stands for "no bound known"
LONGEST = 3  # iteration distances told apart; larger ones count as the next


class Lets:
    """Resolves lets that read no memory; the others stay names, one value per execution."""

    def __init__(self, program: Program):
        self.names: dict[str, E.Expr] = {}
        for s in walk(program.body):
            if isinstance(s, Let) and not E.loads(s.value):
                self.names[s.var.name] = E.substitute(s.value, self.names)

    def __call__(self, e: E.Expr) -> E.Expr:
        return E.substitute(e, self.names) if self.names else e


def ranges(program: Program, inline: Lets) -> dict[str, Range]:
    """Smallest and largest value of every scalar name that has one."""
    launch = program.launch
    env: dict[str, Range] = {launch.vid.name: (0, launch.vectors - 1)}
    blocks = bounds(launch.blocks, {})
    env[launch.cid.name] = (0, blocks[1] - 1 if blocks else FAR)
    for b in program.tensors:
        for d in b.shape:
            env |= {n: (1, FAR) for n in E.free_vars(d) if n not in env}
    for s in walk(program.body):
        if isinstance(s, For):
            lo, hi = bounds(inline(s.start), env), bounds(inline(s.extent), env)
            if lo is not None:
                env[s.var.name] = (lo[0], max(lo[0], lo[1] + hi[1] - 1) if hi else FAR)
    return env


def conflicting(a: Access, b: Access) -> bool:
    """Same memory, one of them a write, not both accumulations."""
    return a.memory == b.memory and not (a.mode == b.mode and a.mode in 'ra')


class Overlap:
    """`renamed` are the names that have other values for the second access; `step` is the loop variable and its distance range."""

    def __init__(self, env: dict[str, Range]):
        self.env = env

    def same(self, a: Access, b: Access) -> bool:
        """Within one iteration; names bound inside either statement are distinct already."""
        return self.touch(a, b, self.env)

    def apart(self, a: Access, b: Access, loop: For | None, inner: frozenset[str]) -> int | None:
        """Smallest number of iterations by which `b` can come later and still touch what `a` touched, or None."""
        trips = None if loop is None else bounds(loop.extent, self.env)
        last = trips[1] - 1 if trips else FAR
        for distance in range(1, LONGEST + 2):
            if distance > last:
                return None
            far = (distance, distance) if distance <= LONGEST else (distance, last)
            env = dict(self.env)
            names: dict[str, E.Expr] = {n: E.Var(f"{n}'") for n in inner}
            env |= {f"{n}'": env[n] for n in inner if n in env}
            if loop is not None:
                env["'"] = far
                later = E.Const(distance) if far[0] == far[1] else E.Var("'")
                names[loop.var.name] = E.add(loop.var, later)
            moved = b._replace(start=E.substitute(b.start, names), rect=tuple((E.substitute(s, names), E.substitute(e, names)) for s, e in b.rect))
            if self.touch(a, moved, env):
                return distance
        return None

    def touch(self, a: Access, b: Access, env: dict[str, Range]) -> bool:
        if a.memory.startswith('GM:'):
            if len(a.rect) != len(b.rect):
                return True
            for (s1, e1), (s2, e2) in zip(a.rect, b.rect):
                x, y = bounds(e1, env), bounds(e2, env)
                if x and y and disjoint(s1, x[1], s2, y[1], env):
                    return False
            return True
        return a.size is None or b.size is None or not disjoint(a.start, a.size, b.start, b.size, env)


def disjoint(s1: E.Expr, n1: int, s2: E.Expr, n2: int, env: dict[str, Range]) -> bool:
    """[s1, s1 + n1) and [s2, s2 + n2) share nothing, whatever the values of their names."""
    total = 0
    rest: dict[str, tuple[int, E.Expr]] = {}
    for sign, e in ((1, s2), (-1, s1)):
        # A load may give another value each time.
        if E.loads(e):
            return False
        for factor, term in terms(e):
            if isinstance(term, E.Const) and term.value == 1:
                total += sign * factor
            else:
                key = E.text(term)
                rest[key] = (rest.get(key, (0, term))[0] + sign * factor, term)
    left = [(f, t) for f, t in rest.values() if f]
    gap = _ring(left)
    if gap is not None and total == 0 and gap >= max(n1, n2):
        return True
    lo = hi = total
    for factor, term in left:
        r = bounds(term, env)
        if r is None:
            return False
        ends = sorted((factor * r[0], factor * r[1]))
        lo, hi = lo + ends[0], hi + ends[1]
    return lo >= n1 or hi <= -n2


def _ring(left: list[tuple[int, E.Expr]]) -> int | None:
    """Slots of a ring: for f*(x % S) - f*(y % S) with x - y constant and no multiple of S, at least f."""
    if len(left) != 2 or left[0][0] != -left[1][0]:
        return None
    (f, x), (_, y) = left
    if not (isinstance(x, E.Bin) and isinstance(y, E.Bin) and x.op == y.op == '%' and x.b == y.b):
        return None
    slots = E.int_value(x.b)
    difference: dict[str, int] = {}
    constant = 0
    for sign, e in ((1, x.a), (-1, y.a)):
        for factor, term in terms(e):
            if isinstance(term, E.Const):
                constant += sign * factor
            else:
                difference[E.text(term)] = difference.get(E.text(term), 0) + sign * factor
    if not slots or any(difference.values()):
        return None
    return abs(f) if constant % slots else None
