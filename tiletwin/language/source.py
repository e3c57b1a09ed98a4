"""From a Python function to its tracing form, once per source.

tilelang rewrites the syntax tree of a kernel so that loops, ifs and assignments call the builder. That rewriting is most of the cost
of building a kernel and depends only on the source, so the compiled result is kept per code object and only the closure is new.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
import textwrap
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Callable

from ..errors import DialectError, Span


@dataclass(frozen=True, slots=True)
class Traceable:
    """A rewritten function: `bound(func)` gives the generator that runs it on a builder."""

    code: CodeType
    hints: dict[str, Any]

    def bound(self, func: FunctionType, nonlocals: dict[str, Any]) -> Callable:
        space: dict[str, Any] = {}
        exec(self.code, func.__globals__, space)
        return space['make_closure'](**nonlocals)


_rewritten: dict[tuple[CodeType, str], Traceable] = {}
_texts: dict[tuple[CodeType, str], tuple[str, int]] = {}


def source_of(func: FunctionType) -> tuple[str, int]:
    """Dedented text and first line of a function."""
    key = (func.__code__, func.__code__.co_filename)
    if key not in _texts:
        try:
            lines, start = inspect.getsourcelines(func)
        except (OSError, TypeError):
            raise DialectError(f'the source of {func.__qualname__} cannot be read', why='kernels are built from their source text',
                               instead='define the kernel in a file') from None
        _texts[key] = (textwrap.dedent(''.join(lines)), start)
    return _texts[key]


def file_of(func: FunctionType) -> str:
    return os.path.abspath(inspect.getsourcefile(func) or func.__code__.co_filename)


def nonlocals_of(func: FunctionType) -> dict[str, Any]:
    """Closure values by name; names that are still unbound are left out."""
    found = {}
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


class _Prepare(ast.NodeTransformer):
    """Forms the rewriter of tilelang leaves alone: names bound by `with ... as`, and syntax that has no meaning in a kernel."""

    def __init__(self, file: str):
        self.file = file
        self.count = 0
        self.depth = 0

    def refuse(self, node: ast.AST, what: str, why: str, instead: str = '') -> None:
        raise DialectError(what, where=Span(self.file, node.lineno), why=why, instead=instead)

    def visit_With(self, node: ast.With):
        binds: list[ast.stmt] = []
        for item in node.items:
            if item.optional_vars is not None:
                self.count += 1
                held = f'__entered_{self.count}'
                binds.append(ast.copy_location(ast.Assign([item.optional_vars], ast.Name(held, ast.Load())), node))
                item.optional_vars = ast.Name(held, ast.Store())
        node.body = binds + node.body
        ast.fix_missing_locations(node)
        return self.generic_visit(node)

    def visit_For(self, node: ast.For):
        if node.orelse:
            self.refuse(node, 'for ... else in a kernel', 'a loop of the chip has no else', 'the statements after the loop')
        return self.generic_visit(node)

    def visit_While(self, node: ast.While):
        if node.orelse:
            self.refuse(node, 'while ... else in a kernel', 'a loop of the chip has no else', 'the statements after the loop')
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef):
        self.depth += 1
        if self.depth > 1:
            self.refuse(node, f'the function {node.name} inside a kernel', 'a kernel body is one traced block',
                        '@T.macro on a function outside the kernel')
        node = self.generic_visit(node)
        self.depth -= 1
        return node

    def visit_ClassDef(self, node):
        self.refuse(node, f'the class {node.name} inside a kernel', 'a kernel body is one traced block', 'the class outside the kernel')

    def visit_Try(self, node: ast.Try):
        self.refuse(node, 'try in a kernel', 'the chip raises nothing')

    def visit_Global(self, node):
        self.refuse(node, 'global or nonlocal in a kernel', 'a kernel cannot change Python variables', 'T.alloc_var')

    visit_Nonlocal = visit_Global

    def visit_Delete(self, node):
        self.refuse(node, 'del in a kernel', 'tiles live as long as the kernel')

    def visit_Assign(self, node: ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                self.refuse(node, f'assignment to the attribute {ast.unparse(target)}', 'a kernel cannot change Python objects',
                            'a local name or T.alloc_var')
        return self.generic_visit(node)


def traceable(func: FunctionType, nonlocals: dict[str, Any]) -> Traceable:
    key = (func.__code__, func.__code__.co_filename)
    found = _rewritten.get(key)
    if found is not None:
        return found
    from tilelang.language.eager.ast import DSLMutator

    file = file_of(func)
    text, start = source_of(func)
    tree = ast.parse('\n' * (start - 1) + text, filename=file)
    tree = _Prepare(file).visit(tree)
    mutator = DSLMutator(nonlocals, func.__globals__, file)
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(max(limit, 10_000))
        tree = mutator.visit(tree)
    finally:
        sys.setrecursionlimit(limit)
    ast.fix_missing_locations(tree)
    found = _rewritten[key] = Traceable(compile(tree, file, 'exec'), dict(mutator.extra_type_hints))
    return found
