"""The device behind torch_npu: is it there, what is it, how long does it take (dialect 1.3, 1.8)."""

from __future__ import annotations

import functools
from typing import Any, Callable

from ..errors import EnvironmentError_

# More than any L2 of these chips: writing it leaves nothing of a kernel's tensors in the cache.
L2_FLUSH_BYTES = 256 << 20
WARMUP = 5


@functools.cache
def _load() -> tuple[Any, str]:
    """torch with its npu device, or None and what went wrong."""
    from ..npu_guard import guard

    guard()
    try:
        import torch
        import torch_npu  # noqa: F401  (makes torch.npu)
    except (ImportError, OSError, RuntimeError) as error:
        return None, f'torch_npu cannot be imported: {str(error).splitlines()[0] if str(error) else type(error).__name__}'
    if not torch.npu.is_available():
        return None, 'torch_npu sees no NPU'
    return torch, ''


def missing() -> list[tuple[str, str]]:
    torch, why = _load()
    if torch is not None:
        return []
    return [(why, 'npu-smi info shows the devices of this machine; a container needs them passed through' if 'sees no NPU' in why
             else 'source the set_env.sh of the toolkit that this version of torch_npu was built for')]


def _torch() -> Any:
    torch, why = _load()
    if torch is None:
        raise EnvironmentError_('there is no NPU to run on', why=why, instead='tiletwin doctor says what is missing')
    return torch


def device_name() -> str | None:
    from ..installed import find

    if find('torch_npu') is None:
        return None
    torch, _ = _load()
    return None if torch is None else torch.npu.get_device_name()


def chip_of_device(name: str) -> str:
    """The chip family by the device's name, as the fork decides it."""
    for parts, chip in ((('910B',), 'a2'), (('910_93', '910C'), 'a3'), (('950', '910_95'), 'a5'), (('910',), 'a2')):
        if any(part in name for part in parts):
            return chip
    raise EnvironmentError_(f'{name} is no chip this package knows', why='the dialect is compiled for Ascend 910B, 910C and 950')


def cube_cores() -> int | None:
    """None where the driver does not tell."""
    return getattr(_torch().npu.get_device_properties(0), 'cube_core_num', None)


def versions() -> dict[str, str]:
    """What a measurement depends on besides the kernel."""
    from ..installed import package, toolkit

    found = {name: one.version for name in ('tilelang', 'torch', 'torch_npu') if (one := package(name))}
    return {**found, 'cann': toolkit().version or 'unknown'}


def to_device(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    _torch()
    return tuple(t.npu() for t in tensors)


def median(samples: tuple[float, ...]) -> float:
    import statistics

    return statistics.median(samples)


def sample(launch: Callable[[], Any], repeat: int) -> tuple[float, ...]:
    """Microseconds of each of `repeat` launches, every one on a flushed L2.

    The flush is queued before the first event: while the device writes, the host prepares the launch, so that the device finds the
    launch and both events waiting and the host's own time is not measured.
    """
    if repeat < 1:
        raise EnvironmentError_(f'repeat is {repeat}', instead='a positive number of launches')
    torch = _torch()
    flush = torch.empty(L2_FLUSH_BYTES // 4, dtype=torch.int32).npu()
    for _ in range(WARMUP):
        launch()
    events = [(torch.npu.Event(enable_timing=True), torch.npu.Event(enable_timing=True)) for _ in range(repeat)]
    for start, end in events:
        flush.zero_()
        start.record()
        launch()
        end.record()
    torch.npu.synchronize()
    return tuple(start.elapsed_time(end) * 1e3 for start, end in events)
