"""`torch.npu` and `torch_npu`: one device, the chip of the run; its streams are in order and its events read the simulated clock."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .clock import clock
from .refuse import refuse

_NAMES = {'a2': 'Ascend910B1', 'a3': 'Ascend910_9392', 'a5': 'Ascend950PR_9572'}


def _chip() -> Any:
    from ..jit import determine_platform
    from ..machine.chip import chip

    return chip(determine_platform().lower())


@dataclass(frozen=True)
class Properties:
    """What the driver tells of a device."""

    name: str
    total_memory: int
    cube_core_num: int
    vector_core_num: int
    L2_cache_size: int

    @property
    def multi_processor_count(self) -> int:
        return self.cube_core_num


class Event:
    """A point on the simulated clock."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        self.at: float | None = None

    def record(self, stream: Any = None) -> None:
        self.at = clock.now

    def wait(self, stream: Any = None) -> None:
        """Launches are in order."""

    def synchronize(self) -> None:
        """Launches are complete when they return."""

    def query(self) -> bool:
        return True

    def elapsed_time(self, end: 'Event') -> float:
        """Modelled milliseconds between two events."""
        if self.at is None or end.at is None:
            raise RuntimeError('Both events must be recorded before calculating elapsed time.')
        return (end.at - self.at) / 1e3


class Stream:
    """An in-order queue; all streams of the simulator are one."""

    def __init__(self, device: Any = None, priority: int = 0, **_: Any):
        self.device, self.npu_stream = device, 0

    def synchronize(self) -> None:
        """Launches are complete when they return."""

    def query(self) -> bool:
        return True

    def wait_event(self, event: Event) -> None:
        """Launches are in order."""

    def wait_stream(self, stream: 'Stream') -> None:
        """Launches are in order."""

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self) -> 'Stream':
        return self

    def __exit__(self, *_: Any) -> None:
        return None


_STREAM = Stream()


def _nothing(*_: Any, **__: Any) -> None:
    """Has no counterpart on the simulator and changes no result."""


class _Place:
    """`with torch.npu.device(0)`, `with torch.npu.stream(s)`."""

    def __init__(self, *_: Any):
        return

    def __enter__(self) -> '_Place':
        return self

    def __exit__(self, *_: Any) -> None:
        return None


def _properties(device: Any = None) -> Properties:
    on = _chip()
    return Properties(_NAMES[on.name], 64 << 30, on.cube_cores, on.cube_cores * on.vectors_per_cube, 192 << 20)


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _device_limit(device: Any = None) -> dict[str, int]:
    found = _properties()
    return {'cube_core_num': found.cube_core_num, 'vector_core_num': found.vector_core_num}


def _memory() -> tuple[int, int]:
    total = _properties().total_memory
    return total, total


_ZERO = dict.fromkeys(('memory_allocated', 'max_memory_allocated', 'memory_reserved', 'max_memory_reserved', 'current_device', 'utilization'),
                      lambda *_, **__: 0)
_IGNORED = dict.fromkeys(('init', 'set_device', 'synchronize', 'empty_cache', 'set_stream', 'reset_peak_memory_stats', 'set_compile_mode', 'set_option',
                          'ipc_collect', 'reset_max_memory_allocated', 'set_per_process_memory_fraction', 'obfuscation_initialize',
                          'enable_deterministic_with_backward', 'set_device_limit', '_lazy_init'), _nothing)
_NPU = {
    **_ZERO, **_IGNORED, 'is_available': lambda: True, 'is_initialized': lambda: True, 'device_count': lambda: 1,
    'get_device_name': lambda device=None: _properties().name, 'get_device_properties': _properties, 'get_device_limit': _device_limit,
    'get_device_capability': lambda device=None: None, 'mem_get_info': lambda device=None: _memory(), 'is_bf16_supported': lambda: True,
    'Event': Event, 'Stream': Stream, 'current_stream': lambda device=None: _STREAM, 'default_stream': lambda device=None: _STREAM,
    'stream': _Place, 'device': _Place, 'manual_seed': _seed, 'manual_seed_all': _nothing, '_is_in_bad_fork': lambda: False, 'seed': _nothing,
}
_GONE = {
    'NPUGraph': ('graphs of launches are not modelled', 'the launches themselves'),
    'graph': ('graphs of launches are not modelled', 'the launches themselves'),
    'npu_fusion_attention': ('vendor operators are not simulated', 'torch.nn.functional.scaled_dot_product_attention'),
    'npu_fused_infer_attention_score': ('vendor operators are not simulated', 'torch.nn.functional.scaled_dot_product_attention'),
    'npu_rotary_mul': ('vendor operators are not simulated', 'x * cos + rotate_half(x) * sin'),
    'npu_grouped_matmul': ('vendor operators are not simulated', 'torch.matmul for each group'),
    'npu_quant_matmul': ('vendor operators are not simulated', 'torch.matmul on float32 copies'),
    'npu_moe_token_permute': ('vendor operators are not simulated', 'torch.argsort and indexing'),
    'profiler': ('the vendor profiler reads hardware counters', 'tiletwin trace SCRIPT'),
}


class NpuModule(ModuleType):
    """`torch.npu`, `torch_npu` and what lies below them; unknown names are refused at the line that uses them."""

    def __init__(self, name: str, entries: dict[str, Any]):
        super().__init__(name, f'{name} on the simulator')
        self.__dict__.update(entries)
        self.__dict__['__path__'] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        why, instead = _GONE.get(name, ('it has no counterpart on the simulator', ''))
        if not instead:
            instead = ' or '.join(f'{self.__name__}.{n}' for n in difflib.get_close_matches(name, list(self.__dict__), 2))
        refuse(f'{self.__name__}.{name}', sys._getframe(1), why, instead)


def _rms_norm(x: Any, gamma: Any, epsilon: float = 1e-6) -> tuple:
    import torch

    rstd = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + epsilon)
    return (x.float() * rstd * gamma.float()).to(x.dtype), rstd


def _swiglu(x: Any, dim: int = -1) -> Any:
    import torch

    gate, up = x.chunk(2, dim)
    return torch.nn.functional.silu(gate.float()).mul(up.float()).to(x.dtype)


def modules() -> dict[str, ModuleType]:
    """Every module of the device by name."""
    npu = NpuModule('torch.npu', dict(_NPU))
    config = NpuModule('torch.npu.config', {'allow_internal_format': False})
    amp = NpuModule('torch.npu.amp', {})
    top = NpuModule('torch_npu', {'npu': npu, '__version__': '2.0.0+tiletwin', 'npu_rms_norm': _rms_norm, 'npu_swiglu': _swiglu,
                                  'npu_format_cast': lambda x, form: x, 'get_npu_format': lambda x: 2})
    npu.__dict__.update(config=config, amp=amp)
    return {'torch.npu': npu, 'torch.npu.config': config, 'torch.npu.amp': amp, 'torch_npu': top, 'torch_npu.npu': npu}
