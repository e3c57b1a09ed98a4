"""Independent jobs in processes of their own, one per core; results in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Sequence, TypeVar

from ..errors import EnvironmentError_
from .progress import Done, progress_bar, work_through

T = TypeVar('T')
R = TypeVar('R')
# A process has to load torch and tilelang: not worth it for fewer jobs than this.
FEWEST = 12


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def begin_worker() -> None:
    """One thread of torch, Ctrl-C left to the parent, and no life without it."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def work_in_parallel(jobs: Sequence[T], do: Callable[[T], R], name: Callable[[T], str], heavy: Callable[[T], bool], workers: int) -> Done[T, R]:
    """Like `work_through`; `heavy` jobs start first, so that none of them is left alone at the end.

    `do`, the jobs and the results cross from process to process: `do` is a function of a module.
    """
    if workers < 2 or len(jobs) < FEWEST:
        return work_through(jobs, do, name)
    first = sorted(range(len(jobs)), key=lambda i: not heavy(jobs[i]))
    others = set(multiprocessing.active_children())
    # Not forked: threads of torch and of the compiler do not survive a fork.
    with progress_bar(len(jobs)) as bar, \
            ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), begin_worker) as pool:
        waiting: dict[Future, int] = {pool.submit(do, jobs[i]): i for i in first}
        found: dict[int, R] = {}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    i = waiting.pop(future)
                    found[i] = future.result()
                    bar.update(0, completed=len(found), description=name(jobs[i]))
        except BaseException as stop:
            pool.shutdown(wait=False, cancel_futures=True)
            # A job may take minutes, and nobody waits for it any more.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            if isinstance(stop, BrokenProcessPool):
                raise EnvironmentError_('a process that worked on this ended without a result', why='it was killed, usually for want of memory',
                                        instead='fewer operators at a time') from None
            if not isinstance(stop, KeyboardInterrupt):
                raise
    left = tuple(job for i, job in enumerate(jobs) if i not in found)
    return Done(tuple(found[i] for i in sorted(found)), left)
