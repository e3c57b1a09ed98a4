"""What is installed here, and what works with it. Looks, but imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from ..machine.chip import CHIPS, chip


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    text: str
    fix: str = ''
    needed: bool = True  # by the simulator


def _package(name: str) -> tuple[str, Path] | None:
    """Version and folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = 'unknown version'
    return version, Path(spec.origin).parent


def is_ascend_fork(folder: Path) -> bool:
    """The fork ships the Ascend dialect as part of tilelang.language; the package from PyPI does not."""
    return any((folder / 'language').glob('ascend*'))


def cache_folder() -> Path:
    """Where `language.cache` keeps programs; said here again because importing it loads tilelang."""
    return Path(os.environ.get('TILETWIN_CACHE_DIR') or Path.home() / '.cache' / 'tiletwin')


def checks() -> list[Check]:
    torch, tilelang, npu = _package('torch'), _package('tilelang'), _package('torch_npu')
    kind = 'tilelang-ascend fork' if tilelang is not None and is_ascend_fork(tilelang[1]) else 'mainline package'
    toolkit = os.environ.get('ASCEND_HOME_PATH', '')
    simulator = torch is not None and tilelang is not None
    install = 'pip install "tiletwin[sim]"'
    return [
        Check('python', True, platform.python_version()),
        Check('torch', torch is not None, torch[0] if torch else 'not installed', install),
        Check('tilelang', tilelang is not None, f'{tilelang[0]}, {kind}' if tilelang else 'not installed', install),
        Check('torch_npu', npu is not None, npu[0] if npu else 'not installed', 'only to run on an NPU: pip install "tiletwin[npu]"', needed=False),
        Check('CANN', bool(toolkit), toolkit or 'ASCEND_HOME_PATH is not set', "only to run on an NPU: source the toolkit's set_env.sh",
              needed=False),
        *(Check(f'chip {n}', True, f'{chip(n).title}: {chip(n).cube_cores} cube and {chip(n).vector_cores} vector cores at {chip(n).clock_mhz:g} MHz')
          for n in CHIPS),
        Check('cache', True, f'{cache_folder()}, {sum(1 for _ in cache_folder().glob("*.program"))} programs'),
        Check('simulator', simulator, 'numbers, hazards and modelled times' if simulator else 'needs torch and tilelang', install),
    ]
