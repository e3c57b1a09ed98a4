"""What is installed here, and what works with it. Looks, but imports nothing heavy unless an NPU is within reach."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator

from ..backends import ascend950
from ..backends.choose import BACKENDS, backend
from ..backends.protocol import COMPILE, RUN, Capability
from ..errors import TileTwinError
from ..installed import FORK, MAINLINE, MIXED, Package, distributions, fork_files, kind, package, toolkit, unlisted
from ..machine.chip import CHIPS, chip

SIM = 'pip install "tiletwin[sim]"'
NPU = 'only to run on an NPU: '


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    text: str
    fix: str = ''
    needed: bool = True  # by the backend in force


def is_ascend_fork(folder: Path) -> bool:
    return bool(fork_files(folder))


def cache_folder() -> Path:
    """Where `language.cache` keeps programs; said here again because importing it loads tilelang."""
    return Path(os.environ.get('TILETWIN_CACHE_DIR') or Path.home() / '.cache' / 'tiletwin')


def checks() -> list[Check]:
    torch, tilelang, npu, cann = package('torch'), package('tilelang'), package('torch_npu'), toolkit()
    return [
        Check('python', True, platform.python_version()),
        Check('torch', torch is not None, torch.version if torch else 'not installed', SIM),
        Check('tilelang', tilelang is not None, f'{tilelang.version}, {kind(tilelang.folder)}' if tilelang else 'not installed', SIM),
        Check('torch_npu', npu is not None, npu.version if npu else 'not installed', f'{NPU}pip install "tiletwin[npu]"', needed=False),
        Check('CANN', cann.exists, _toolkit_text(), f'{NPU}{f"source {cann.script}" if cann.script else "source the set_env.sh of the toolkit"}', needed=False),
        _device(),
        *(Check(f'chip {n}', True, f'{chip(n).title}: {chip(n).cube_cores} cube and {chip(n).vector_cores} vector cores at {chip(n).clock_mhz:g} MHz')
          for n in CHIPS),
        Check('cache', True, f'{cache_folder()}, {sum(1 for _ in cache_folder().glob("*.program"))} programs'),
        *_traps(torch, tilelang, npu),
        *_backends(),
    ]


def _toolkit_text() -> str:
    cann = toolkit()
    if not cann.home:
        return 'ASCEND_HOME_PATH is not set' + (f', but {cann.script} is there: its environment is not sourced' if cann.script else '')
    if not cann.exists:
        return f'ASCEND_HOME_PATH={cann.home} is no folder'
    return f'{cann.version or "unknown version"} in {cann.home}' + ('' if cann.loads else ', but libascendcl.so cannot be loaded')


def _device() -> Check:
    """The devices as the driver's own tool lists them."""
    tool = shutil.which('npu-smi')
    if tool is None:
        return Check('NPU', False, 'npu-smi is not on the path: no driver', f'{NPU}install the driver, or pass the devices and npu-smi into the container',
                     needed=False)
    try:
        said = subprocess.run([tool, 'info'], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check('NPU', False, f'npu-smi does not answer: {error}', f'{NPU}npu-smi info', needed=False)
    found = re.findall(r'\b(?:Ascend)?\s?((?:910|950)[A-Z]?[\w_]*)\b', said.stdout)
    if said.returncode or not found:
        return Check('NPU', False, 'npu-smi lists no device this package knows', f'{NPU}npu-smi info', needed=False)
    return Check('NPU', True, f'{len(found)} x {", ".join(sorted(set(found)))}', needed=False)


# -- known traps --------------------------------------------------------------------------------------------------------
def _traps(torch: Package | None, tilelang: Package | None, npu: Package | None) -> Iterator[Check]:
    if tilelang is not None:
        yield from _wheel_traps(tilelang, npu is not None and toolkit().exists)
    if npu is not None and not toolkit().loads:
        yield Check('trap: autoload', False, 'torch loads torch_npu by itself and fails without the toolkit: `import torch` raises. '
                    'Inside tiletwin the loading is switched off', 'export TORCH_DEVICE_BACKEND_AUTOLOAD=0, or source the set_env.sh of the toolkit', needed=False)
    if npu is not None and torch is not None and _release(npu.version) != _release(torch.version):
        yield Check('trap: versions', False, f'torch_npu {npu.version} is built for torch {_release(npu.version)}, torch is {torch.version}',
                    f'pip install torch=={npu.version.split(".post")[0]}', needed=False)


def _release(version: str) -> str:
    return '.'.join(re.split(r'[.+]', version)[:2])


def _wheel_traps(tilelang: Package, on_npu: bool) -> Iterator[Check]:
    """The fork and mainline are one import package, and mostly one distribution name: pip takes either for the other."""
    rebuild = 'pip uninstall -y tilelang, then install the one that is meant: the fork from its checkout with pip install --no-deps ., or ' + SIM
    found, left = kind(tilelang.folder), unlisted(tilelang)
    if found == MIXED:
        yield Check('trap: wheel', False, 'files of the fork and of mainline lie in one folder: one was installed over the other', rebuild)
    elif found == FORK and left:
        yield Check('trap: wheel', False, f'pip lists {", ".join(tilelang.distributions)}, but {left[0]} of the fork is not among its files', rebuild)
    elif found == MAINLINE and on_npu:
        yield Check('trap: wheel', False, 'mainline tilelang where an NPU toolkit is: if the fork was installed, pip has replaced it '
                    '(both are the distribution tilelang)', 'install the fork again from its checkout with pip install --no-deps .', needed=False)
    if len(tilelang.distributions) > 1:
        yield Check('trap: wheel', False, f'{" and ".join(tilelang.distributions)} both bring the import package tilelang', rebuild)
    elsewhere = [d for d in distributions('tilelang') if Path(d.locate_file('tilelang')).is_dir()
                 and Path(d.locate_file('tilelang')).resolve() != tilelang.folder.resolve()]
    if elsewhere:
        yield Check('trap: path', False, f'tilelang is imported from {tilelang.folder}, which comes before the installed {elsewhere[0].version}',
                    'PYTHONPATH without that folder, or the other one uninstalled', needed=False)


# -- backends -----------------------------------------------------------------------------------------------------------
def _backends() -> Iterator[Check]:
    try:
        chosen = backend().name
    except TileTwinError as error:
        chosen = ''
        yield Check('backend', False, error.what, f'TILETWIN_BACKEND={error.instead}')
    rows: dict[str, Iterable[Capability]] = {name: made().capabilities() for name, made in BACKENDS.items()}
    for name, found in rows.items():
        yield _backend(name, tuple(found), RUN, name == chosen)
    yield _backend('ascend950', ascend950.capabilities(), COMPILE, False)


def _backend(name: str, found: tuple[Capability, ...], deed: str, chosen: bool) -> Check:
    """A backend is good when it can do the deed it is there for."""
    missing = [c for c in found if c.name == deed and not c.ok]
    mark = ' (in force)' if chosen else ''
    if missing:
        return Check(name, False, f'cannot {deed} kernels{mark}: ' + '; '.join(c.text for c in missing), '; '.join(dict.fromkeys(c.fix for c in missing)), chosen)
    cannot = [c for c in found if not c.ok]
    able = '; '.join(f'{c.name}: {c.text}' for c in found if c.ok) + mark
    return Check(name, True, able + (f'; cannot {", ".join(c.name for c in cannot)}: {cannot[0].text}' if cannot else ''), '', chosen)


def text(rows: Iterable[Check]) -> str:
    lines = []
    for c in rows:
        lines.append(f'{"ok" if c.ok else "--":<3}{c.name:<16}{c.text}')
        if not c.ok and c.fix:
            lines.append(f'{"":<19}fix: {c.fix}')
    return '\n'.join(lines)
