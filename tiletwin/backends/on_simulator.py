"""The simulator as a backend: host tensors, modelled times."""

from __future__ import annotations

from typing import Any, Callable

from ..installed import FORK, MIXED, find, tilelang_kind
from ..machine.chip import chip as chip_of
from .protocol import COMPILE, MODELLED, RUN, TIME, Capability, CompileOptions, Timing

INSTALL = 'pip install "tiletwin[sim]"'
APART = f'an environment of its own: python -m venv sim && sim/bin/{INSTALL}'


class SimulatorBackend:
    name, kind, device = 'simulator', MODELLED, 'cpu'

    def capabilities(self) -> tuple[Capability, ...]:
        texts = {COMPILE: 'from kernel source to tile program', RUN: 'numbers, hazards and memory', TIME: 'modelled, not measured'}
        missing = self._missing()
        return tuple(Capability(n, not missing, missing[0] if missing else t, missing[1] if missing else '') for n, t in texts.items())

    def _missing(self) -> tuple[str, str] | None:
        """Why nothing works, and what to do about it."""
        tilelang = tilelang_kind()
        if tilelang == FORK:
            return 'the installed tilelang is the Ascend fork, the simulator reads kernels with mainline tilelang', APART
        if tilelang == MIXED:
            return 'the installed tilelang is the fork with mainline written over it', f'pip uninstall tilelang, then {INSTALL}'
        absent = [name for name in ('tilelang', 'torch', 'numpy') if find(name) is None]
        return (f'needs {" and ".join(absent)}', INSTALL) if absent else None

    def jit(self, func: Callable | None, options: CompileOptions) -> Any:
        from ..jit import simulated_jit

        return simulated_jit(func, options)

    def compile(self, func: Any, options: CompileOptions) -> Any:
        from ..jit import simulated_compile

        return simulated_compile(func, options)

    def run(self, kernel: Callable, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        found = kernel(*tensors)
        return tuple(found) if isinstance(found, (list, tuple)) else (found,)

    def time(self, kernel: Callable, tensors: tuple[Any, ...], repeat: int = 1) -> Timing:
        """The model has no noise: one launch says what every launch takes."""
        from ..jit import observe

        launches: list = []
        with observe(launches.append):
            kernel(*tensors)
        us = sum(launch.microseconds for launch in launches)
        return Timing(us, MODELLED, (us,))

    def chip(self, asked: str | None) -> str:
        return chip_of(asked or 'a3').name

    def cores(self, chip: str) -> int:
        return chip_of(chip).cube_cores
