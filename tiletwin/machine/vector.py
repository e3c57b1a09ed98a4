"""Modelled cycles of the vector operations.

A tile operation is one vector instruction or a library routine. A routine is charged as the instructions it is made of,
one after the other, because each reads what the one before it wrote.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable

from .chip import Chip

REPEAT = 256  # bytes one repeat works on
LIST = 32  # elements of the shortest sorted list


@dataclass(frozen=True, slots=True)
class Work:
    """What one tile operation is asked to do. `es` is the widest element it touches."""

    elements: int
    es: int
    conflict: str = ''  # how the operands of a two-source instruction meet in a bank: '', 'read' or 'write'
    rows: int = 1
    cols: int = 0
    axis: int = -1
    kind: str = 'sum'
    clear: bool = True
    repeats: int = 0  # of the raw repeat forms
    fused: bool = False  # in one vector function with the operation before

    @property
    def width(self) -> int:
        return self.cols or self.elements


# Constant with the cycles per repeat when operands meet otherwise than by two sources in one bank group.
_MEETING = {'write': 'vector.read_write', 'block': 'vector.stride0'}


class VectorCost:
    """Cycles per operation on one chip."""

    def __init__(self, chip: Chip):
        self._constants = chip.constants
        self._tail = chip.constants['vector.tail']
        self._ports = chip.constants['vector.issue_ports']
        self._get = chip.constants['scalar.ub_read']
        self._put = chip.constants['scalar.ub_write']
        self._loop = chip.constants['scalar.loop']

    @property
    def in_registers(self) -> bool:
        """The chip computes in vector registers, so neighbouring loops can be one."""
        return self._ports > 1

    def cycles(self, op: str, work: Work) -> float:
        chain = _CHAINS.get(op)
        if chain is None:
            return _ROUTINES[op](self, work)
        size = work.elements * work.es
        if self.in_registers:
            first = self.inner(chain[0], size) if work.fused else self.run(chain[0], size)
            return first + sum(self.inner(instr, size) for instr in chain[1:])
        return sum(self.run(instr, size, work.conflict) for instr in chain)

    def run(self, instr: str, size: float, conflict: str = '') -> float:
        """One instruction in count mode over `size` bytes of its widest operand."""
        return self.repeat(instr, math.ceil(size / REPEAT), conflict) + (self._tail if size % REPEAT else 0)

    def repeat(self, instr: str, repeats: float, conflict: str = '') -> float:
        """One instruction in repeat mode."""
        head, slope, slow = self._constants[f'vector.{instr}']
        if conflict and slow > slope:
            slope = slow if conflict == 'read' else max(slope, self._constants[_MEETING[conflict]])
        return head + slope * repeats

    def inner(self, instr: str, size: float) -> float:
        """One instruction inside a vector function that has begun: no start, no load of what registers hold, issue ports share the work."""
        return self._constants[f'vector.{instr}'][1] / self._ports * math.ceil(size / REPEAT)

    def scalars(self, reads: int, writes: int) -> float:
        """A loop of the scalar unit inside a library routine."""
        return reads * self._get + writes * self._put + max(reads, writes) * self._loop


# Operations whose instructions all run over the whole tile.
_CHAINS: dict[str, tuple[str, ...]] = {
    **{op: (instr,) for op, instr in {
        'add': 'vadd', 'sub': 'vsub', 'mul': 'vmul', 'div': 'vdiv', 'max': 'vmax', 'min': 'vmin', 'bitwise_and': 'vand', 'bitwise_or': 'vor',
        'bitwise_not': 'vnot', 'adds': 'vadds', 'muls': 'vmuls', 'maxs': 'vmaxs', 'mins': 'vmins', 'exp': 'vexp', 'ln': 'vln', 'abs': 'vabs',
        'reciprocal': 'vrec', 'sqrt': 'vsqrt', 'rsqrt': 'vrsqrt', 'relu': 'vrelu', 'leaky_relu': 'vlrelu', 'bitwise_lshift': 'vshift',
        'bitwise_rshift': 'vshift', 'axpy': 'vaxpy', 'mul_add_dst': 'vmla', 'fill': 'vdup', 'compare': 'vcmp', 'compare_scalar': 'vcmp',
        'select': 'vsel', 'cast': 'vconv', 'copy': 'vcopy', 'sub_experiment': 'vsub', 'abs_experiment': 'vabs', 'mins_experiment': 'vmins',
        'gathermask_experiment': 'vreducev2',
    }.items()},
    # Dialect 5.3.1: subtraction of a scalar adds its negation, division multiplies with its reciprocal.
    'subs': ('vadds',),
    'divs': ('vmuls',),
    # (a | b) & ~(a & b)
    'bitwise_xor': ('vor', 'vand', 'vnot', 'vand'),
    # 1 / (1 + exp(-x)); silu divides x instead of 1.
    'sigmoid': ('vmuls', 'vexp', 'vadds', 'vdup', 'vdiv'),
    'silu': ('vmuls', 'vexp', 'vadds', 'vdiv'),
    # To the nearest integer and back.
    'round': ('vconv', 'vconv'),
    # x ^ y = exp(y ln|x|), then the sign and the special cases by two masks.
    'pow': ('vabs', 'vln', 'vmul', 'vexp', 'vcmp', 'vsel', 'vcmp', 'vsel'),
    # Round x / pi to an integer, subtract it times a three-part pi, then an odd polynomial of five terms, then the sign of the half turn.
    **dict.fromkeys(('sin', 'cos'), ('vmuls', 'vconv', 'vconv', *('vmuls', 'vsub') * 3, 'vmul', *('vadds', 'vmul') * 5, 'vmuls', 'vadds', 'vmul')),
    # A mask of the elements outside the bound, then a select; NaN stays NaN.
    'clamp_max': ('vcmp', 'vsel'),
    'clamp_min': ('vcmp', 'vsel'),
    'clamp': ('vcmp', 'vsel', 'vcmp', 'vsel'),
}


def _progression(c: VectorCost, w: Work) -> float:
    """The first block by the scalar unit, then each vadds doubles what is filled."""
    block = max(1, 32 // w.es)
    cycles, filled = c.scalars(0, block), block
    while filled < w.elements:
        step = min(filled, w.elements - filled)
        cycles += c.run('vadds', step * w.es)
        filled += step
    return cycles


def _rectangle(c: VectorCost, instr: str, rows: int, repeats: int, conflict: str = '') -> float:
    """Rows of `repeats` repeats each, apart in UB: one instruction steps along a row or down a column of repeats, whichever needs fewer of them."""
    needed = min(rows, repeats)
    return c.repeat(instr, rows * repeats, conflict) + (needed - 1) * c.repeat(instr, 0)


def _broadcast(c: VectorCost, w: Work) -> float:
    """Rows of one element become blocks (vbrcb, 8 per repeat) that are copied along; a single row is copied down. Registers are loaded spread."""
    if c.in_registers:
        return c.inner('vcopy', w.elements * w.es) if w.fused else c.run('vcopy', w.elements * w.es)
    spread = c.repeat('vbrcb', math.ceil(w.rows / 8)) if w.axis in (1, -1) else 0.0
    return spread + _rectangle(c, 'vcopy', w.rows, math.ceil(w.width * w.es / REPEAT))


def _tree(c: VectorCost, w: Work, rows: int, cols: int) -> float:
    """Each of `rows` rows to one element: fold the repeats of a row pairwise, then one whole-repeat reduction per row. Registers fold as
    they load."""
    fold, last = ('vadd', 'vcadd') if w.kind == 'sum' else ('vmax', 'vcmax')
    repeats, cycles = math.ceil(cols * w.es / REPEAT), 0.0
    if c.in_registers:
        return c.repeat(last, rows) + rows * c.inner(fold, repeats * REPEAT)
    while repeats > 1:
        half = repeats // 2
        cycles += _rectangle(c, fold, rows, half, w.conflict)
        repeats -= half
    return cycles + c.repeat(last, rows)


def _reduce(c: VectorCost, w: Work) -> float:
    """Along the row as `_tree`; along the column rows are folded onto each other. Merging with the old result is scalar code (dialect 9.5)."""
    if w.axis in (1, -1):
        results, cycles = w.rows, _tree(c, w, w.rows, w.width)
    else:
        results, rows, per_row, cycles = w.width, w.rows, math.ceil(w.width * w.es / REPEAT), 0.0
        if c.in_registers:
            cycles, rows = c.inner('vadd' if w.kind == 'sum' else 'vmax', rows * per_row * REPEAT), 1
        while rows > 1:
            half = rows // 2
            cycles += c.repeat('vadd' if w.kind == 'sum' else 'vmax', half * per_row, w.conflict)
            rows -= half
        cycles += c.run('vcopy', w.width * w.es)
    return cycles if w.clear else cycles + c.scalars(2 * results, results)


def _transpose(c: VectorCost, w: Work) -> float:
    """16 x 16 of two bytes is one instruction, anything else a scalar loop over the elements (dialect 5.3.11)."""
    if w.es == 2 and w.rows == w.width == 16:
        return c.run('vnchwconv', w.elements * w.es)
    return c.scalars(w.elements, w.elements)


def _gather(c: VectorCost, w: Work) -> float:
    """64 offsets of four bytes per repeat."""
    return c.run('vgather', w.elements * 4)


def _gather_mask(c: VectorCost, w: Work) -> float:
    """A fixed pattern is one instruction; an index buffer is scaled to bytes and gathered."""
    return c.run('vreducev2', w.elements * w.es) if w.kind == 'pattern' else c.run('vmuls', w.elements * 4) + _gather(c, w)


def _merge(c: VectorCost, w: Work) -> float:
    """One four-way merge over all elements."""
    return c.repeat('vmrgsort4', math.ceil(w.elements / (4 * LIST)))


def _sort(c: VectorCost, w: Work) -> float:
    """Float indices, lists of 32, then four-way merges until one list is left; half is sorted as float."""
    n = max(LIST, math.ceil(w.elements / LIST) * LIST)
    passes, length = 0, LIST
    while length < n:
        passes, length = passes + 1, length * 4
    cycles = _progression(c, Work(n, 4)) + c.repeat('vsort32', n // LIST) + passes * c.repeat('vmrgsort4', math.ceil(n / (4 * LIST)))
    return cycles + (2 * c.run('vconv', n * 4) if w.es == 2 else 0)


def _topk(c: VectorCost, w: Work) -> float:
    return _sort(c, w) + c.run('vcopy', 2 * w.width * w.es)


def _row_expand(instr: str) -> Callable[[VectorCost, Work], float]:
    """One block per row, then the operation with that block, read again by every block of the repeat, as second source."""
    return lambda c, w: c.repeat('vbrcb', math.ceil(w.rows / 8)) + c.run(instr, w.elements * w.es, 'block')


def _raw(instr: str) -> Callable[[VectorCost, Work], float]:
    """A repeat form: the kernel says how many repeats."""
    return lambda c, w: c.repeat(instr, w.repeats)


def _sum_of_repeats(c: VectorCost, w: Work) -> float:
    """Whole-repeat sums, again over their results until one is left."""
    repeats = w.repeats or math.ceil(w.elements * w.es / REPEAT)
    cycles = c.repeat('vcadd', repeats)
    while repeats > 1:
        repeats = math.ceil(repeats * w.es / REPEAT)
        cycles += c.repeat('vcadd', repeats)
    return cycles


_ROUTINES: dict[str, Callable[[VectorCost, Work], float]] = {
    'arith_progression': _progression, 'createvecindex': _progression, 'broadcast': _broadcast, 'reduce': _reduce, 'transpose': _transpose,
    'gather': _gather, 'gatherb': _raw('vgatherb'), 'gather_mask': _gather_mask, 'merge_sort': _merge, 'sort': _sort, 'topk': _topk,
    # Fill the values, then the indices.
    'init_sort_buf': lambda c, w: 2 * c.run('vdup', w.elements * w.es),
    'sort32': lambda c, w: c.repeat('vsort32', math.ceil(w.elements / LIST)),
    'row_expand_mul': _row_expand('vmul'), 'row_expand_mul_experiment': _row_expand('vmul'), 'row_expand_sub_experiment': _row_expand('vsub'),
    'row_expand_div_experiment': _row_expand('vdiv'), 'brcb_experiment': _raw('vbrcb'), 'fill_experiment': _raw('vdup'),
    'wholereducemax': _raw('vcmax'), 'wholereducemin': _raw('vcmax'), 'wholereducesum': _raw('vcadd'), 'block_reduce_max': _raw('vcgmax'),
    'block_reduce_min': _raw('vcgmax'), 'block_reduce_sum': _raw('vcgadd'), 'reduce_sum_experiment': _sum_of_repeats,
    'reduce_sum_mask_experiment': _sum_of_repeats, 'sum_experiment': lambda c, w: _tree(c, w, w.rows, w.width),
    # Per repeat: gather the corners, weigh them, add them up.
    'bilinear_interpolation': lambda c, w: c.repeat('vgatherb', w.repeats) + c.repeat('vmul', w.repeats) + c.repeat('vadd', w.repeats),
}
VECTOR_OPS = frozenset(_CHAINS) | frozenset(_ROUTINES)
# What a loop over registers does element by element.
ELEMENTWISE = frozenset(_CHAINS) - {'gathermask_experiment'} | {'broadcast'}
