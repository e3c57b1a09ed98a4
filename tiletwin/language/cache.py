"""Programs kept by what they were built from: in this process, and on disk for the next one.

The directory is TILETWIN_CACHE_DIR, or ~/.cache/tiletwin. A file that is damaged or was written by another version is ignored.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tempfile
from collections import OrderedDict
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

from .fingerprint import fingerprint

if TYPE_CHECKING:
    from ..ir.nodes import Program

_MAGIC = b'tiletwin program 1\n'
_KEEP = 512
_programs: OrderedDict[str, 'Program'] = OrderedDict()
_enabled = True


def enable() -> None:
    global _enabled
    _enabled = True


def disable() -> None:
    """Every kernel is traced again from now on."""
    global _enabled
    _enabled = False


def is_enabled() -> bool:
    return _enabled


def directory() -> Path:
    chosen = os.environ.get('TILETWIN_CACHE_DIR')
    return Path(chosen) if chosen else Path.home() / '.cache' / 'tiletwin'


def clear() -> None:
    """Forgets every Program, on disk too."""
    _programs.clear()
    for path in _files():
        path.unlink(missing_ok=True)


def _files() -> list[Path]:
    try:
        return sorted(directory().glob('*.program'))
    except OSError:
        return []


def _path(key: str) -> Path:
    return directory() / f'{key}.program'


def key_of(func: FunctionType) -> str | None:
    """The key under which the Program of `func` is kept; None when it is not kept."""
    return fingerprint(func) if _enabled else None


class _Reader(pickle.Unpickler):
    """Reads Programs and nothing else."""

    def find_class(self, module: str, name: str):
        if module in ('tiletwin.ir.nodes', 'tiletwin.ir.expr') or (module, name) == ('tiletwin.errors', 'Span'):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'{module}.{name} is not part of a Program')


def load(key: str) -> 'Program | None':
    """The kept Program, or None."""
    found = _programs.get(key)
    if found is not None:
        _programs.move_to_end(key)
        return found
    try:
        data = _path(key).read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + hashlib.sha256().digest_size
    if not data.startswith(_MAGIC) or hashlib.sha256(data[head:]).digest() != data[len(_MAGIC):head]:
        return None
    try:
        program = _Reader(io.BytesIO(data[head:])).load()
    except (pickle.UnpicklingError, AttributeError, TypeError, EOFError, IndexError):
        return None
    _remember(key, program)
    return program


def _remember(key: str, program: 'Program') -> None:
    _programs[key] = program
    while len(_programs) > _KEEP:
        _programs.popitem(last=False)


def store(key: str, program: 'Program') -> None:
    """Keeps a Program; a directory that cannot be written is not an error."""
    _remember(key, program)
    payload = pickle.dumps(program, protocol=5)
    data = _MAGIC + hashlib.sha256(payload).digest() + payload
    try:
        directory().mkdir(parents=True, exist_ok=True)
        # Written beside its place and moved there, so that no reader sees half a file.
        handle, temporary = tempfile.mkstemp(dir=directory(), suffix='.part')
        try:
            with os.fdopen(handle, 'wb') as f:
                f.write(data)
            os.replace(temporary, _path(key))
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError:
        return
