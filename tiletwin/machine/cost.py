"""The cost model: modelled cycles of every instruction, from the constants of a chip.

One model belongs to one launch: how many cores are busy decides each core's share of HBM and L2, and `l2_hit`, the share of
GM reads that L2 already holds, how fast a read is on average (vendor's additive model: miss / HBM + hit / L2).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from ..dtypes import dtype as dtype_of
from .chip import Chip
from .vector import VectorCost, Work

# Which cores drive a route, and whether it reads or writes GM; None = on-chip.
_ROUTES = {'gm_to_l1': ('cube', 'read'), 'gm_to_ub': ('vector', 'read'), 'ub_to_gm': ('vector', 'write'), 'l0c_to_gm': ('cube', 'write'),
           'l0c_to_ub': ('cube', None), 'ub_to_l1': ('vector', None)}


@dataclass(frozen=True, slots=True)
class Cost:
    """Cycles the pipe is taken, and cycles after that until the last byte has landed (a flag set behind it waits for both)."""

    cycles: float
    latency: float = 0.0


def l2_hit(chip: Chip, read: int, footprint: int) -> float:
    """Share of `read` GM bytes that hit L2 when they touch `footprint` distinct bytes.

    First touches miss. A later touch finds the bytes still there with the share of the footprint that L2 can hold; the
    replacement policy is not published (hardware 5).
    """
    if read <= footprint:
        return 0.0
    return (1.0 - footprint / read) * min(1.0, chip.constants['gm.l2_bytes'] / max(footprint, 1))


class CostModel:
    def __init__(self, chip: Chip, busy_cubes: int, busy_vectors: int, l2_hit: float = 0.0):
        self.chip = chip
        self._k = chip.constants
        self._busy = {'cube': max(1, min(busy_cubes, chip.cube_cores)), 'vector': max(1, min(busy_vectors, chip.vector_cores))}
        self._hit = l2_hit
        self._vector = VectorCost(chip)
        # One instruction shape repeats thousands of times in a launch.
        self._dma = functools.cache(self._dma_cost)
        self.mte1 = functools.cache(self._mte1)
        self.mmad = functools.cache(self._mmad)
        self.vector = functools.cache(self._vector_cycles)

    # -- data movement ------------------------------------------------------------------------------------------------
    def dma(self, route: str, rows: int, row_bytes: int, gm_pitch_bytes: int = 0, gm_start_bytes: int = 0, src_es: int = 1,
            dst_es: int = 1) -> Cost:
        """A 2-D transfer of `rows` rows. Bytes are counted on the destination side; the element sizes differ where FIX converts."""
        if rows <= 0 or row_bytes <= 0:
            return Cost(self._k[f'{route}.issue'])
        line = int(self._k['gm.line'])
        split = rows > 1 and gm_pitch_bytes != row_bytes
        aligned = gm_start_bytes % line == 0 and not (split and gm_pitch_bytes % line)
        return self._dma(route, rows, row_bytes, split, aligned, src_es / dst_es)

    def _dma_cost(self, route: str, rows: int, row_bytes: int, split: bool, aligned: bool, widening: float) -> Cost:
        k = {name: self._k[f'{route}.{name}'] for name in ('cap', 'row', 'issue', 'fixed', 'latency')}
        kind, way = _ROUTES[route]
        size, per_byte = rows * row_bytes, 1 / k['cap']
        if way is not None:
            # Whole lines are moved, per row when the rows lie apart in GM.
            line = self._k['gm.line']
            size = rows * math.ceil(row_bytes / line) * line if split else math.ceil(size / line) * line
            per_byte = max(per_byte, self._gm_cycles_per_byte(kind, way)) / (1.0 if aligned else self._k['gm.misaligned'])
        cycles = max(k['issue'], rows * k['row'], size * per_byte)
        if route.startswith('l0c'):
            cycles = max(cycles, rows * row_bytes * widening / self._k['cube.l0c_read'])
        return Cost(k['fixed'] + cycles, k['latency'])

    def _gm_cycles_per_byte(self, kind: str, way: str) -> float:
        """One core's fair share of what the chip can move, in cycles per byte."""
        busy = self._busy[kind]
        if way == 'write':
            return busy / self.chip.per_cycle(self._k['gm.write_l2'])
        hbm = self.chip.per_cycle(self._k['gm.read_hbm_cube' if kind == 'cube' else 'gm.read_hbm'])
        return busy * ((1 - self._hit) / hbm + self._hit / self.chip.per_cycle(self._k['gm.read_l2']))

    def _mte1(self, route: str, size: int) -> float:
        """A load of `size` bytes from L1 to L0A or L0B."""
        return self._k['mte1.instr'] + size / self._k['mte1.l0a_rate' if route == 'l1_to_l0a' else 'mte1.l0b_rate']

    # -- compute ------------------------------------------------------------------------------------------------------
    def _mmad(self, m: int, k: int, n: int, dtype: str) -> float:
        """One Mmad: fractals of 16 x K0 x 16, K0 elements in 32 bytes."""
        fractals = math.ceil(m / 16) * math.ceil(k / dtype_of(dtype).block) * math.ceil(n / 16)
        per = self._k['cube.fractal_fp32' if dtype_of(dtype).name == 'float32' else 'cube.fractal']
        return self._k['cube.fixed'] + per * fractals

    def _vector_cycles(self, op: str, elements: int, es: int, conflict: bool = False, rows: int = 1, cols: int = 0, axis: int = -1,
                       kind: str = 'sum', clear: bool = True, repeats: int = 0) -> float:
        """One operation of the vector pipe; the keywords describe the shape of the routines that have one (`vector.Work`)."""
        return self._vector.cycles(op, Work(elements, es, conflict, rows, cols, axis, kind, clear, repeats))

    def bank_conflict(self, src0: int, src1: int) -> bool:
        """Whether two sources at these UB addresses meet in a bank group: a repeat reads 8 of the 16 groups of 32 B from each (hardware 2.3)."""
        return self._k['vector.bank_groups'] == 16 and (src1 - src0) // 32 % 16 != 8

    # -- scalar unit and synchronisation ------------------------------------------------------------------------------
    def scalar(self, kind: str) -> float:
        """`issue`, `branch`, `loop`, `gm_read`, `gm_write`, `ub_read`, `ub_write` or `dcache`."""
        return self._k[f'scalar.{kind}']

    def flag(self) -> float:
        """A set_flag or a wait_flag that is not kept waiting."""
        return self._k['sync.flag']

    def pipe_barrier(self, pipe: str) -> float:
        """The barrier itself; waiting for the pipe to drain comes on top."""
        return self._k['sync.barrier_all' if pipe == 'ALL' else 'sync.pipe_barrier']

    def cross_flag(self) -> float:
        """From the set on one core to the counter seen on the other."""
        return self._k['sync.cross_flag']

    def sync_all(self, cores: int) -> float:
        """From the last arrival to everybody's release."""
        return 2 * self._k['sync.cross_flag'] + cores * self._k['sync.sync_all_core']

    # -- launch -------------------------------------------------------------------------------------------------------
    def block_overhead(self) -> float:
        """Starting one more block on a core that has just finished one."""
        return self._k['launch.block']

    def launch(self, kind: str) -> float:
        """Host to first instruction and last instruction to host, for a 'cube', 'vector' or 'mix' task."""
        return self._k[f'launch.{kind}']
