"""What automatic synchronisation knows of each instruction: its pipe, the buffers it writes and those it reads (dialect 5.8)."""

from __future__ import annotations

from typing import NamedTuple

from ..ir import expr as E
from ..ir.nodes import Instr, Program, Region
from ..ir.ops import OPS, route

# Operations the compiler's table leaves out: no instruction of these is ordered with anything.
INVISIBLE = frozenset({'row_expand_mul', 'set_deq_scale', 'printf', 'dump_tensor', 'datacachecleanandinvalid_experiment'})
# Injected scratch counts as read for these; that of every other operation is not seen at all.
SCRATCH_READ = frozenset({'reduce', 'sigmoid', 'sin', 'cos', 'pow', 'sort', 'topk'})


class Uses(NamedTuple):
    pipe: str
    buffers: dict[str, bool]  # name of the allocation -> written (also when it is read as well)
    indirect: bool  # the start of an operand is computed from a load


def pipe_of(program: Program, s: Instr) -> str:
    """The pipe an instruction runs on; 'sync' for flags and barriers."""
    spec = OPS[s.op]
    if spec.pipe != 'copy':
        return spec.pipe
    a, b = (program.buffers[r.buffer].space for r in s.args[:2] if isinstance(r, Region))
    src, dst = (b, a) if s.op == 'atomic_add' else (a, b)
    return route(src, dst, s.span)[1]


def scratch(s: Instr) -> tuple[str, ...]:
    """Names of the injected scratch buffers of an instruction."""
    names = s.attrs.get('tmp', ())
    return (names,) if isinstance(names, str) else tuple(names)


def written_position(s: Instr) -> int:
    """The operand the compiler takes for the destination."""
    return 1 if s.op == 'copy' else 2 if s.op in ('gemm_v0', 'mma') else 0


def uses(program: Program, s: Instr) -> Uses | None:
    """The accesses automatic synchronisation sees, or None when it sees none."""
    pipe = pipe_of(program, s)
    if pipe == 'sync' or s.op in INVISIBLE:
        return None
    found: dict[str, bool] = {}
    indirect = False
    target = written_position(s)
    for position, a in enumerate(s.args):
        if not isinstance(a, Region) or s.op == 'gather_mask' and position == 2:
            continue
        name = program.root(a.buffer)[0].name
        found[name] = found.get(name, False) or position == target
        # The element of a scalar operand is an argument of its own, not part of the address.
        if a.form != 'element' or OPS[s.op].pipe == 'copy':
            indirect |= any(E.loads(e) for e in a.starts)
    if s.op in SCRATCH_READ:
        for name in scratch(s):
            found.setdefault(name, False)
    return Uses(pipe, found, indirect)
