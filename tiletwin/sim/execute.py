"""Runs the data of a Program: the generated functions of all cores of all blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

import torch

from ..errors import Span, TileTwinError
from ..ir import expr as E
from ..ir.nodes import Instr, Program, Region, Store, walk
from ..ir.ops import OPS
from . import memory, workers
from .datagen import Code, DataGenerator
from .launch import Launch
from .namespace import NAMES
from .specialise import specialise

_PROBE = 0.02  # seconds of blocks run before deciding whether more workers pay


@dataclass(frozen=True)
class DataResult:
    logs: dict[tuple[int, int], list]  # (cid, core index) -> scalars read from data that steered the core
    stuck: tuple[tuple[int, str, Span | None], ...]  # cores that wait for ever: (cid, core name, line)
    prints: list[str]
    seconds: float


class DataEngine:
    """The data functions of a Program bound to its scalar arguments."""

    def __init__(self, program: Program, target: str = 'ascendc', scalars: dict[str, Any] | None = None):
        self.program = specialise(program, scalars or {})
        self.target = 'pto' if target == 'pto' else 'ascendc'
        self.layout = memory.plan(self.program)
        blocks = E.int_value(self.program.launch.blocks)
        if blocks is None:
            raise TileTwinError(f'the block count {E.text(self.program.launch.blocks)} has no value', where=program.span,
                                why='the grid is fixed before the kernel starts', instead='an expression of tensor dimensions and scalar parameters')
        self.blocks = blocks
        self.written = _written(self.program)
        self.block_seconds: float | None = None  # measured
        self._code: dict[tuple[str, bool], Code] = {}
        self._make: dict[tuple[str, bool], Callable] = {}
        self._shared = workers.Shared()
        ops = [s for s in walk(self.program.body) if isinstance(s, Instr)]
        # cores of different blocks wait for one another: all blocks advance together
        self.launch_wide = any(s.op == 'sync_all' or s.op == 'set_cross_flag' and s.attrs.get('mode', 2) in (0, E.Const(0)) for s in ops)
        # floating-point sums depend on their order: blocks add to GM in block order
        self.ordered = any(s.op == 'atomic_add' for s in ops)
        for role in 'CV':
            self.code(role, False)

    def code(self, role: str, log: bool) -> Code:
        key = (role, log)
        if key not in self._code:
            self._code[key] = DataGenerator(self.program, role, self.layout, self.target, log).code()
        return self._code[key]

    def make(self, role: str, log: bool) -> Callable:
        key = (role, log)
        if key not in self._make:
            names = dict(NAMES)
            exec(compile(self.code(role, log).text, self.file(role, log), 'exec'), names)
            self._make[key] = names['make']
        return self._make[key]

    def file(self, role: str, log: bool) -> str:
        return f'<{self.program.name} data {role}{" log" if log else ""} {id(self)}>'

    def waits(self, role: str, log: bool) -> bool:
        """The function of the role is a generator."""
        return bool(self.code(role, log).waits)

    # -- running ------------------------------------------------------------------------------------------------------
    def run(self, tensors: dict[str, torch.Tensor], poisoned: frozenset[str] = frozenset(), *, log: bool = False, threads: int | None = None,
            repoison: bool = False, reverse: bool = False) -> DataResult:
        """`reverse` takes blocks and cores last first, one at a time: what changes then depends on an order nothing fixes."""
        began = time.perf_counter()
        gm = memory.bind(self.program, tensors, poisoned, self.layout)
        launch = Launch(self, log and any(self.code(r, False).steers for r in 'CV'), repoison, reverse)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            if self.launch_wide:
                launch.together(gm)
            elif self.ordered or reverse:
                launch.blocks(range(self.blocks), gm)
            else:
                self._spread(launch, gm, tensors, max(1, min(threads or workers.available(), self.blocks)))
        finally:
            torch.set_num_threads(before)
        launch.raise_first()
        prints = [line for key in sorted(launch.prints) for line in launch.prints[key]]
        stuck = tuple(sorted(launch.stuck, key=lambda x: (x[0], x[1])))
        return DataResult(launch.logs, stuck, prints, time.perf_counter() - began)

    def _spread(self, launch: Launch, gm: dict, tensors: dict[str, torch.Tensor], count: int) -> None:
        """Runs all blocks, on several workers when that is faster. Block i of the rest runs on worker i mod count."""
        first = 0
        if count == 1 or self.block_seconds is None:
            start = time.perf_counter()
            first = launch.blocks(range(self.blocks), gm, _PROBE if count > 1 else float('inf'))
            self.block_seconds = (time.perf_counter() - start) / max(first, 1)
        rest = range(first, self.blocks)
        copied = [n for n in self.written if not workers.is_shared(tensors[n])]
        size = sum(tensors[n].numel() * tensors[n].element_size() for n in copied)
        if launch.errors or not rest:
            return
        if not workers.worthwhile(self.block_seconds * len(rest), count, size):
            launch.blocks(rest, gm)
            return
        outside = tensors
        if workers.FORK:
            outside = dict(tensors)
            owners: dict[int, str] = {}
            for n in sorted(copied):
                owner = owners.setdefault(tensors[n].data_ptr(), n)
                outside[n] = self._shared.like(owner, tensors[n]).copy_(tensors[n]) if owner == n else outside[owner]
            for n, t in tensors.items():
                if t.data_ptr() in owners and n not in copied:
                    outside[n] = outside[owners[t.data_ptr()]]
            gm = memory.bind(self.program, outside, frozenset(), self.layout)

        def work(i: int) -> tuple:
            mine = launch if i == 0 else Launch(self, launch.log, launch.repoison)
            start = time.perf_counter()
            n = mine.blocks(rest[i::count], gm)
            if i == 0:
                self.block_seconds = (time.perf_counter() - start) / max(n, 1)
            return mine.export()

        for part in (workers.spread if workers.FORK else workers.threads)(count, work)[1:]:
            launch.merge(part)
        if workers.FORK:
            for n in copied:
                tensors[n].copy_(outside[n])
            del outside, gm
            self._shared.trim()


def _written(program: Program) -> frozenset[str]:
    """Tensors the Program may store to."""
    out: set[str] = set()
    for s in walk(program.body):
        if isinstance(s, Store):
            out.add(program.root(s.buffer)[0].name)
        elif isinstance(s, Instr):
            for letter, a in zip(OPS[s.op].signature.replace('*', ''), s.args):
                if isinstance(a, Region) and letter in 'wm':
                    out.add(program.root(a.buffer)[0].name)
    return frozenset(n for n in out if program.buffers[n].space == 'GM')
