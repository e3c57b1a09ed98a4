"""`T.prim_func` and `T.macro`: from a Python function to a Program."""

from __future__ import annotations

import inspect
import sys
import threading
from types import FunctionType
from typing import Any, Callable, get_origin

from ..errors import DialectAssertionError, DialectError, DialectTypeError, Span
from . import cache
from .leniency import collected
from .source import file_of, nonlocals_of, source_of, traceable
from .where import caller


class PrimFunc:
    """A kernel: a function of the dialect with its tile program."""

    def __init__(self, func: FunctionType, key: str | None = None):
        self.func, self.key = func, key
        self.__name__ = func.__name__
        self.__doc__ = func.__doc__
        self._tir = None
        found = cache.load(key) if key else None
        self.program = found if found is not None else self._build()

    def _build(self):
        from ..ir.from_tir import program

        with collected() as doubts:
            self._tir = trace(self.func)
        built = program(self._tir)
        if doubts:
            built.attrs['doubts'] = tuple(doubts)
        if self.key:
            cache.store(self.key, built)
        return built

    @property
    def tir(self):
        """The traced TIR; traced again when the program came from the cache."""
        if self._tir is None:
            self._tir = trace(self.func)
        return self._tir

    @property
    def name(self) -> str:
        return self.__name__

    @property
    def params(self) -> tuple:
        return self.program.params

    def script(self) -> str:
        from ..ir.printer import text

        return text(self.program)

    def __repr__(self) -> str:
        return f'<prim_func {self.__name__} at {self.program.span}>'

    def __call__(self, *args, **kwargs):
        raise DialectError(f'{self.__name__} was called, but a prim_func is a description', where=Span(file_of(self.func), source_of(self.func)[1]),
                           why='it must be compiled first',
                           instead=f'tiletwin.compile({self.__name__})(tensors...), or @tiletwin.jit on the function that returns it')


_tracing = threading.RLock()


def trace(func: FunctionType):
    """Runs the kernel function once on the builder."""
    from .builder import DialectBuilder

    nonlocals = nonlocals_of(func)
    builder = DialectBuilder()
    builder.current_file, builder.current_line = file_of(func), source_of(func)[1]
    with _tracing:
        try:
            generator = traceable(func, nonlocals).bound(func, nonlocals)
            annotations = parameters(func)
            with builder.prim_func(func.__name__):
                generator(builder)(**annotations)
                builder.refuse_unissued()
            return builder.get()
        except RecursionError:
            raise DialectAssertionError('a macro calls itself', where=builder.here(), why='a macro is expanded where it is called',
                                        instead='a loop') from None
        except Exception as error:
            located = builder.locate(error)
            if located is error:
                raise
            raise located from error


def parameters(func: FunctionType) -> dict[str, Any]:
    """Annotations of a kernel, evaluated: tensors and scalars by parameter name."""
    from tilelang.language.eager.builder import get_type_hints

    try:
        hints = get_type_hints(func)
    except NameError as error:
        raise DialectError(f'annotation of {func.__name__}: {error}',
                           why='a name used only in a postponed annotation is not captured by the function',
                           instead='remove `from __future__ import annotations`, or use the name in the body') from error
    found = {}
    for name, parameter in inspect.signature(func).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD,) or parameter.default is not parameter.empty:
            raise DialectTypeError(f'parameter `{name}` of {func.__name__}', why='a kernel has plain positional parameters',
                                   instead=f'{name}: T.Tensor(shape, dtype)')
        if name not in hints:
            raise DialectTypeError(f'parameter `{name}` of {func.__name__} is not annotated',
                                   why='the shape and type of every parameter are part of the kernel',
                                   instead=f'{name}: T.Tensor(shape, dtype), or {name}: T.int32')
        hint = hints[name]
        if not isinstance(hint, type) and callable(hint) and get_origin(hint) is None:
            hint = hint()
        found[name] = hint
    return found


def _evaluate_annotations(func: FunctionType, names: dict[str, Any]) -> None:
    """Postponed annotations mean the names of the function around the kernel, which its closure does not hold."""
    if not any(isinstance(a, str) for a in func.__annotations__.values()):
        return
    space = {**names, **nonlocals_of(func)}
    try:
        func.__annotations__ = {k: eval(a, func.__globals__, space) if isinstance(a, str) else a for k, a in func.__annotations__.items()}
    except NameError:
        return


def prim_func(func: Callable | None = None, **options: Any):
    """Decorator of a kernel."""
    if options:
        raise DialectTypeError(f'T.prim_func({", ".join(options)})', where=caller(), why='the decorator takes no options', instead='@T.prim_func')
    if func is None:
        return prim_func
    if isinstance(func, FunctionType):
        _evaluate_annotations(func, sys._getframe(1).f_locals)
    if not isinstance(func, FunctionType):
        raise DialectTypeError(f'T.prim_func on {func!r}', why='it decorates a function', instead='@T.prim_func above def')
    return PrimFunc(func, cache.key_of(func))


class Macro:
    """A function expanded where it is called."""

    def __init__(self, func: FunctionType):
        self.func = func
        self.__name__ = func.__name__
        self.__doc__ = func.__doc__

    def __call__(self, *args, **kwargs):
        from tilelang.language.eager.builder import get_type_hints

        from .emit import tracing

        builder = tracing(f'the macro {self.__name__}')
        nonlocals = nonlocals_of(self.func)
        generator = traceable(self.func, nonlocals).bound(self.func, nonlocals)
        with builder.macro(self.__name__, get_type_hints(self.func)):
            return generator(builder)(*args, **kwargs)


def macro(func: Callable | None = None, hygienic: bool = True):
    """Decorator of a macro."""
    if func is None:
        return macro
    if not isinstance(func, FunctionType):
        raise DialectTypeError(f'T.macro on {func!r}', why='it decorates a function', instead='@T.macro above def')
    return Macro(func)


def program_of(prim: Any):
    """The Program of a prim_func, or of TIR the builder of this package made."""
    from ..ir.from_tir import program
    from ..ir.nodes import Program

    if isinstance(prim, PrimFunc):
        return prim.program
    if isinstance(prim, Program):
        return prim

    return program(prim)
