"""Many jobs one after the other: a bar on a terminal, silence in a pipe, and on Ctrl-C what is finished is kept."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Callable, ContextManager, Generic, Iterator, Sequence, TypeVar

T = TypeVar('T')
R = TypeVar('R')


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """The results of the jobs that ran, in order, and the jobs an interrupt left."""

    results: tuple[R, ...]
    left: tuple[T, ...] = ()

    def __iter__(self) -> Iterator[R]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def note(self) -> str:
        """What to say about an interrupt; empty without one."""
        return f'interrupted: {len(self.results)} of {len(self.results) + len(self.left)} done' if self.left else ''


def work_through(jobs: Sequence[T], do: Callable[[T], R], name: Callable[[T], str]) -> Done[T, R]:
    """`do` on every job. The first Ctrl-C ends the loop and the results so far come back; the caller prints them and `note`, and exits with 2."""
    results: list[R] = []
    with progress_bar(len(jobs)) as bar:
        try:
            for i, job in enumerate(jobs):
                bar.update(0, completed=i, description=name(job))
                results.append(do(job))
        except KeyboardInterrupt:
            return Done(tuple(results), tuple(jobs[len(results):]))
    return Done(tuple(results))


class _Silent:
    def update(self, task: int, **shown: Any) -> None:
        pass


def progress_bar(total: int) -> ContextManager[Any]:
    """Standard error: standard output belongs to the results."""
    if not sys.stderr.isatty():
        return nullcontext(_Silent())
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn('{task.description}', markup=False),
                   console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty())
    bar.add_task('', total=total)
    return bar
