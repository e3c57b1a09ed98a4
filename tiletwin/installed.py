"""What is installed beside this package: which tilelang, torch_npu, the vendor toolkit. Looks at files, imports nothing."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import importlib.metadata

FORK, MAINLINE, MIXED = 'tilelang-ascend fork', 'mainline package', 'fork and mainline mixed'


@dataclass(frozen=True)
class Package:
    """An import package, the distributions that claim it and their version."""

    name: str
    version: str
    folder: Path
    distributions: tuple[str, ...]


def find(name: str) -> Path | None:
    """The folder `import name` would load from; modules that only stand in `sys.modules` do not count."""
    for finder in sys.meta_path:
        look = getattr(finder, 'find_spec', None)
        spec = look(name, None) if look is not None else None
        if spec is not None:
            return Path(spec.origin).parent if spec.origin else None
    return None


def package(name: str) -> Package | None:
    folder = find(name)
    if folder is None:
        return None
    owners = distributions(name)
    version = ', '.join(dict.fromkeys(d.version for d in owners)) or _version_file(folder) or 'unknown version'
    return Package(name, version, folder, tuple(f'{d.metadata["Name"]} {d.version}' for d in owners))


def distributions(name: str) -> list[importlib.metadata.Distribution]:
    """Every installed distribution that brings the import package `name`, by its own name or by its list of files."""
    import importlib.metadata

    found = []
    for candidate in dict.fromkeys((name, name.replace('_', '-'), f'{name}-ascend')):
        try:
            one = importlib.metadata.distribution(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        if all(one.metadata['Name'] != other.metadata['Name'] for other in found):
            found.append(one)
    return found


def _version_file(folder: Path) -> str:
    """A source tree on the import path has no metadata; the fork keeps its version in a file."""
    for path in (folder / 'VERSION', folder.parent / 'VERSION'):
        if path.is_file():
            return path.read_text(encoding='utf-8').strip()
    return ''


# Both have `tilelang.language` and `tilelang.transform`; these are what only one of them has.
_FORK_FILES = ('language/reduce_ascend.py', 'language/ascend*')
_MAINLINE_FILES = ('language/eager', 'ascend/__init__.py')


def fork_files(folder: Path) -> list[Path]:
    """Files that make a `tilelang` folder the Ascend fork's."""
    found = sorted(p for pattern in _FORK_FILES for p in folder.glob(pattern))
    keys = folder / 'transform' / 'pass_config.py'
    if keys.is_file() and 'TL_ASCEND_AUTO_SYNC' in keys.read_text(encoding='utf-8', errors='replace'):
        found.append(keys)
    return found


def kind(folder: Path) -> str:
    fork, mainline = bool(fork_files(folder)), any(any(folder.glob(pattern)) for pattern in _MAINLINE_FILES)
    return MIXED if fork and mainline else FORK if fork else MAINLINE


# An installation does not change under a process that uses it; kernels ask at every call.
_kind_here = functools.cache(kind)


def tilelang_kind() -> str:
    """FORK, MAINLINE, MIXED, or '' when no tilelang is installed."""
    folder = find('tilelang')
    return _kind_here(folder) if folder is not None else ''


def unlisted(found: Package) -> list[str]:
    """Files of the fork in a folder of pip's that pip does not list: what an overwritten installation leaves behind.

    A source tree on the import path and an editable installation have no files in pip's lists at all.
    """
    present = fork_files(found.folder)
    listed = {Path(d.locate_file(f)).resolve() for d in distributions(found.name) for f in d.files or () if present and f.suffix == '.py'}
    return [str(p.relative_to(found.folder)) for p in present if found.folder.resolve() / '__init__.py' in listed and p.resolve() not in listed]


@dataclass(frozen=True)
class Toolkit:
    """The vendor toolkit as the environment names it."""

    home: str  # ASCEND_HOME_PATH
    exists: bool
    version: str
    loads: bool  # its runtime library can be loaded
    script: str  # a set_env.sh that has not been sourced


_HOMES = ('/usr/local/Ascend/ascend-toolkit', '/usr/local/Ascend/cann', '/usr/local/Ascend/latest')


def toolkit() -> Toolkit:
    home = os.environ.get('ASCEND_HOME_PATH', '')
    places = [Path(home)] if home else []
    places += [Path(p) for p in (*_HOMES, str(Path.home() / 'Ascend' / 'ascend-toolkit'))]
    script = next((str(s) for p in places for s in (p / 'set_env.sh', p / 'latest' / 'set_env.sh', p.parent / 'set_env.sh') if s.is_file()), '')
    return Toolkit(home, bool(home) and Path(home).is_dir(), _toolkit_version(Path(home)) if home else '', _loads('libascendcl.so'), script)


def _toolkit_version(home: Path) -> str:
    for path in sorted((*home.glob('version.cfg'), *home.glob('*/ascend_toolkit_install.info'), *home.glob('ascend_toolkit_install.info'))):
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            key, _, value = line.partition('=')
            if key.strip().lower() in ('version', 'toolkit_installed_version') and value.strip():
                return value.strip().strip('[]').split(':')[-1]
    return ''


def _loads(library: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
