"""What a statement reads and writes, as the compiler records it in the access pointers of its operands."""

from __future__ import annotations

from ..ir import expr as E
from ..ir.nodes import CUBE_SPACES, Instr, Program, Region, Stmt, Store, walk
from ..ir.ops import OPS, letters
from .substitute import own_exprs

# axpy accumulates into its destination, but its access pointer says "written" only.
_WRITE_ONLY = {'axpy'}


def reads(s: Instr) -> list[Region]:
    return [a for a, c in zip(s.args, letters(OPS[s.op], len(s.args))) if isinstance(a,
            Region) and (c != 'w' and not (c == 'm' and s.op in _WRITE_ONLY))]


def writes(s: Instr) -> list[Region]:
    return [a for a, c in zip(s.args, letters(OPS[s.op], len(s.args))) if isinstance(a, Region) and c in 'wm']


def written(body: tuple[Stmt, ...]) -> set[str]:
    """Every buffer the statements write, nested ones included."""
    found: set[str] = set()
    for s in walk(body):
        if isinstance(s, Instr):
            found |= {r.buffer for r in writes(s)}
        elif isinstance(s, Store):
            found.add(s.buffer)
    return found


def scalar_loads(s: Stmt) -> list[E.Load]:
    """Scalar reads of the statement itself."""
    return [x for e in own_exprs(s) for x in E.loads(e)]


def touched(s: Stmt) -> set[str]:
    """Every buffer the statement itself names."""
    names = {x.buffer for x in scalar_loads(s)}
    if isinstance(s, Instr):
        names |= {a.buffer for a in s.args if isinstance(a, Region)}
        tmp = s.attrs.get('tmp', ())
        names |= set((tmp,) if isinstance(tmp, str) else tmp)
    elif isinstance(s, Store):
        names.add(s.buffer)
    return names


def core_of_space(space: str) -> str | None:
    """The core whose memory that is; GM and scalar variables belong to nobody."""
    return 'C' if space in CUBE_SPACES else 'V' if space == 'UB' else None


def core_of(program: Program, s: Stmt) -> str | None:
    """The core an instruction or a scalar store works on, by the first operand in one of its memories."""
    if isinstance(s, Store):
        return core_of_space(program.buffers[s.buffer].space)
    if isinstance(s, Instr):
        for a in _source_first(s):
            if isinstance(a, Region):
                core = core_of_space(program.buffers[a.buffer].space)
                if core is not None:
                    return core
    return None


def _source_first(s: Instr):
    return (s.args[1], s.args[0]) if s.op == 'atomic_add' else s.args
