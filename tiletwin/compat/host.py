"""Host-side functions of tilelang: caches, numbers, targets, lowering."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

VERSION = '0.1.0+tiletwin'


def clear_cache() -> None:
    """Every kernel is traced again."""
    from ..language.cache import clear

    clear()


def cached(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Compiles a prim_func; programs are kept by their content anyway."""
    from ..jit import compile as compile_

    return compile_(func, *args, **kwargs)


def set_cache_dir(path: str) -> None:
    os.environ['TILETWIN_CACHE_DIR'] = str(path)


def get_cache_dir() -> str:
    from ..language.cache import directory

    return str(directory())


def next_power_of_2(x: int) -> int:
    return 1 << (int(x) - 1).bit_length() if x > 0 else 1


def cdiv(a: int, b: int) -> int:
    return -(-a // b)


def determine_target(target: str = 'auto', return_object: bool = False) -> str:
    from ..backends.settings import TARGETS, target_of

    return target if target in TARGETS and target != 'auto' else target_of(target)


def data_type() -> type:
    """tvm's DataType: `DataType('float16').bits`."""
    from .modules import real

    return real('tilelang').DataType


def tvm() -> Any:
    """The tvm behind tilelang, with the older name of its tensor IR."""
    from .modules import real

    real('tilelang')
    return _Tvm()


class _Tvm:
    def __getattr__(self, name: str) -> Any:
        if name == 'tir':
            return _Tir()
        return getattr(sys.modules['tvm'], name)


class _Tir:
    """`tvm.tir` under its older name; a prim_func is what `T.prim_func` makes here."""

    def __getattr__(self, name: str) -> Any:
        if name == 'PrimFunc':
            return importlib.import_module('tiletwin.language').PrimFunc
        return getattr(importlib.import_module('tvm.tirx'), name)


def set_log_level(level: int | str) -> None:
    logging.getLogger('tilelang').setLevel(level)


def set_random_seed(seed: int = 42) -> None:
    import random

    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def torch_assert_close(actual: Any, expected: Any, rtol: float = 1e-2, atol: float = 1e-2, max_mismatched_ratio: float = 0.001, **_: Any) -> None:
    """All but a share of the elements agree."""
    import torch

    wrong = ~torch.isclose(actual.to(torch.float64), expected.to(torch.float64), rtol=rtol, atol=atol, equal_nan=True)
    share = wrong.double().mean().item()
    if share > max_mismatched_ratio:
        raise AssertionError(f'{share:.2%} of the elements differ by more than atol={atol}, rtol={rtol}')


def test_main() -> None:
    """Runs the tests of the calling file."""
    import pytest

    sys.exit(pytest.main([sys._getframe(1).f_globals['__file__'], *sys.argv[1:]]))


@dataclass(frozen=True)
class Artifact:
    """What lowering leaves: parameters and text, no device code."""

    params: list
    kernel_source: str
    host_mod: Any = None
    device_mod: Any = None


def lower(func: Any, target: str = 'auto', target_host: Any = None, platform: str = 'auto', **_: Any) -> Artifact:
    """The compiled form of a prim_func without running it."""
    from ..jit import compile as compile_

    kernel = compile_(func, target=target, platform=platform)
    return Artifact(kernel.params, kernel.get_kernel_source())


env = SimpleNamespace(TILELANG_CACHE_DIR='', is_cache_enabled=lambda: True, enable_cache=lambda: None, disable_cache=lambda: None)
