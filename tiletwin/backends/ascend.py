"""The chip itself: kernels go to the installed tilelang-ascend fork and run through torch_npu (dialect 1).

Nothing of a kernel is interpreted here. `jit` and `compile` hand over exactly the arguments the fork's own have; operators take
and return npu tensors; times come from npu events.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Callable

from ..errors import EnvironmentError_
from ..installed import FORK, MIXED, package, tilelang_kind, toolkit
from ..machine.chip import chip as chip_of
from . import npu
from .protocol import COMPILE, MEASURED, RUN, TIME, Capability, CompileOptions, Timing, require

BUILD = 'in a checkout of tilelang-ascend, with the toolkit sourced: pip install --no-deps .'
TORCH_NPU = 'pip install "tiletwin[npu]"'
SOURCE = 'source the set_env.sh of the toolkit'


class AscendBackend:
    name, kind, device = 'ascend', MEASURED, 'npu'

    def capabilities(self) -> tuple[Capability, ...]:
        found = [Capability(COMPILE, False, text, fix) for text, fix in self._compiler()]
        found += [Capability(name, False, c.text, c.fix) for c in found for name in (RUN, TIME)]
        found += [Capability(name, False, text, fix) for text, fix in self._device(not found) for name in (RUN, TIME)]
        bad = {c.name for c in found}
        texts = {COMPILE: 'with the fork and the toolkit', RUN: 'on npu tensors', TIME: 'measured with npu events'}
        return tuple(found) + tuple(Capability(n, True, t) for n, t in texts.items() if n not in bad)

    def _compiler(self) -> list[tuple[str, str]]:
        """What is missing to compile a kernel, each with its remedy."""
        missing = []
        match tilelang_kind():
            case '':
                missing.append(('no tilelang is installed', BUILD))
            case kind if kind == MIXED:
                missing.append(('mainline tilelang was written over the installed fork', f'pip uninstall tilelang, then {BUILD}'))
            case kind if kind != FORK:
                missing.append(('the installed tilelang is the mainline package, which has no code generator for this dialect', BUILD))
        cann = toolkit()
        if not cann.home:
            missing.append(('ASCEND_HOME_PATH is not set: the toolkit is not installed, or its environment is not sourced',
                            f'source {cann.script}' if cann.script else SOURCE))
        elif not cann.exists:
            missing.append((f'ASCEND_HOME_PATH={cann.home} is no folder', SOURCE))
        elif not cann.loads:
            missing.append(('libascendcl.so cannot be loaded', SOURCE))
        return missing

    def _device(self, ready: bool) -> list[tuple[str, str]]:
        """What is missing to run one. torch is only imported when everything before it is there."""
        absent = [name for name in ('torch', 'torch_npu') if package(name) is None]
        if absent:
            return [(f'{" and ".join(absent)} {"is" if len(absent) == 1 else "are"} not installed', TORCH_NPU)]
        return npu.missing() if ready else []

    # -- compiling -----------------------------------------------------------------------------------------------------

    def jit(self, func: Callable | None, options: CompileOptions) -> Any:
        return functools.partial(NativeFactory, self, options) if func is None else NativeFactory(self, options, func)

    def compile(self, func: Any, options: CompileOptions) -> Any:
        require(self, COMPILE, getattr(func, '__name__', 'the kernel'))
        import tilelang

        given = self.resolved(options)
        given.pop('debug_root_path')
        return tilelang.compile(func, **given)

    def resolved(self, options: CompileOptions) -> dict[str, Any]:
        """Keyword arguments of the fork's `jit`. What is left open is decided by the device and the environment at this call."""
        platform = options.platform.upper() if options.platform.lower() != 'auto' else self.chip(None).upper()
        # AscendC source is compiled for the cores of A2 and A3 only; A5 runs PTO source (dialect 1.3).
        target = options.target if options.target != 'auto' else os.environ.get('TILETWIN_TARGET') or ('pto' if platform == 'A5' else 'ascendc')
        configs = options.pass_configs
        return {'out_idx': options.out_idx, 'workspace_idx': options.workspace_idx, 'target': target, 'target_host': options.target_host,
                'platform': platform, 'execution_backend': options.execution_backend, 'verbose': options.verbose,
                'pass_configs': None if configs is None else {getattr(k, 'value', k): v for k, v in configs.items()},
                'debug_root_path': options.debug_root_path}

    # -- running -------------------------------------------------------------------------------------------------------

    def run(self, kernel: Callable, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        require(self, RUN)
        found = kernel(*tensors)
        return tuple(found) if isinstance(found, (list, tuple)) else (found,)

    def time(self, kernel: Callable, tensors: tuple[Any, ...], repeat: int = 50) -> Timing:
        require(self, TIME)
        samples = npu.sample(lambda: kernel(*tensors), repeat)
        return Timing(npu.median(samples), MEASURED, samples)

    def chip(self, asked: str | None) -> str:
        """The chip of the device. Another one cannot be asked for: its code does not run there."""
        source = 'chip' if asked else next((n for n in ('TL_PLATFORM', 'TILETWIN_ARCH') if os.environ.get(n)), '')
        wanted = chip_of((asked or os.environ[source]).lower()).name if source else None
        name = npu.device_name()
        if name is None:
            if wanted is None:
                raise EnvironmentError_('the chip is not known: there is no NPU to ask', instead='TL_PLATFORM=A2, A3 or A5')
            return wanted
        own = npu.chip_of_device(name)
        if wanted not in (None, own):
            raise EnvironmentError_(f'{source} {wanted!r} on a machine with {name}', why=f'the device is an {own}, which runs code for {own} only',
                                    instead=f'{own}, or the simulator for every other chip')
        return own

    def cores(self, chip: str) -> int:
        """Of one family there are bins with 20 and with 24 cube cores: the device says which it is."""
        return npu.cube_cores() or chip_of(chip).cube_cores


class NativeFactory:
    """A decorated factory; a call is handed to the fork's own decorator, made for the device the call finds."""

    def __init__(self, backend: AscendBackend, options: CompileOptions, func: Callable):
        functools.update_wrapper(self, func)
        self.backend, self.options, self.func = backend, options, func
        self.decorated: dict[tuple[str, str], Callable] = {}

    def native(self) -> Any:
        """What `tilelang.jit(...)` makes of the factory."""
        require(self.backend, COMPILE, self.func.__name__)
        given = self.backend.resolved(self.options)
        key = given['platform'], given['target']
        if key not in self.decorated:
            import tilelang

            self.decorated[key] = tilelang.jit(**given)(self.func)
        return self.decorated[key]

    @property
    def __jit_impl__(self) -> Any:
        return self.native().__jit_impl__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.native()(*args, **kwargs)
