"""`jit` and `compile`: from a factory to a callable kernel on the backend in force, by default the simulator (dialect 1)."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from .backends.calls import Bound, Convention, KernelParam, give_back
from .backends.choose import backend
from .backends.doubts import doubts, written_behind
from .errors import DialectError, DialectTypeError, KernelWarning, TileTwinError, UnsupportedError
from .ir.nodes import Program
from .backends.gaps import blame, changed_meaning
from .backends.pass_config_keys import PassConfigKey
from .backends.profiler import Profiler, TensorSupplyType
from .backends.protocol import CompileOptions
from .backends.settings import configs_of, determine_platform, moving_data, profile_of, sanitizing, strict_shapes, target_of, unchecked_calls
from .backends.shapes import bind_shapes, only_shapes
from .passes.context import KEYS, PassWarning
from .sanitize.findings import Verdict
from .sim.options import Options
from .sim.result import Launch

__all__ = ['JITKernel', 'KernelParam', 'PassConfigKey', 'Profiler', 'TensorSupplyType', 'compile', 'determine_platform', 'jit', 'observe',
           'on_launch']

# Called with every Launch of every kernel, in order of registration.
on_launch: list[Callable[[Launch], None]] = []
# Called with every kernel and what a call bound it to, before anything runs.
on_call: list[Callable[['JITKernel', Bound], None]] = []


@contextmanager
def observe(callback: Callable[[Launch], None]) -> Iterator[None]:
    """Within the block, `callback` sees every launch."""
    on_launch.append(callback)
    try:
        yield
    finally:
        on_launch.remove(callback)


@contextmanager
def observe_calls(callback: Callable[['JITKernel', Bound], None]) -> Iterator[None]:
    """Within the block, `callback` sees every call with data, its tensors as they are before it."""
    on_call.append(callback)
    try:
        yield
    finally:
        on_call.remove(callback)


def _frames_inside() -> int:
    """Frames of this package above the caller's: a warning belongs to the line that asked for the kernel."""
    frame, count = sys._getframe(1), 0
    while frame is not None and frame.f_globals.get('__name__', '').startswith('tiletwin.'):
        frame, count = frame.f_back, count + 1
    return count


def _note(w: PassWarning) -> str:
    return w.message + (f' ({w.where})' if w.where else '')


class JITKernel:
    """A compiled kernel. Calling it launches on the simulator; `launch_record` judges the last call."""

    def __init__(self, func: Any, out_idx: Any = None, workspace_idx: Any = None, target: str = 'auto', platform: str = 'auto',
                 pass_configs: dict | None = None,
                 verbose: bool = False):
        from .language.entry import program_of

        self.target, self.platform = target_of(target), determine_platform(platform)
        self.pass_configs = configs_of(pass_configs)
        self.prim_func = func
        self.profile = profile_of()
        self.source = source = program_of(func)
        # A wrong index is reported before anything a pass has to say.
        Convention(source, out_idx, workspace_idx)
        self.program = self._lower(source)
        self.convention = Convention(self.program, out_idx, workspace_idx)
        self.out_idx, self.workspace_idx, self.auto_gm_idx = self.convention.out_idx, self.convention.workspace_idx, self.convention.auto_idx
        self.params = self.convention.params
        self.launch_record: Launch | None = None
        self.latency = self.config = self.ref_latency = None
        if verbose:
            print(self.get_kernel_source())

    def _lower(self, program: Program) -> Program:
        from .ir.verify import verify
        from .passes.pipeline import Lowering

        verify(program, 'the front end', self.target)
        found: list[PassWarning] = []
        self.lowering = Lowering(program, self.pass_configs, self.target, self.platform.lower(), self.profile)
        lowered = self.lowering.lower(warnings=found)
        self.pass_warnings = found
        for w in found:
            warnings.warn(f'{program.name}: {_note(w)}', KernelWarning, stacklevel=_frames_inside() + 1)
        return lowered

    @property
    def last(self) -> Launch | None:
        return self.launch_record

    def __call__(self, *args: Any, stream: int = -1):
        """Inputs in parameter order; one tensor, or a list of the outputs in the order of out_idx.

        With meta tensors, or TILETWIN_DATA=0, nothing is computed: the launch is timed and judged, its outputs hold NaN or are meta tensors.
        """
        import torch

        # Modes the caller has on torch, such as a default device, are not for the simulator's own arithmetic.
        with torch._C.DisableTorchFunction():
            if only_shapes(args):
                bound = bind_shapes(self.convention, args, {}, strict_shapes(), unchecked_calls())
                self.launch(bound, data=False)
            else:
                bound = self.convention.bind(args, strict_shapes(), unchecked_calls())
                self.launch(bound, moving_data())
        return bound.results[0] if len(bound.results) == 1 else bound.results

    def time(self, *args: Any, **sizes: int | float) -> Launch:
        """Modelled time and hazards of a call, without data: nothing is allocated and nothing is computed.

        `args` are those of a call, with a shape or a meta tensor in place of any tensor: `kernel.time((8192, 8192), (8192, 8192))`.
        Without them the inputs have their declared shapes; `sizes` then names symbolic dimensions and scalar parameters:
        `kernel.time(M=8192)`. A kernel whose control flow reads tensors is refused with the line that does.
        """
        import torch

        with torch._C.DisableTorchFunction():
            return self.launch(bind_shapes(self.convention, args, sizes, strict_shapes(), unchecked_calls()), data=False)

    def launch(self, bound: Bound, data: bool = True) -> Launch:
        from .backends.simulator import clock, simulate, unwritten

        options = Options(chip=self.platform.lower(), target=self.target, sanitize=sanitizing(), data=data)
        if data:
            for seen in list(on_call):
                seen(self, bound)
            record = simulate(self.program, bound.tensors, bound.scalars, options, bound.poisoned)
        else:
            record = clock(self.program, bound.scalars, options.chip, options.target, options.sanitize, bound.poisoned)
            unwritten(bound.tensors, bound.poisoned)
        behind = give_back(bound.short) if data else []
        extra = doubts(self.source) + tuple(written_behind(self.program, name, *bound.short[name]) for name in behind)
        if options.sanitize and self.profile == 'fork' and any(self.pass_configs.get(k) for k in KEYS):
            record.verdict = blame(Verdict(record.verdict.findings + changed_meaning(self.pass_warnings)), lambda: self.sound_verdict(bound))
        if extra and options.sanitize:
            record.verdict = Verdict(record.verdict.findings + extra)
        record.lowering, record.notes = self.lowering, tuple(map(_note, self.pass_warnings))
        self.launch_record = record
        for callback in list(on_launch):
            callback(record)
        return record

    def sound_verdict(self, bound: Bound) -> Verdict | None:
        """What the same kernel would be told if its passes inserted all that correctness needs; None when that cannot be said."""
        from .backends.simulator import judge

        try:
            program = self.lowering.lower('sound')
        except TileTwinError:
            return None
        return judge(program, bound.scalars, self.platform.lower(), self.target, bound.poisoned)

    def get_kernel_source(self) -> str:
        """The tile program as text."""
        from .ir.printer import text

        head = f'# The tile program of {self.program.name} for {self.platform} ({self.target}); the simulator runs this, it is not AscendC.'
        return f'{head}\n{text(self.program)}'

    @property
    def kernel_source(self) -> str:
        return self.get_kernel_source()

    def get_host_source(self) -> str:
        raise UnsupportedError('there is no host source', why='the simulator launches the tile program itself', instead='get_kernel_source()')

    @property
    def host_source(self) -> str:
        return self.get_host_source()

    def get_profiler(self, tensor_supply_type: TensorSupplyType = TensorSupplyType.Auto) -> Profiler:
        return Profiler(self, tensor_supply_type)

    def run_once(self, func: Callable | None = None) -> Any:
        """One launch on made-up inputs."""
        return self.get_profiler().run_once(func)

    def update_tuner_result(self, latency: float, config: dict, ref_latency: float | None = None) -> 'JITKernel':
        self.latency, self.config, self.ref_latency = latency, config, ref_latency
        return self

    def get_tuner_result(self) -> tuple:
        if self.latency is None:
            raise DialectError('this kernel was not tuned', why='only the autotuner fills in latency and config')
        return self.latency, self.config, self.ref_latency

    def __repr__(self) -> str:
        return f'<JITKernel {self.program.name} on {self.platform} ({self.target})>'


def compile(func: Any, out_idx: Any = None, workspace_idx: Any = None, execution_backend: str = 'cython', target: str = 'auto',
            target_host: Any = None,
            platform: str = 'auto', verbose: bool = False, pass_configs: dict | None = None) -> Any:
    """A kernel from a prim_func, for the backend in force: a JITKernel of the simulator, or the fork's own."""
    if not isinstance(func, Program) and not _is_prim_func(func):
        raise DialectTypeError(f'compile takes a prim_func, got {func!r}', instead='compile(factory(...)), or @jit on the factory')
    return backend().compile(func, CompileOptions(out_idx, workspace_idx, target, target_host, platform, execution_backend, verbose, pass_configs))


def simulated_compile(func: Any, options: CompileOptions) -> JITKernel:
    return JITKernel(func, options.out_idx, options.workspace_idx, options.target, options.platform, options.pass_configs, options.verbose)


class _Factory:
    """A decorated factory: calls are memoised per arguments, platform included."""

    def __init__(self, func: Callable, options: CompileOptions):
        functools.update_wrapper(self, func)
        self.func, self.options = func, options
        self.out_idx, self.target, self.pass_configs = options.out_idx, options.target, options.pass_configs
        self.kernels: dict[Any, JITKernel] = {}

    @property
    def __jit_impl__(self) -> '_Factory':
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> JITKernel:
        tuned = kwargs.pop('__tune_params', None) or {}
        kwargs = {**kwargs, **tuned}
        # 1, 1.0 and True are equal to Python but make different kernels.
        typed = (tuple((type(a), a) for a in args), tuple((k, type(v), v) for k, v in sorted(kwargs.items())))
        key = (typed, determine_platform(self.options.platform), target_of(self.options.target))
        try:
            found = self.kernels.get(key)
        except TypeError:
            bad = next((a for a in (*args, *kwargs.values()) if not _hashable(a)), None)
            raise DialectTypeError(f'{self.func.__name__}: the argument {bad!r} is not hashable',
                                   why='compiled kernels are kept per arguments of the factory',
                                   instead='a tuple instead of a list, numbers and strings instead of tensors') from None
        if found is None:
            found = self.kernels[key] = self._compile(args, kwargs)
        return found

    def _compile(self, args: tuple, kwargs: dict) -> JITKernel:
        made = self.func(*args, **kwargs)
        if isinstance(made, JITKernel) or not _is_prim_func(made):
            raise DialectTypeError(f'{self.func.__name__} returned {type(made).__name__}', why='a factory returns the prim_func it defines',
                                   instead='return main')
        kernel, folder = simulated_compile(made, self.options), self.options.debug_root_path
        if folder is not None:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, f'tilelang_jit_program_{kernel.program.name}.txt'), 'w', encoding='utf-8') as f:
                f.write(kernel.get_kernel_source())
        return kernel


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _is_prim_func(value: Any) -> bool:
    """A prim_func of this package, or TIR its builder made; asked without loading the front end."""
    return type(value).__name__ == 'PrimFunc'


def jit(func: Callable | None = None, *, out_idx: Any = None, workspace_idx: Any = None, target: str = 'auto', target_host: Any = None,
        platform: str = 'auto',
        execution_backend: str = 'cython', verbose: bool = False, pass_configs: dict | None = None, debug_root_path: str | None = None):
    """Decorator of a factory that returns a prim_func, for the backend in force."""
    options = CompileOptions(out_idx, workspace_idx, target, target_host, platform, execution_backend, verbose, pass_configs, debug_root_path)
    target_of(target)
    configs_of(pass_configs)
    if _is_prim_func(func):
        raise DialectError('jit on a prim_func', why='it decorates the factory, which returns the prim_func', instead='tiletwin.compile(prim_func)')
    if func is not None and not callable(func):
        raise DialectTypeError(f'jit on {func!r}', why='it decorates a function')
    return backend().jit(func, options)


def simulated_jit(func: Callable | None, options: CompileOptions) -> Any:
    return functools.partial(_Factory, options=options) if func is None else _Factory(func, options)
