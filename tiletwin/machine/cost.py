"""The cost model: modelled cycles of every instruction, from the constants of a chip.

One model belongs to one launch: how many cores are busy decides each core's share of HBM and L2, and a `Residency` says how
much of each GM tensor its reads find in L2. A transfer costs the vendor's additive sum, miss / HBM + hit / L2.

Every duration is a multiple of 1/64 cycle: sums of such numbers are exact in binary, so a time does not depend on the order in
which it was added up. `on_grid` is the one place that rounds.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Mapping

from ..dtypes import dtype as dtype_of
from .chip import Chip
from .vector import VectorCost, Work

# Which cores drive a route, and whether it reads or writes GM; None = on-chip.
_ROUTES = {'gm_to_l1': ('cube', 'read'), 'gm_to_ub': ('vector', 'read'), 'ub_to_gm': ('vector', 'write'), 'l0c_to_gm': ('cube', 'write'),
           'l0c_to_ub': ('cube', None), 'ub_to_l1': ('vector', None)}


def on_grid(cycles: float) -> float:
    """Rounded to 1/64 cycle."""
    return round(cycles * 64) / 64


@dataclass(frozen=True, slots=True)
class Cost:
    """Cycles the pipe is taken, and cycles after that until the last byte has landed (a flag set behind it waits for both)."""

    cycles: float
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class Residency:
    """What L2 does for one launch."""

    hits: Mapping[str, float] = field(default_factory=dict)  # GM tensor -> share of its read bytes that L2 holds; absent = 0
    spilled: float = 0.0  # share of the written bytes that reach HBM within the launch
    crowds: Mapping[str, float] = field(default_factory=dict)  # GM tensor -> cores that read the same bytes of it at the same time; absent = 1
    slowed: float = 1.0  # misses and spilled writes together are more than HBM moves in the time: factor on both


class CostModel:
    def __init__(self, chip: Chip, busy_cubes: int, busy_vectors: int, residency: Residency = Residency(), l1_read: bool = False):
        """`l1_read`: the launch also reads L1 (MTE1), which shares the port of L1 with what MTE2 writes."""
        self.chip = chip
        self._k = chip.constants
        self._busy = {'cube': max(1, min(busy_cubes, chip.cube_cores)), 'vector': max(1, min(busy_vectors, chip.vector_cores))}
        self._l2 = residency
        self._caps = {r: chip.constants[f'{r}.cap_shared' if r == 'gm_to_l1' and l1_read else f'{r}.cap'] for r in ('gm_to_l1', 'gm_to_ub')}
        self._vector = VectorCost(chip)
        # One instruction shape repeats thousands of times in a launch.
        self._dma = functools.cache(self._dma_cost)
        self.mte1 = functools.cache(self._mte1)
        self.mmad = functools.cache(self._mmad)
        self.vector = functools.cache(self._vector_cycles)

    # -- data movement ------------------------------------------------------------------------------------------------
    def dma(self, route: str, rows: int, row_bytes: int, gm_pitch_bytes: int = 0, gm_start_bytes: int = 0, src_es: int = 1,
            dst_es: int = 1, tensor: str = '') -> Cost:
        """A 2-D transfer of `rows` rows. Bytes are counted on the destination side; the element sizes differ where FIX converts.
        `tensor` is the GM tensor that is read."""
        if rows <= 0 or row_bytes <= 0:
            return Cost(on_grid(self._k[f'{route}.issue']))
        line = int(self._k['gm.line'])
        split = rows > 1 and gm_pitch_bytes != row_bytes
        aligned = gm_start_bytes % line == 0 and not (split and gm_pitch_bytes % line)
        return self._dma(route, rows, row_bytes, split, aligned, src_es / dst_es, self._l2.hits.get(tensor, 0.0), self._l2.crowds.get(tensor, 1.0))

    def _dma_cost(self, route: str, rows: int, row_bytes: int, split: bool, aligned: bool, widening: float, hit: float, crowd: float) -> Cost:
        kind, way = _ROUTES[route]
        # Rows that touch in GM are one burst.
        bursts, burst = (rows, row_bytes) if split else (1, rows * row_bytes)
        if way is None:
            moving = rows * row_bytes / self._k[f'{route}.cap']
        else:
            line = self._k['gm.line']
            per_burst = (self._read_burst if way == 'read' else self._write_burst)(kind, route, math.ceil(burst / line) * line, hit)
            moving = bursts * per_burst / (1.0 if aligned else self._k['gm.misaligned'])
            if way == 'read' and crowd > 1:
                # Requests of several cores for one line of 512 B are served one after the other.
                moving = max(moving, crowd * bursts * math.ceil(burst / 512) * self._k['gm.same_line'])
        cycles = max(self._k[f'{route}.issue'], rows * self._k[f'{route}.row'], moving)
        if route.startswith('l0c'):
            cycles = max(cycles, rows * row_bytes * widening / self._k['cube.l0c_read'])
        return Cost(on_grid(self._k[f'{route}.fixed'] + cycles), on_grid(self._k[f'{route}.latency']))

    def _hbm(self, kind: str) -> float:
        """Bytes per cycle one core gets from HBM: its own limit, or its fair share of what the chip has left."""
        return min(self._k['gm.hbm_core'], self.chip.per_cycle(self._k['gm.hbm']) / self._busy[kind] / self._l2.slowed)

    def _read_burst(self, kind: str, route: str, size: int, hit: float) -> float:
        """Cycles of `size` contiguous bytes; every burst opens an HBM row."""
        l2 = min(self._caps[route], self.chip.per_cycle(self._k['gm.read_l2']) / self._busy[kind])
        return (1 - hit) * (size + self._k['gm.burst']) / self._hbm(kind) + hit * size / l2

    def _write_burst(self, kind: str, route: str, size: int, hit: float) -> float:
        chip_wide = self._k['gm.write_l2' if kind == 'cube' else 'gm.write_l2_vector']
        l2 = min(self._k[f'{route}.cap'], self.chip.per_cycle(chip_wide) / self._busy[kind])
        return size / l2 * (1 + self._l2.spilled * (self._l2.slowed - 1))

    def _mte1(self, route: str, size: int) -> float:
        """A load of `size` bytes from L1 to L0A or L0B."""
        return on_grid(self._k['mte1.instr'] + size / self._k['mte1.l0a_rate' if route == 'l1_to_l0a' else 'mte1.l0b_rate'])

    # -- compute ------------------------------------------------------------------------------------------------------
    def _mmad(self, m: int, k: int, n: int, dtype: str) -> float:
        """One Mmad: fractals of 16 x K0 x 16, K0 elements in 32 bytes."""
        fractals = math.ceil(m / 16) * math.ceil(k / dtype_of(dtype).block) * math.ceil(n / 16)
        per = self._k['cube.fractal_fp32' if dtype_of(dtype).name == 'float32' else 'cube.fractal']
        return on_grid(self._k['cube.fixed'] + per * fractals)

    def _vector_cycles(self, op: str, elements: int, es: int, conflict: str = '', rows: int = 1, cols: int = 0, axis: int = -1,
                       kind: str = 'sum', clear: bool = True, repeats: int = 0, fused: bool = False) -> float:
        """One operation of the vector pipe; the keywords describe the shape of the routines that have one (`vector.Work`)."""
        return on_grid(self._vector.cycles(op, Work(elements, es, conflict, rows, cols, axis, kind, clear, repeats, fused)))

    def bank_conflict(self, size: int, dst: int, src0: int, src1: int) -> str:
        """How operands of `size` bytes at these UB addresses meet in a bank: 'read', 'write' or ''. A repeat moves 256 bytes, 8 of the 16 groups
        of 32 B, per operand; a group serves one read and one write at a time, the write in another of its three banks of 64 KiB rows
        (hardware 2.3). An operand that lies in two rows counts where most of it is."""
        if self._k['vector.bank_groups'] != 16:
            return ''
        if (src1 - src0) // 32 % 16 != 8:
            return 'read'
        row = (dst + size // 2) >> 16
        return 'write' if any(row == (s + size // 2) >> 16 and (dst - s) // 32 % 16 != 8 for s in (src0, src1)) else ''

    @property
    def fuses(self) -> bool:
        """Neighbouring tile operations can share a vector function."""
        return self._vector.in_registers

    # -- scalar unit and synchronisation ------------------------------------------------------------------------------
    def scalar(self, kind: str) -> float:
        """`issue`, `branch`, `loop`, `gm_read`, `gm_write`, `ub_read`, `ub_write` or `dcache`."""
        return on_grid(self._k[f'scalar.{kind}'])

    def flag(self) -> float:
        """A set_flag or a wait_flag that is not kept waiting."""
        return on_grid(self._k['sync.flag'])

    def pipe_barrier(self, pipe: str) -> float:
        """The barrier itself; waiting for the pipe to drain comes on top."""
        return on_grid(self._k['sync.barrier_all' if pipe == 'ALL' else 'sync.pipe_barrier'])

    def cross_flag(self) -> float:
        """From the set on one core to the counter seen on the other."""
        return on_grid(self._k['sync.cross_flag'])

    def sync_all(self, cores: int) -> float:
        """From the last arrival to everybody's release."""
        return on_grid(2 * self._k['sync.cross_flag'] + cores * self._k['sync.sync_all_core'])

    # -- launch -------------------------------------------------------------------------------------------------------
    def block_overhead(self) -> float:
        """Starting one more block on a core that has just finished one."""
        return on_grid(self._k['launch.block'])

    def launch(self, kind: str) -> float:
        """Host to first instruction and last instruction to host, for a 'cube', 'vector' or 'mix' task."""
        return on_grid(self._k[f'launch.{kind}'])
