"""torch with a device called 'npu': its tensors are tensors of the host.

torch knows the name through its slot for out-of-tree backends; a mode on every torch call puts the host in its place. Moving a tensor to
the device or back makes a copy, as it does on a machine with an NPU, so that what a kernel changes in place stays apart.
"""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from . import hostmath

CPU = torch.device('cpu')
_MOVES = frozenset({torch.Tensor.to, torch.Tensor.cpu})


def is_npu(value: Any) -> bool:
    """Does the value name the device?"""
    if isinstance(value, str):
        return value == 'npu' or value.startswith('npu:')
    return isinstance(value, torch.device) and value.type == 'npu'


def on_host(value: Any) -> Any:
    return CPU if is_npu(value) else value


class NpuMode(TorchFunctionMode):
    """Calls that name the device run on the host; calls CPU torch would refuse or round differently are done as the chip does them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs) if kwargs else {}
        moved = func in _MOVES
        if any(map(is_npu, args)):
            args = tuple(map(on_host, args))
        elif moved and func is not torch.Tensor.cpu:
            moved = is_npu(kwargs.get('device')) or any(isinstance(a, torch.device) or a == 'cpu' for a in args[1:] if isinstance(a, (str, torch.device)))
        if is_npu(kwargs.get('device')):
            kwargs['device'] = CPU
        # The host has no pinned memory without a device driver.
        kwargs.pop('pin_memory', None)
        if func is torch.Tensor.pin_memory:
            return args[0]
        result = hostmath.call(func, args, kwargs)
        return result.clone() if moved and result is args[0] else result


def _npu(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """The tensor on the device: a copy."""
    return tensor.detach().clone().requires_grad_(tensor.requires_grad) if tensor.is_leaf else tensor.clone()


def _module_npu(module: torch.nn.Module, device: Any = None) -> torch.nn.Module:
    return module


class _GeneratorKind(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _Generator)


_Generator = torch.Generator


class Generator(metaclass=_GeneratorKind):
    """A random generator; one of the device is one of the host."""

    def __new__(cls, device: Any = 'cpu'):
        return _Generator(on_host(device))


_set_default_device = torch.set_default_device
_load = torch.load
_autocast = torch.autocast
_start = threading.Thread.start


def _set_default(device: Any) -> None:
    _set_default_device(on_host(device))


def _loading(*args: Any, map_location: Any = None, **kwargs: Any) -> Any:
    return _load(*args, map_location=on_host(map_location), **kwargs)


class autocast(_autocast):
    """Mixed precision; for the device, that of the host."""

    def __init__(self, device_type: str = 'cpu', *args: Any, **kwargs: Any):
        super().__init__('cpu' if is_npu(device_type) else device_type, *args, **kwargs)


def _within_mode(run: Any) -> None:
    with NpuMode():
        run()


def _start_with_mode(thread: threading.Thread) -> None:
    """Modes belong to a thread: the threads of a script get their own."""
    if active():
        thread.run = functools.partial(_within_mode, thread.run)  # type: ignore[method-assign]
    _start(thread)


def active() -> bool:
    """Do torch calls of this thread go through the mode right now?"""
    return torch._C._is_torch_function_mode_enabled() and any(isinstance(m, NpuMode) for m in torch.overrides._get_current_function_mode_stack())


_PATCHES = {
    (torch, 'set_default_device'): _set_default, (torch, 'load'): _loading, (torch, 'Generator'): Generator, (torch, 'autocast'): autocast,
    (torch.amp, 'autocast'): autocast, (torch.Tensor, 'npu'): _npu, (torch.Tensor, 'is_npu'): property(lambda t: True),
    (torch.nn.Module, 'npu'): _module_npu, (threading.Thread, 'start'): _start_with_mode,
}
_before: dict[tuple, Any] = {}
_mode: list[NpuMode] = []


def install(npu: Any) -> None:
    """torch takes the device from now on, in this thread and those it starts; `npu` becomes torch.npu."""
    if _mode:
        return
    if torch._C._get_privateuse1_backend_name() != 'npu':
        torch.utils.rename_privateuse1_backend('npu')
    patches = {**_PATCHES, (torch, 'npu'): npu}
    for (owner, name), value in patches.items():
        _before[owner, name] = owner.__dict__.get(name)
        setattr(owner, name, value)
    mode = NpuMode()
    mode.__enter__()
    _mode.append(mode)


def remove() -> None:
    """torch as it was, but for the name of the device, which torch keeps once given and asks a module about."""
    if not _mode:
        return
    _set_default_device(None)
    _mode.pop().__exit__(None, None, None)
    for (owner, name), value in _before.items():
        if value is None:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    _before.clear()
    if not hasattr(torch, 'npu'):
        torch.npu = ModuleType('torch.npu')
        torch.npu.is_available, torch.npu.device_count = lambda: False, lambda: 0
