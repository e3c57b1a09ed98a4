"""Kernels of a file as syntax: nothing is imported or run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from ...errors import DialectError, Span

SWITCHES = {
    'TL_ASCEND_AUTO_SYNC': 'tl.ascend_auto_sync', 'TL_ASCEND_MEMORY_PLANNING': 'tl.ascend_memory_planning',
    'TL_ASCEND_AUTO_CV_COMBINE': 'tl.ascend_auto_cv_combine', 'TL_ASCEND_AUTO_CV_SYNC': 'tl.ascend_auto_cross_core_sync',
    'AUTO_SYNC': 'tl.ascend_auto_sync', 'MEMORY_PLANNING': 'tl.ascend_memory_planning', 'CV_COMBINE': 'tl.ascend_auto_cv_combine',
    'CV_SYNC': 'tl.ascend_auto_cross_core_sync',
}
PRESETS = {'EXPERT': 'expert', 'DEVELOPER': 'developer', 'MIXED': 'mixed', 'VECTOR_ONLY': 'vector-only'}
LANGUAGES = ('tiletwin.language', 'tilelang.language')


@dataclass(frozen=True, eq=False)
class Kernel:
    """A prim_func with the factory around it and the macros it expands."""

    file: str
    alias: str  # of the language module
    factory: ast.FunctionDef | None
    prim: ast.FunctionDef
    macros: tuple[ast.FunctionDef, ...]
    options: dict[str, ast.expr]  # keywords of the jit decorator

    @property
    def name(self) -> str:
        return (self.factory or self.prim).name

    @property
    def bodies(self) -> tuple[ast.FunctionDef, ...]:
        return (self.prim, *self.macros)

    def nodes(self) -> Iterator[ast.AST]:
        """Everything inside the kernel and its macros; decorators and annotations are Python outside it."""
        for function in self.bodies:
            for statement in function.body:
                yield from _walk(statement)

    def word(self, node: ast.AST) -> str:
        """'copy' for T.copy, 'tile.add' for T.tile.add, '' for anything else."""
        found = dotted(node)
        return found[len(self.alias) + 1:] if found.startswith(f'{self.alias}.') else ''

    def calls(self, *words: str) -> list[ast.Call]:
        """Calls of these names of the dialect, or of all; 'tile.' stands for every vector operation."""
        return [n for n in self.nodes() if isinstance(n, ast.Call) and self.word(n.func)
                and (not words or self.word(n.func) in words or any(w.endswith('.') and self.word(n.func).startswith(w) for w in words))]

    @property
    def switches(self) -> str | frozenset[str] | None:
        """Name of the preset, or the switches that are on; None when the source does not tell."""
        found = self.options.get('pass_configs')
        if found is None or isinstance(found, ast.Constant) and found.value is None:
            return 'expert'
        name = dotted(found).split('.')[-1]
        if name in PRESETS:
            return PRESETS[name]
        if not isinstance(found, ast.Dict):
            return None
        on = set()
        for key, value in zip(found.keys, found.values):
            label = key.value if isinstance(key, ast.Constant) else SWITCHES.get(dotted(key).split('.')[-1]) if key is not None else None
            if label is None or not isinstance(value, ast.Constant):
                return None
            if value.value:
                on.add(label)
        return frozenset(on)

    @property
    def mode(self) -> str:
        """'expert', 'developer', 'mixed', 'vector-only', or '' when the source does not tell."""
        on = self.switches
        if on is None or isinstance(on, str):
            return on or ''
        return 'expert' if not on else 'developer' if len(on) == 4 else 'mixed'

    @property
    def frame(self) -> tuple[ast.Call, list[str]] | None:
        """The T.Kernel call and the names it binds."""
        for node in self.nodes():
            if isinstance(node, ast.With):
                for item in node.items:
                    if isinstance(item.context_expr, ast.Call) and self.word(item.context_expr.func) == 'Kernel':
                        names = [n.id for n in ast.walk(item.optional_vars) if isinstance(n, ast.Name)] if item.optional_vars else []
                        return item.context_expr, names
        return None

    @property
    def parameters(self) -> list[str]:
        return [a.arg for a in self.prim.args.args]

    @property
    def has_cube(self) -> bool:
        return bool(self.calls('gemm_v0', 'mma', 'alloc_fragment', 'alloc_L0A', 'alloc_L0B', 'alloc_L0C'))

    @property
    def has_vector(self) -> bool:
        return bool(self.calls('tile.', 'reduce_sum', 'reduce_max', 'reduce_min', 'Parallel', 'alloc_ub'))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Like ast.walk, in source order, without functions defined inside."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _walk(child)
        else:
            yield child


def dotted(node: ast.AST | None) -> str:
    """'a.b.c' of a name or attribute, else ''."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f'{head}.{node.attr}' if head else ''
    return ''


def parse(file: str | Path) -> ast.Module:
    try:
        return ast.parse(Path(file).read_text(encoding='utf-8'), str(file))
    except SyntaxError as error:
        raise DialectError(f'{file} is no Python: {error.msg}', where=Span(str(file), error.lineno or 1)) from None


def language_alias(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for a in node.names:
                if f'{node.module}.{a.name}' in LANGUAGES:
                    return a.asname or a.name
        elif isinstance(node, ast.Import):
            for a in node.names:
                if a.name in LANGUAGES and a.asname:
                    return a.asname
    return 'T'


def _decorated(node: ast.AST, name: str) -> ast.expr | None:
    for d in getattr(node, 'decorator_list', ()):
        if dotted(d.func if isinstance(d, ast.Call) else d).split('.')[-1] == name:
            return d
    return None


def kernels(file: str | Path) -> list[Kernel]:
    """Every prim_func of a file, in source order."""
    tree = parse(file)
    alias = language_alias(tree)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    macros = {f.name: f for f in functions if _decorated(f, 'macro')}
    around = {id(inner): outer for outer in functions for inner in ast.walk(outer) if inner is not outer and isinstance(inner, ast.FunctionDef)}
    found = []
    for prim in (f for f in functions if _decorated(f, 'prim_func')):
        factory = around.get(id(prim))
        jit = _decorated(factory, 'jit') if factory else None
        options = {k.arg: k.value for k in jit.keywords if k.arg} if isinstance(jit, ast.Call) else {}
        found.append(Kernel(str(file), alias, factory, prim, _expanded(prim, macros), options))
    return sorted(found, key=lambda k: k.prim.lineno)


def _expanded(prim: ast.FunctionDef, macros: dict[str, ast.FunctionDef]) -> tuple[ast.FunctionDef, ...]:
    reached: dict[str, ast.FunctionDef] = {}
    waiting = [prim]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in macros and node.func.id not in reached:
                reached[node.func.id] = macros[node.func.id]
                waiting.append(macros[node.func.id])
    return tuple(reached.values())


def reachable(file: str | Path, function: str) -> list[Kernel]:
    """The kernels a module-level function can return: its own and those of the functions it calls, in this file."""
    tree = parse(file)
    top = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    seen, waiting = set(), [function]
    while waiting:
        name = waiting.pop()
        if name in top and name not in seen:
            seen.add(name)
            waiting += [n.id for n in ast.walk(top[name]) if isinstance(n, ast.Name)]
    return [k for k in kernels(file) if k.name in seen]
