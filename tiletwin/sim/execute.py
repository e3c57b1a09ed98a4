"""Runs the data of a Program: the generated functions of all cores of all blocks."""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from dataclasses import dataclass
from inspect import isgeneratorfunction
from typing import Any, Callable

import numpy as np
import torch

from ..errors import Span, TileTwinError
from ..ir import expr as E
from ..ir.nodes import Instr, Program, walk
from . import memory
from .crosscore import Block, CrossCore
from .datagen import Code, DataGenerator
from .namespace import NAMES
from .result import CORES
from .specialise import specialise


@dataclass(frozen=True)
class DataResult:
    logs: dict[tuple[int, int], list]  # (cid, core index) -> scalars read from data that steered the core
    stuck: tuple[tuple[int, str, Span | None], ...]  # cores that wait for ever: (cid, core name, line)
    prints: list[str]
    seconds: float


class Runtime:
    """Work space of one thread, shared by the cores it simulates."""

    def __init__(self):
        self.deq = np.float32(1)
        self.prints: list[str] = []
        self._scratch: dict[tuple, torch.Tensor] = {}

    def scratch(self, dtype: str, shape: tuple[int, ...], slot: int) -> torch.Tensor:
        key = (dtype, shape, slot)
        if key not in self._scratch:
            self._scratch[key] = torch.empty(shape, dtype=memory.torch_dtype(dtype))
        return self._scratch[key]


class Cores:
    """The cores of one block with their memories, reused block after block."""

    def __init__(self, engine: 'DataEngine', gm: dict, log: bool):
        self.rt = Runtime()
        self.chips, self.functions = [], []
        for core in range(1 + engine.program.launch.vectors):
            chip = memory.Chip(engine.layout, ('UB',) if core else ('L1', 'L0A', 'L0B', 'L0C'))
            self.chips.append(chip)
            self.functions.append(engine.make('V' if core else 'C', log)(gm | chip.flat, self.rt, core))

    def poison(self) -> None:
        for chip in self.chips:
            chip.poison()


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
        self._code: dict[tuple[str, bool], Code] = {}
        self._make: dict[tuple[str, bool], Callable] = {}
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
            exec(compile(self.code(role, log).text, self._file(role, log), 'exec'), names)
            self._make[key] = names['make']
        return self._make[key]

    def _file(self, role: str, log: bool) -> str:
        return f'<{self.program.name} data {role}{" log" if log else ""} {id(self)}>'

    # -- running ------------------------------------------------------------------------------------------------------
    def run(self, tensors: dict[str, torch.Tensor], poisoned: frozenset[str] = frozenset(), *, log: bool = False, threads: int | None = None,
            repoison: bool = False, reverse: bool = False) -> DataResult:
        """`reverse` takes blocks and cores last first, one at a time: what changes then depends on an order nothing fixes."""
        began = time.perf_counter()
        gm = memory.bind(self.program, tensors, poisoned, self.layout)
        launch = _Launch(self, gm, log and any(self.code(r, False).steers for r in 'CV'), repoison, reverse)
        workers = max(1, min(threads or os.cpu_count() or 1, self.blocks))
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            if self.launch_wide:
                launch.together()
            elif workers == 1 or self.ordered or reverse:
                launch.worker()
            else:
                pool = [threading.Thread(target=launch.worker, daemon=True) for _ in range(workers)]
                for t in pool:
                    t.start()
                for t in pool:
                    t.join()
        finally:
            torch.set_num_threads(before)
        launch.raise_first()
        prints = [line for key in sorted(launch.prints) for line in launch.prints[key]]
        stuck = tuple(sorted(launch.stuck, key=lambda x: (x[0], x[1])))
        return DataResult(launch.logs, stuck, prints, time.perf_counter() - began)


class _Launch:
    """One run over all blocks."""

    def __init__(self, engine: DataEngine, gm: dict, log: bool, repoison: bool, reverse: bool):
        self.engine, self.gm, self.log, self.repoison, self.reverse = engine, gm, log, repoison, reverse
        self.todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for cid in self.sequence(range(engine.blocks)):
            self.todo.put(cid)
        self.logs: dict[tuple[int, int], list] = {}
        self.prints: dict[tuple[int, int], list[str]] = {}
        self.stuck: list[tuple[int, str, Span | None]] = []
        self.errors: dict[int, TileTwinError] = {}

    def sequence(self, items) -> list:
        return list(items)[::-1] if self.reverse else list(items)

    def worker(self) -> None:
        """Takes blocks until none is left."""
        torch.set_num_threads(1)
        with np.errstate(all='ignore'):
            cores = None
            while not self.errors:
                try:
                    cid = self.todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    if cores is None:
                        cores = Cores(self.engine, self.gm, self.log)
                    elif self.repoison:
                        cores.poison()
                    self.advance([(cid, cores)])
                except Exception as error:
                    self.errors[cid] = self.explain(error, cid)

    def together(self) -> None:
        """All blocks at once, in one thread: they wait for one another."""
        with np.errstate(all='ignore'):
            try:
                self.advance([(cid, Cores(self.engine, self.gm, self.log)) for cid in self.sequence(range(self.engine.blocks))])
            except Exception as error:
                self.errors[0] = self.explain(error, 0)

    def advance(self, blocks: list[tuple[int, Cores]]) -> None:
        """Runs the cores of some blocks to their end, or until none can go on."""
        sync = CrossCore(tuple(cid for cid, _ in blocks), self.engine.program.launch.vectors)
        waiting: list[tuple[int, int, Any, Any]] = []
        for cid, cores in blocks:
            view = Block(sync, cid)
            for core, run in self.sequence(enumerate(cores.functions)):
                waiting.append((cid, core, cores.rt, self.start(run, cid, core, cores.rt, view)))
        stopped: dict[tuple[int, int], int] = {}
        while waiting:
            mark, still = sync.events, []
            for cid, core, rt, going in waiting:
                rt.prints = self.prints.setdefault((cid, core), [])
                at = next(going, None)
                if at is not None:
                    stopped[cid, core] = at
                    still.append((cid, core, rt, going))
            if len(still) == len(waiting) and sync.events == mark:
                for cid, core, _, _ in still:
                    waits = self.engine.code('V' if core else 'C', self.log).waits
                    self.stuck.append((cid, CORES[core], waits[stopped[cid, core]]))
                return
            waiting = still

    def start(self, run: Callable, cid: int, core: int, rt: Runtime, sync: Block):
        lg = None
        if self.log:
            entries = self.logs.setdefault((cid, core), [])

            def lg(value, append=entries.append):
                append(value)
                return value
        vid = max(core - 1, 0)
        if isgeneratorfunction(run):
            return run(cid, vid, sync, lg)
        return _once(run, cid, vid, sync, lg)

    def explain(self, error: Exception, cid: int) -> TileTwinError:
        """The kernel line behind an error in generated code."""
        if isinstance(error, TileTwinError) and error.where is not None:
            return error
        where = None
        for role in 'CV':
            for frame, line in traceback.walk_tb(error.__traceback__):
                if frame.f_code.co_filename == self.engine._file(role, self.log):
                    where = self.engine.code(role, self.log).spans[line - 1]
        if isinstance(error, TileTwinError):
            return error.at(where) if where else error
        why = 'on-chip memory and tensors have the sizes the kernel declares' if isinstance(error, IndexError) else f'{type(error).__name__} in the simulator'
        made = TileTwinError(f'block {cid}: {error}', where=where, why=why, instead='shrink the operand, or declare the buffer as large as the operation touches'
                             if isinstance(error, IndexError) else '')
        made.__cause__ = error
        return made

    def raise_first(self) -> None:
        if self.errors:
            raise self.errors[min(self.errors)]


def _once(run: Callable, *args):
    """A function without waits as a generator that never yields."""
    run(*args)
    return
    yield
