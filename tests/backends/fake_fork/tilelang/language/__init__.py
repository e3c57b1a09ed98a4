"""`tilelang.language` of the fork: a kernel is read as text, and every name and call in it is looked up (dialect 12.1)."""

import ast
import inspect
import sys
import textwrap
from types import ModuleType

from tiletwin.harness.lint.fork_signatures import signatures


class Symbol:
    def __init__(self, name, dtype='int32'):
        self.name, self.dtype = name, dtype

    def __floordiv__(self, other):
        return self

    __mul__ = __add__ = __sub__ = __rmul__ = __radd__ = __mod__ = __floordiv__


class Declared:
    """An annotated parameter; `shape` is None for a scalar."""

    def __init__(self, shape, dtype='float32'):
        self.shape = None if shape is None else tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
        self.dtype = 'float32' if dtype == 'float' else dtype
        self.name = ''


class PrimFunc:
    def __init__(self, name, params):
        self.name, self.params = name, params


def _read(func):
    """What the parser would trip over: unknown names and calls that do not fit."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(func)))
    alias = next(name for name, value in {**func.__globals__, **inspect.getclosurevars(func).nonlocals}.items() if value is sys.modules[__name__])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(f'{alias}.'):
            found = sys.modules[__name__]
            for part in ast.unparse(node).split('.')[1:]:
                found = getattr(found, part)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(f'{alias}.'):
            form = signatures().get(ast.unparse(node.func)[len(alias) + 1:])
            if form is not None and not any(isinstance(a, ast.Starred) for a in node.args):
                form.bind(*node.args, **{k.arg: k.value for k in node.keywords})


def prim_func(func):
    _read(func)
    params = []
    for name, declared in inspect.get_annotations(func).items():
        found = declared if isinstance(declared, Declared) else Declared(None, declared.__name__)
        found.name = name
        params.append(found)
    return PrimFunc(func.__name__, params)


def macro(func):
    _read(func)
    return func


def Tensor(shape, dtype='float32'):
    return Declared(shape, dtype)


Buffer = Tensor


def symbolic(name, dtype='int32'):
    return Symbol(name, dtype)


def ceildiv(a, b, /):
    return -(-a // b) if isinstance(a, int) else a


def alloc_var(dtype, *args, scope='local.var', init=None):
    raise RuntimeError('outside of a kernel')


def _named(name):
    def called(*args, **kwargs):
        raise RuntimeError(f'T.{name} outside of a kernel')

    called.__name__ = called.__qualname__ = name
    return called


tile = ModuleType(f'{__name__}.tile')
sys.modules[tile.__name__] = tile
for _name in signatures():
    if _name.startswith('tile.'):
        setattr(tile, _name[5:], _named(_name))
    elif _name not in globals():
        globals()[_name] = _named(_name)
for _name in ('float16', 'float32', 'bfloat16', *(f'{_kind}{_bits}' for _kind in ('int', 'uint') for _bits in (8, 16, 32, 64))):
    globals()[_name] = _named(_name)
