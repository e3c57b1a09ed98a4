"""The simulated clock: every launch advances it by its modelled time."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import Any, Iterator


class Clock:
    """Modelled microseconds since the process began to launch kernels."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def advance(self, launch: Any) -> None:
        with self._lock:
            self.now += launch.microseconds


clock = Clock()
_said: set[str] = set()


def say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        print(f'tiletwin: {text}', file=sys.stderr)


@contextmanager
def elapsed() -> Iterator[list[float]]:
    """Modelled milliseconds of the launches in the block; of the host when there were none."""
    from ..jit import observe

    found: list[float] = []
    launches: list[float] = []
    host = time.perf_counter()
    with observe(lambda launch: launches.append(launch.microseconds)):
        yield found
    if launches:
        say_once('benchmark times are modelled, not measured')
        found.append(sum(launches) / 1e3)
    else:
        say_once('a benchmark launched no kernel: its time is measured on this host and does not compare with modelled ones')
        found.append((time.perf_counter() - host) * 1e3)
