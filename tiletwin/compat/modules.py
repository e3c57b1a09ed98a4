"""`import tilelang` for scripts, while the package itself keeps using the installed one.

The modules of `names.TABLE` stand in `sys.modules` in place of tilelang's. Nothing behind them is loaded before a script asks for
it. Code of the installed tilelang, of tvm and of this package that asks one of them gets the installed module's name instead.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import threading
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any, Iterator

from .names import GONE, TABLE
from .refuse import refuse

_INSIDE = ('tilelang', 'tvm', 'tvm_ffi', 'tiletwin')
_real: dict[str, ModuleType] = {}
_lock = threading.RLock()


def _owner(depth: int = 2) -> str:
    return sys._getframe(depth).f_globals.get('__name__', '')


def _inside(name: str) -> bool:
    return name.split('.', 1)[0] in _INSIDE


def real(name: str) -> ModuleType:
    """A module of the installed tilelang."""
    with _lock:
        if not _real:
            importlib.import_module('tiletwin.language')
            with _set_aside():
                importlib.import_module('tiletwin.ir.from_tir')
    found = _real.get(name)
    if found is None:
        with _set_aside():
            found = importlib.import_module(name)
    return found


@contextmanager
def _set_aside() -> Iterator[None]:
    """Within the block `import tilelang` finds the installed package; what it loads is kept for code that may have it."""
    ours = {n: sys.modules.pop(n) for n in TABLE if isinstance(sys.modules.get(n), StandIn)}
    sys.modules.update(_real)
    try:
        yield
    finally:
        _real.update({n: sys.modules[n] for n in TABLE if n in sys.modules})
        sys.modules.update(ours)


class _FrontEndLoader(Loader):
    """Loads the front end with the stand-ins set aside: it is written against the installed tilelang."""

    def __init__(self, inner: Any):
        self.inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self.inner
        with _set_aside():
            self.inner.exec_module(module)


class _FrontEndFinder(MetaPathFinder):
    """Whoever asks for the front end first gets it loaded this way."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != 'tiletwin.language':
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None:
            spec.loader = _FrontEndLoader(spec.loader)
        return spec


_finder = _FrontEndFinder()


def _caller() -> FrameType | None:
    frame = sys._getframe(2)
    while frame is not None and (_inside(frame.f_globals.get('__name__', '')) or 'importlib' in frame.f_code.co_filename):
        frame = frame.f_back
    return frame


class StandIn(ModuleType):
    """One module of the table. Names are looked up when asked for and never stored, since the answer depends on who asks."""

    def __init__(self, name: str):
        super().__init__(name, f'{name}, as tiletwin runs it')
        entries = TABLE[name]
        object.__setattr__(self, '_entries', entries)
        if any(n.startswith(f'{name}.') for n in TABLE) or name == 'tilelang':
            # A package: what is not in the table is found in the folder of the installed one, by the installed one.
            self.__dict__['__path__'] = _Path(name)

    def __getattr__(self, name: str) -> Any:
        who = _owner()
        if _inside(who) and not who.startswith('tiletwin.compat') and (_real or not name.startswith('__')):
            try:
                return getattr(real(self.__name__), name)
            except ModuleNotFoundError:
                raise AttributeError(f'the installed tilelang has no {self.__name__}') from None
        if name.startswith('__') and name not in self._entries:
            if name == '__all__':
                return self._public()
            raise AttributeError(name)
        return self._find(name)

    def _find(self, name: str) -> Any:
        target = self._entries.get(name)
        if target is not None:
            return resolve(target)
        child = f'{self.__name__}.{name}'
        if child in TABLE:
            return sys.modules[child]
        behind = self._entries.get('*')
        if behind is not None:
            real('tilelang')
            return getattr(importlib.import_module(behind), name)
        why, instead = GONE.get(child) or GONE.get(self.__name__, ('', ''))
        if not why:
            near = difflib.get_close_matches(name, [n for n in self._entries if n != '*'] + [n.rpartition('.')[2] for n in TABLE
                                                                                             if n.rpartition('.')[0] == self.__name__], 2)
            why, instead = f'{self.__name__} has no such name on the simulator', ' or '.join(f'{self.__name__}.{n}' for n in near)
        refuse(child, _caller(), why, instead)

    def _public(self) -> list[str]:
        behind = self._entries.get('*')
        if behind is None:
            return dir(self)
        real('tilelang')
        module = importlib.import_module(behind)
        return list(getattr(module, '__all__', None) or (n for n in vars(module) if not n.startswith('_')))

    def __dir__(self) -> list[str]:
        return sorted({n for n in self._entries if n != '*'} | {n.rpartition('.')[2] for n in TABLE if n.rpartition('.')[0] == self.__name__})


class _Path(list):
    """The search path of the installed package, read when the import system needs it."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def __iter__(self):
        return iter(getattr(real(self.name), '__path__', []) if self.name in _real or self.name == 'tilelang' else [])


def resolve(target: str) -> Any:
    """The object behind `module:name`; a name that ends in () is called for its value."""
    module, _, name = target.partition(':')
    if module.startswith(('tiletwin.language', 'tiletwin.intrinsics')):
        real('tilelang')
    found: Any = importlib.import_module(module)
    if not name:
        return found
    if name.endswith('()'):
        return getattr(found, name[:-2])()
    return getattr(found, name)


def install() -> None:
    """Scripts that import tilelang from now on get the stand-ins."""
    if isinstance(sys.modules.get('tilelang'), StandIn):
        return
    if 'tilelang' in sys.modules:
        importlib.import_module('tiletwin.language')
        importlib.import_module('tiletwin.ir.from_tir')
        _real.update({n: sys.modules[n] for n in TABLE if n in sys.modules})
    sys.meta_path.insert(0, _finder)
    for name in TABLE:
        sys.modules[name] = StandIn(name)


def remove() -> None:
    """`import tilelang` is the installed package again."""
    for name in TABLE:
        if isinstance(sys.modules.get(name), StandIn):
            del sys.modules[name]
    sys.modules.update(_real)
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
