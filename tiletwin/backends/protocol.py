"""What a backend is: where kernels are compiled, run and timed, and what of that works on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Protocol

from ..errors import EnvironmentError_

MODELLED, MEASURED = 'modelled', 'measured'
COMPILE, RUN, TIME = 'compile', 'run', 'time'


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing a backend does; where it cannot, the reason and the command that would change that."""

    name: str  # compile, run or time
    ok: bool
    text: str
    fix: str = ''


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """The arguments of `jit` and `compile` (dialect 1.1)."""

    out_idx: Any = None
    workspace_idx: Any = None
    target: str = 'auto'
    target_host: Any = None
    platform: str = 'auto'
    execution_backend: str = 'cython'
    verbose: bool = False
    pass_configs: dict | None = None
    debug_root_path: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """The time of one launch. Of several samples it is the median."""

    microseconds: float
    kind: str  # MODELLED or MEASURED
    samples: tuple[float, ...]


class Backend(Protocol):
    name: str
    kind: str  # of its times: MODELLED or MEASURED
    device: str  # torch's name of the memory its tensors live in

    def capabilities(self) -> tuple[Capability, ...]: ...

    def jit(self, func: Callable | None, options: CompileOptions) -> Any:
        """The decorator of a factory, or the decorated factory."""

    def compile(self, func: Any, options: CompileOptions) -> Any:
        """A kernel from a prim_func."""

    def run(self, kernel: Callable, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        """The outputs of one launch; on a device they are complete in the order of its stream."""

    def time(self, kernel: Callable, tensors: tuple[Any, ...], repeat: int) -> Timing: ...

    def chip(self, asked: str | None) -> str:
        """The chip kernels are compiled for: the one asked for, or the backend's own."""

    def cores(self, chip: str) -> int:
        """Cube cores a launch can use."""


def require(backend: Backend, name: str, what: str = '') -> None:
    """Refuses a choice that cannot work here, with all that is missing."""
    missing = [c for c in backend.capabilities() if c.name == name and not c.ok]
    if missing:
        raise EnvironmentError_(f'{what or name}: the backend {backend.name!r} cannot {name} here', why='; '.join(c.text for c in missing),
                                instead='; '.join(dict.fromkeys(c.fix for c in missing if c.fix)))
