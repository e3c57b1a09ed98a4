"""One run over the blocks of a launch: cores advance until they end or wait, and errors find their kernel line."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, Iterable

import numpy as np
import torch

from ..errors import Span, TileTwinError
from . import memory
from .crosscore import Block, CrossCore
from .emit.bridges import remote
from .result import CORES

if TYPE_CHECKING:
    from .execute import DataEngine


class Runtime:
    """Work space of one worker, shared by the cores it simulates."""

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
            self.chips.append(memory.Chip(engine.layout, ('UB',) if core else ('L1', 'L0A', 'L0B', 'L0C')))
        cube, *vectors = (chip.flat for chip in self.chips)
        far = {remote(name, v): flat for v, chip in enumerate(vectors) for name, flat in chip.items()}
        for core, chip in enumerate(self.chips):
            seen = gm | chip.flat | ({n: flat for n, flat in cube.items() if engine.program.buffers[n].space == 'L1'} if core else far)
            self.functions.append(engine.make('V' if core else 'C', log)(seen, self.rt, core))

    def poison(self) -> None:
        for chip in self.chips:
            chip.poison()


class Launch:
    """What the blocks of one run leave behind, and how to run some of them."""

    def __init__(self, engine: 'DataEngine', log: bool, repoison: bool, reverse: bool = False):
        self.engine, self.log, self.repoison, self.reverse = engine, log, repoison, reverse
        self.logs: dict[tuple[int, int], list] = {}
        self.prints: dict[tuple[int, int], list[str]] = {}
        self.stuck: list[tuple[int, str, Span | None]] = []
        self.errors: dict[int, TileTwinError] = {}

    def sequence(self, items: Iterable) -> list:
        return list(items)[::-1] if self.reverse else list(items)

    def blocks(self, cids: Iterable[int], gm: dict, budget: float = float('inf')) -> int:
        """Runs blocks one after the other until `budget` seconds have passed; returns how many."""
        done, cores = 0, None
        limit = time.perf_counter() + budget
        torch.set_num_threads(1)
        with np.errstate(all='ignore'):
            for cid in self.sequence(cids):
                if self.errors or time.perf_counter() > limit:
                    break
                try:
                    if cores is None:
                        cores = Cores(self.engine, gm, self.log)
                    elif self.repoison:
                        cores.poison()
                    self.advance([(cid, cores)])
                except Exception as error:
                    self.errors[cid] = self.explain(error, cid)
                done += 1
        return done

    def together(self, gm: dict) -> None:
        """All blocks at once: they wait for one another."""
        with np.errstate(all='ignore'):
            try:
                self.advance([(cid, Cores(self.engine, gm, self.log)) for cid in self.sequence(range(self.engine.blocks))])
            except Exception as error:
                self.errors[0] = self.explain(error, 0)

    def advance(self, blocks: list[tuple[int, Cores]]) -> None:
        """Runs the cores of some blocks to their end, or until none can go on."""
        sync = CrossCore(tuple(cid for cid, _ in blocks), self.engine.program.launch.vectors)
        waiting: list[tuple[int, int, Any, Any]] = []
        for cid, cores in blocks:
            view = Block(sync, cid)
            for core, run in self.sequence(enumerate(cores.functions)):
                waiting.append((cid, core, cores.rt, self.start(run, cid, core, view)))
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

    def start(self, run: Callable, cid: int, core: int, sync: Block):
        lg = None
        if self.log:
            entries = self.logs.setdefault((cid, core), [])

            def lg(value, append=entries.append):
                append(value)
                return value
        vid = max(core - 1, 0)
        if self.engine.waits('V' if core else 'C', self.log):
            return run(cid, vid, sync, lg)
        return _once(run, cid, vid, sync, lg)

    def explain(self, error: Exception, cid: int) -> TileTwinError:
        """The kernel line behind an error in generated code."""
        if isinstance(error, TileTwinError) and error.where is not None:
            return error
        where = None
        for role in 'CV':
            for frame, line in traceback.walk_tb(error.__traceback__):
                if frame.f_code.co_filename == self.engine.file(role, self.log):
                    where = self.engine.code(role, self.log).spans[line - 1]
        if isinstance(error, TileTwinError):
            return error.at(where) if where else error
        why, instead = f'{type(error).__name__} in the simulator', ''
        if isinstance(error, IndexError):
            why = 'on-chip memory and tensors have the sizes the kernel declares'
            instead = 'shrink the operand, or declare the buffer as large as the operation touches'
        made = TileTwinError(f'block {cid}: {error}', where=where, why=why, instead=instead)
        made.__cause__ = error
        return made

    def raise_first(self) -> None:
        if self.errors:
            raise self.errors[min(self.errors)]

    # -- results of a part of the blocks, as plain data ---------------------------------------------------------------
    def export(self) -> tuple:
        errors = {cid: (type(e), e.what, e.where, e.why, e.instead) for cid, e in self.errors.items()}
        return self.logs, self.prints, self.stuck, errors

    def merge(self, part: tuple) -> None:
        logs, prints, stuck, errors = part
        self.logs |= logs
        self.prints |= prints
        self.stuck += stuck
        self.errors |= {cid: kind(what, where=where, why=why, instead=instead) for cid, (kind, what, where, why, instead) in errors.items()}


def _once(run: Callable, *args):
    """A function without waits as a generator that never yields."""
    run(*args)
    return
    yield
