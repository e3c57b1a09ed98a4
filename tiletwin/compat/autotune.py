"""The autotuner on modelled times (dialect 1.9)."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any, Callable

from ..errors import DialectError, TileTwinError
from .clock import elapsed


@dataclass(frozen=True)
class AutotuneResult:
    """The best configuration and its kernel."""

    latency: float  # modelled milliseconds
    config: dict
    ref_latency: float | None
    kernel: Any
    libcode: str = ''
    func: Any = None


@dataclass(frozen=True)
class Check:
    """How configurations are compared: inputs, reference, tolerance."""

    ref_prog: Callable | None = None
    supply_prog: Callable | None = None
    supply_type: Any = None
    rtol: float = 1e-2
    atol: float = 1e-2
    max_mismatched_ratio: float = 0.01
    skip_check: bool = False
    manual_check_prog: Callable | None = None

    def inputs(self, kernel: Any) -> list:
        if self.supply_prog is not None:
            return list(self.supply_prog([kernel.params[i] for i in kernel.convention.inputs]))
        return (kernel.get_profiler(self.supply_type) if self.supply_type is not None else kernel.get_profiler()).inputs()

    def judge(self, kernel: Any, inputs: list) -> None:
        if self.ref_prog is None or self.skip_check:
            return
        if self.manual_check_prog is not None:
            self.manual_check_prog(_listed(kernel(*inputs)), _listed(self.ref_prog(*inputs)))
        else:
            kernel.get_profiler().assert_allclose(self.ref_prog, inputs, atol=self.atol, rtol=self.rtol, max_mismatched_ratio=self.max_mismatched_ratio)


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def tune(build: Callable[[dict], Any], configs: list[dict], check: Check) -> AutotuneResult:
    """Compiles, checks and times every configuration; the fastest right one wins, the first among equals."""
    best: AutotuneResult | None = None
    refused: list[str] = []
    for config in configs:
        try:
            kernel = build(config)
            inputs = check.inputs(kernel)
            check.judge(kernel, inputs)
            with elapsed() as found:
                kernel(*inputs)
        except (TileTwinError, AssertionError) as error:
            refused.append(f'{config}: {str(error).splitlines()[0] if str(error) else type(error).__name__}')
            continue
        if best is None or found[0] < best.latency:
            best = AutotuneResult(found[0], config, None, kernel, kernel.get_kernel_source(), kernel.prim_func)
    if best is None:
        raise DialectError('no configuration of the autotuner gave a right kernel', why='\n'.join(refused) or 'there was none to try',
                           instead='at least one configuration that compiles and agrees with ref_prog')
    if check.ref_prog is not None:
        with elapsed() as found:
            check.ref_prog(*check.inputs(best.kernel))
        best = AutotuneResult(best.latency, best.config, found[0], best.kernel, best.libcode, best.func)
    best.kernel.update_tuner_result(best.latency, best.config, best.ref_latency)
    return best


def _configs(configs: Any, args: tuple, kwargs: dict) -> list[dict]:
    return list(configs(args, tuple(kwargs.items())) if callable(configs) else configs)


def autotune(func: Callable | None = None, *, configs: Any, warmup: int = 25, rep: int = 100, timeout: int = 100, cache_input_tensors: bool = False,
             **checks: Any):
    """Decorator above `@tilelang.jit`: a call that leaves tunables open tries every configuration."""
    if func is None:
        return functools.partial(autotune, configs=configs, warmup=warmup, rep=rep, timeout=timeout, cache_input_tensors=cache_input_tensors, **checks)
    check = Check(**{k: v for k, v in checks.items() if k in Check.__dataclass_fields__})
    results: dict[Any, Any] = {}

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        tried = _configs(configs, args, kwargs)
        given = set(inspect.signature(func).bind_partial(*args, **kwargs).arguments)
        if tried and set(tried[0]) <= given:
            return func(*args, **kwargs)
        key = (args, tuple(sorted(kwargs.items())))
        if key not in results:
            results[key] = tune(lambda config: func(*args, **kwargs, __tune_params=config), tried, check).kernel
        return results[key]

    return call


class AutoTuner:
    """The explicit form: `AutoTuner.from_kernel(factory, configs).set_compile_args(...).set_profile_args(...).run()`."""

    def __init__(self, fn: Callable, configs: Any):
        self.fn, self.configs, self.compile_args, self.check = fn, configs, {}, Check()

    @classmethod
    def from_kernel(cls, kernel: Callable, configs: Any) -> 'AutoTuner':
        return cls(kernel, configs)

    def set_compile_args(self, **args: Any) -> 'AutoTuner':
        self.compile_args = {k: v for k, v in args.items() if k in ('out_idx', 'target', 'pass_configs', 'verbose', 'workspace_idx', 'platform')}
        return self

    def set_profile_args(self, warmup: int = 25, rep: int = 100, timeout: int = 100, **args: Any) -> 'AutoTuner':
        self.check = Check(**{k: v for k, v in args.items() if k in Check.__dataclass_fields__})
        return self

    def run(self, warmup: int = 25, rep: int = 100, timeout: int = 100) -> AutotuneResult:
        from ..jit import JITKernel, compile as compile_

        def build(config: dict) -> Any:
            made = self.fn(**config)
            return made if isinstance(made, JITKernel) else compile_(made, **self.compile_args)

        return tune(build, _configs(self.configs, (), {}), self.check)
