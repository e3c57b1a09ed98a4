"""Which operators a change of files touches: imports are followed from each operator's kernels and from what measures them."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path
from typing import Any, Iterable

from ..errors import EnvironmentError_
from .record import root

# What turns a kernel into figures, besides the kernel itself.
_MEASURING = ('tiletwin/harness/record.py', 'tiletwin/harness/registry.py')


def changed_files(revision: str) -> set[str]:
    """Files that differ from a revision, those not yet committed or not yet known to git included; relative to the root."""
    top = root()
    known = subprocess.run(['git', 'diff', '--name-only', revision, '--'], cwd=top, capture_output=True, text=True, check=False)
    if known.returncode:
        raise EnvironmentError_(f'git cannot compare with {revision!r}', why=known.stderr.strip().splitlines()[-1] if known.stderr.strip() else '',
                                instead='a commit, tag or branch of this repository')
    unknown = subprocess.run(['git', 'ls-files', '--others', '--exclude-standard'], cwd=top, capture_output=True, text=True, check=True)
    return set(known.stdout.split('\n') + unknown.stdout.split('\n')) - {''}


def touched(operators: Iterable[Any], files: set[str]) -> list[Any]:
    """The operators that import one of the files, directly or not."""
    return [op for op in operators if sources(op) & files]


def sources(operator: Any) -> set[str]:
    family = operator.variant.family
    start = [p for p in _MEASURING if (root() / p).is_file()]
    for room in ('contracts', 'developer', 'expert'):
        start += [p for p in (f'ops/{room}/{family}.py', f'ops/{room}/{family}/__init__.py') if (root() / p).is_file()]
    found: set[str] = set()
    while start:
        path = start.pop()
        if path not in found:
            found.add(path)
            start += _imported(path)
    return found


@functools.cache
def _imported(path: str) -> tuple[str, ...]:
    """Files of this project a file imports, wherever in the file it does; data files lie beside the code that reads them."""
    top = root()
    if not path.endswith('.py'):
        return ()
    out: list[str] = [p.relative_to(top).as_posix() for p in (top / path).parent.glob('*.t[os][mv]*')]
    package = Path(path).parent.parts
    for node in ast.walk(ast.parse((top / path).read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join((*package[:len(package) - node.level + 1], *((node.module or '').split('.') if node.module else ()))) if node.level else node.module or ''
            modules = [base, *(f'{base}.{a.name}' for a in node.names)]
        else:
            continue
        for module in modules:
            parts = module.split('.')
            # Importing a module runs the packages above it.
            for n in range(1, len(parts) + 1):
                place = '/'.join(parts[:n])
                out += [p for p in (f'{place}.py', f'{place}/__init__.py') if (top / p).is_file()]
    return tuple(dict.fromkeys(out))
