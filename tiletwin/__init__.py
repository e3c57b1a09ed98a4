"""tiletwin: Ascend tile kernels checked, timed and run without an NPU.

Nothing heavy is imported here: torch and tilelang come with the first kernel. What comes first is that torch can be imported at all.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from .npu_guard import guard

guard()

__version__ = '0.1.0'

# name -> module that has it
_LAZY = {
    'jit': 'tiletwin.jit',
    'compile': 'tiletwin.jit',
    'observe': 'tiletwin.jit',
    'PassConfigKey': 'tiletwin.jit',
    'operator': 'tiletwin.harness.registry',
    'operators': 'tiletwin.harness.registry',
    'using': 'tiletwin.torch_ops',
    'chip': 'tiletwin.machine.chip',
    'TileTwinError': 'tiletwin.errors',
}
_MODULES = ('language', 'machine', 'ir', 'passes', 'sim', 'sanitize', 'harness', 'report', 'errors', 'dtypes', 'cli')


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f'tiletwin.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})


class _Package(ModuleType):
    """`tiletwin.jit` is the decorator, also after `import tiletwin.jit` made the import system store the module under that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == 'jit' and isinstance(value, ModuleType):
            value = value.jit
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
