"""Blocks spread over processes that share the written tensors.

The operations of a block take microseconds, so threads would spend their time handing over the interpreter lock.
Forked workers do not; they cost a few milliseconds and a copy of the written tensors, which long launches earn back.
"""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import signal
import sys
import threading
import warnings
import weakref
from typing import Callable

import torch

from ..errors import TileTwinError

FORK = sys.platform == 'linux' and hasattr(os, 'fork')
_COST = 0.012  # seconds per fan-out
_KEPT = 32 << 20  # bytes an idle program holds on to
_COPY = 2.5e9  # bytes per second in and out of shared memory


def available() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def worthwhile(seconds: float, workers: int, written_bytes: int) -> bool:
    """Do `workers` finish `seconds` of blocks sooner than one, sharing included?"""
    if workers < 2:
        return False
    cost = _COST + written_bytes / _COPY if FORK else _COST
    return seconds * (1 - 1 / workers) > 1.5 * cost


_LARGE = 1 << 20  # bytes from which a tensor is worth allocating where forked workers see it
_shared: dict[int, int] = {}  # address -> bytes of the living tensors of `empty`


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """torch.empty, in memory that forked workers share when it is large: they then write the caller's tensor itself."""
    size = dtype.itemsize
    for n in shape:
        size *= n
    if not FORK or size < _LARGE:
        return torch.empty(shape, dtype=dtype)
    area = mmap.mmap(-1, size)
    flat = torch.frombuffer(area, dtype=dtype)
    _shared[flat.data_ptr()] = size
    weakref.finalize(area, _shared.pop, flat.data_ptr(), None)
    return flat.view(shape)


def is_shared(t: torch.Tensor) -> bool:
    return _shared.get(t.data_ptr()) == t.numel() * t.element_size()


class Shared:
    """Copies of tensors in memory that forked processes share; small ones are kept for the next launch."""

    def __init__(self):
        self.maps: dict[str, tuple[mmap.mmap, torch.Tensor]] = {}

    def like(self, name: str, t: torch.Tensor) -> torch.Tensor:
        size = max(t.numel() * t.element_size(), 1)
        if name not in self.maps or len(self.maps[name][0]) != size:
            area = mmap.mmap(-1, size)
            self.maps[name] = area, torch.frombuffer(area, dtype=torch.uint8)
        return self.maps[name][1][:t.numel() * t.element_size()].view(t.dtype).view(t.shape)

    def trim(self) -> None:
        """Gives large areas back: a program may stay cached long after its last launch."""
        if sum(len(area) for area, _ in self.maps.values()) > _KEPT:
            self.maps.clear()


def spread(workers: int, work: Callable[[int], tuple]) -> list[tuple]:
    """work(0), ..., work(workers - 1), the first here and the others in forked processes."""
    children: list[tuple[int, int]] = []
    try:
        for i in range(1, workers):
            read, write = os.pipe()
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', DeprecationWarning)  # other threads of this process hold nothing the child needs
                pid = os.fork()
            if pid == 0:
                _child(write, work, i)
            os.close(write)
            children.append((pid, read))
        parts = [work(0)]
        while children:
            pid, read = children[0]
            with os.fdopen(read, 'rb', closefd=False) as pipe:
                data = pipe.read()
            os.close(read)
            os.waitpid(pid, 0)
            children.pop(0)
            if not data:
                raise TileTwinError('a worker process of the simulator ended without a result', why='it was killed, usually for want of memory',
                                    instead='run with threads=1')
            parts.append(pickle.loads(data))
        return parts
    finally:
        for pid, read in children:
            os.close(read)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _child(write: int, work: Callable[[int], tuple], i: int) -> None:
    try:
        gc.disable()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        data = pickle.dumps(work(i))
        with os.fdopen(write, 'wb') as pipe:
            pipe.write(data)
    finally:
        os._exit(0)


def threads(workers: int, work: Callable[[int], tuple]) -> list[tuple]:
    """The same with threads, where processes cannot be forked."""
    parts: list = [()] * workers

    def one(i: int) -> None:
        parts[i] = work(i)

    pool = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(workers)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    return parts
