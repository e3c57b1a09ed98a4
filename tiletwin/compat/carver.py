"""Tile sizes for a matrix product, ranked by how often operands are loaded again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..dtypes import dtype as dtype_of
from ..errors import UnsupportedError
from ..machine.chip import chip

_SIDES = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Ascend:
    """The chip tile sizes are chosen for."""

    name: str = 'a3'

    @property
    def compute_max_core(self) -> int:
        return chip(self.name).cube_cores

    @property
    def core_num(self) -> int:
        return chip(self.name).cube_cores


@dataclass(frozen=True)
class Hint:
    """A tile of the output and the step along K."""

    block: list[int]
    rstep: list[int]
    pipeline_stage: int = 2

    @property
    def warp(self) -> list[int]:
        return self.block


@dataclass(frozen=True)
class MatmulTemplate:
    """C[M, N] = A[M, K] @ B[K, N]."""

    M: int
    N: int
    K: int
    trans_A: bool = False
    trans_B: bool = False
    in_dtype: str = 'float16'
    out_dtype: str = 'float16'
    accum_dtype: str = 'float32'
    with_bias: bool = False
    arch: Any = None

    def with_arch(self, arch: Any) -> 'MatmulTemplate':
        return replace(self, arch=arch)

    def equivalent_function(self) -> Any:
        raise UnsupportedError('the equivalent function of a carver template', why='hints follow from the sizes alone here',
                               instead='MatmulTemplate(...).with_arch(Ascend()).recommend_hints(topk)')

    def recommend_hints(self, topk: int = 10) -> list[Hint]:
        """Tiles that fit the memories, the least traffic first."""
        on = chip(self.arch.name if isinstance(self.arch, Ascend) else 'a3')
        es, acc = dtype_of(self.in_dtype).bytes, dtype_of(self.accum_dtype).bytes
        found = []
        for m in _SIDES:
            for n in _SIDES:
                for k in (32, 64, 128, 256):
                    fits = (m * n * acc <= on.memories['L0C'].bytes and 2 * (m + n) * k * es <= on.memories['L1'].bytes
                            and 2 * m * min(k, 128) * es <= on.memories['L0A'].bytes and 2 * n * min(k, 128) * es <= on.memories['L0B'].bytes)
                    if fits and m <= max(self.M, 16) and n <= max(self.N, 16) and k <= max(self.K, 32):
                        blocks = math.ceil(self.M / m) * math.ceil(self.N / n)
                        waves = math.ceil(blocks / on.cube_cores)
                        # Per wave: the product itself, and the panels of A and B one block loads for it.
                        found.append((waves * (m * n + 64 * (m + n)), -k, m, Hint([m, n], [k])))
        found.sort(key=lambda item: item[:3])
        return [item[-1] for item in found[:topk]]
