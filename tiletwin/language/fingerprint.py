"""What a kernel function depends on, as one hash: its source, its closure, the globals it reads, and all of that for every helper it calls.

A value whose text cannot stand for it (an open file, an object with hidden state) makes the function unfit for caching; it is
then simply traced again.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import os
import sys
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from .leniency import lenient
from .source import file_of, nonlocals_of, source_of

# Modules whose functions give equal results for equal arguments.
_STEADY = ('math', 'cmath', 'operator', 'itertools', 'functools', 'typing', 'enum', 'dataclasses', 'collections', 'copy', 'numbers', 'fractions',
           'types',
           'builtins', 'numpy', 'torch', 'tilelang', 'tvm', 'tiletwin')
_UNSTEADY_NAMES = {'getattr', 'eval', 'exec', 'globals', 'locals', 'vars', 'open', 'input', '__import__', 'id', 'object', 'setattr', 'super'}
_UNSTEADY_ATTRIBUTES = {'random', 'rand', 'randn', 'randint', 'environ', 'getenv', 'time', 'load', 'fromfile'}


class Unfit(Exception):
    """The function depends on something that has no stable text."""


@functools.cache
def engine_version() -> str:
    """Changes whenever a file that shapes a Program changes."""
    import tilelang

    from .. import __version__

    root = Path(__file__).resolve().parents[1]
    files = sorted([*root.glob('language/**/*.py'), *root.glob('ir/*.py'), root / 'dtypes.py', root / 'errors.py'])
    stamps = [(str(f.relative_to(root)), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]
    return repr((__version__, tilelang.__version__, sys.version_info[:3], stamps))


@functools.lru_cache(maxsize=4096)
def _loaded_names(code: CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """Global names and attribute names a code object and the functions inside it read."""
    globals_, attributes = [], set()
    for i in dis.get_instructions(code):
        if i.opname in ('LOAD_GLOBAL', 'LOAD_NAME'):
            globals_.append(i.argval)
        elif i.opname in ('LOAD_ATTR', 'LOAD_METHOD', 'IMPORT_NAME', 'IMPORT_FROM'):
            attributes.add(i.argval)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            inner, inner_attributes = _loaded_names(const)
            globals_ += inner
            attributes |= inner_attributes
    return tuple(sorted(set(globals_))), frozenset(attributes)


class _Hasher:
    def __init__(self):
        self.hash = hashlib.sha256()
        self.known: dict[int, int] = {}
        self.alive: list[Any] = []  # an id stays unique while its object lives
        self.variables: dict[int, int] = {}

    def put(self, *parts: Any) -> None:
        for p in parts:
            data = repr(p).encode()
            self.hash.update(b'%d:' % len(data))
            self.hash.update(data)

    def first(self, value: Any) -> bool:
        """Whether this object has not been written yet; a repetition is written as a reference."""
        number = self.known.get(id(value))
        if number is not None:
            self.put('again', number)
            return False
        self.known[id(value)] = len(self.known)
        self.alive.append(value)
        return True

    def add(self, value: Any, attributes: frozenset[str] = frozenset()) -> None:
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str, bytes):
            self.put(kind.__name__, value)
        elif kind in (tuple, list):
            self.put(kind.__name__, len(value))
            for v in value:
                self.add(v, attributes)
        elif kind is dict:
            self.put('dict', len(value))
            for k, v in value.items():
                self.add(k, attributes)
                self.add(v, attributes)
        elif kind in (set, frozenset) and all(type(v) in (int, str) for v in value):
            self.put(kind.__name__, sorted(value, key=repr))
        elif isinstance(value, enum.Enum):
            self.put('enum', kind.__module__, kind.__qualname__, value.name)
            self.add(value.value)
        elif kind is slice or kind is range:
            self.put(value)
        elif isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, functools.partial):
            self.put('partial')
            self.add((value.func, value.args, value.keywords))
        elif isinstance(value, ModuleType):
            self.module(value, attributes)
        elif isinstance(value, BuiltinFunctionType):
            self.builtin(value)
        else:
            self.other(value, kind, attributes)

    def builtin(self, value: BuiltinFunctionType) -> None:
        owner = value.__self__
        name = owner.__name__ if isinstance(owner, ModuleType) else None
        if name not in _STEADY or value.__name__ in _UNSTEADY_NAMES:
            raise Unfit(value)
        self.put('builtin', name, value.__name__)

    def module(self, module: ModuleType, attributes: frozenset[str]) -> None:
        self.put('module', module.__name__)
        if module.__name__.split('.')[0] in _STEADY:
            if attributes & _UNSTEADY_ATTRIBUTES:
                raise Unfit(module)
            return
        if not self.first(module):
            return
        if getattr(module, '__file__', None) is None or module.__name__.split('.')[0] in sys.stdlib_module_names:
            raise Unfit(module)
        for name in sorted(attributes):
            if name in module.__dict__:
                self.put(name)
                self.add(module.__dict__[name], attributes)

    def other(self, value: Any, kind: type, attributes: frozenset[str]) -> None:
        from .entry import Macro, PrimFunc

        module = kind.__module__.split('.')[0]
        if isinstance(value, (Macro, PrimFunc)):
            self.put(kind.__name__)
            self.function(value.func)
        elif isinstance(value, type):
            if value.__module__.split('.')[0] not in _STEADY or value.__name__ in _UNSTEADY_NAMES:
                raise Unfit(value)
            self.put('type', value.__module__, value.__qualname__)
        elif module in ('tvm', 'tilelang', 'tvm_ffi'):
            self.tir(value)
        elif module == 'torch' and kind.__name__ == 'dtype':
            self.put('torch.dtype', str(value))
        elif module == 'numpy' and getattr(value, 'shape', None) == ():
            self.put('numpy', str(value.dtype), value.item())
        elif callable(value) and module == 'tiletwin':
            self.put('dialect', getattr(value, '__name__', kind.__qualname__))
        elif dataclasses.is_dataclass(value):
            self.instance(value, kind, attributes)
        else:
            raise Unfit(value)

    def instance(self, value: Any, kind: type, attributes: frozenset[str]) -> None:
        self.put('instance', kind.__module__, kind.__qualname__)
        if not self.first(value):
            return
        for f in dataclasses.fields(value):
            self.put(f.name)
            self.add(getattr(value, f.name), attributes)
        for name, member in sorted(vars(kind).items()):
            function = member.fget if isinstance(member, property) else getattr(member, '__func__', member)
            if isinstance(function, FunctionType) and not name.startswith('__'):
                self.put(name)
                self.function(function)

    def tir(self, value: Any) -> None:
        """Types, symbolic dimensions and tensor types: by their text, variables by name and order of appearance."""
        from tvm import DataType, tirx
        from tvm.tirx.stmt_functor import post_order_visit

        if isinstance(value, tirx.Buffer):
            self.put('tensor', value.name, str(value.dtype), value.scope(), len(value.shape))
            for d in value.shape:
                self.tir(d)
        elif isinstance(value, tirx.IntImm):
            self.put('int', str(value.dtype), value.value)
        elif isinstance(value, tirx.PrimExpr):
            self.put(type(value).__name__, str(value), str(value.dtype))
            found: list[Any] = []
            post_order_visit(value, lambda e: found.append(e) if isinstance(e, tirx.Var) else None)
            for v in found:
                self.alive.append(v)
                self.put(v.name, str(v.dtype), self.variables.setdefault(hash(v), len(self.variables)))
        elif isinstance(value, (DataType, str)) or type(value).__name__ == 'dtype':
            self.put('dtype', str(value))
        elif callable(value) and hasattr(value, '__name__'):
            self.put('tilelang', value.__module__, value.__name__)
        elif type(value).__name__ in ('Array', 'List'):
            self.add(list(value))
        else:
            raise Unfit(value)

    def function(self, func: FunctionType) -> None:
        top = (func.__module__ or '').split('.')[0]
        if top in _STEADY:
            self.put('library', func.__module__, func.__qualname__)
            return
        if not self.first(func):
            return
        text, line = source_of(func)
        self.put('function', func.__qualname__, file_of(func), line, text)
        names, attributes = _loaded_names(func.__code__)
        self.add(func.__defaults__, attributes)
        self.add(func.__kwdefaults__, attributes)
        self.add({k: v for k, v in func.__annotations__.items() if k != 'return'}, attributes)
        for name, value in nonlocals_of(func).items():
            self.put(name)
            self.add(value, attributes)
        for name in names:
            if name in func.__globals__:
                self.put(name)
                self.add(func.__globals__[name], attributes)
            elif name in _UNSTEADY_NAMES:
                raise Unfit(name)


def fingerprint(func: FunctionType) -> str | None:
    """The key of a kernel function, or None when it must be traced every time."""
    hasher = _Hasher()
    try:
        hasher.put(engine_version(), lenient(), os.path.abspath(func.__code__.co_filename))
        hasher.function(func)
    except (Unfit, RecursionError):
        return None
    return hasher.hash.hexdigest()
