"""What a kernel costs: modelled time and where it goes, bytes, memories, synchronisation, lines of source."""

from __future__ import annotations

import ast
import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from ..ir import expr as E
from ..ir.nodes import Instr, Program, walk
from ..sim.result import Launch
from .critical import critical_path, pipe_name

WORKSPACE = 'workspace'  # the compiler knows a workspace by this part of its name (operators.md C4.40)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of all launches of one call together; shares are of the longest blocks."""

    cycles: float  # modelled, whole launches
    microseconds: float  # modelled
    busy: dict[str, float]  # 'AIC MTE2' -> share of the time; of the busier one of two vector cores
    critical: dict[str, float]  # the same names and 'sync/issue' -> share of the longest chain of waits; may be left out
    gm_read: int
    gm_written: int
    workspace: int | None  # bytes; None when a size is known only to the caller
    memory: dict[str, int]  # peak bytes per on-chip memory
    syncs: dict[str, int]  # statements of the program that runs, by kind
    cross_flags: int  # distinct ids
    lines: int  # of the kernel's source and of the macros it expands


def cost(launches: Sequence[Launch], chain: bool = True) -> Cost:
    """Without `chain`, and of blocks too long to look at every instruction, the longest chain of waits is left out."""
    chain = chain and all(launch.timeline.listed for launch in launches)
    block = sum(launch.timeline.cycles for launch in launches) or 1.0
    busy: Counter = Counter()
    critical: Counter = Counter()
    for launch in launches:
        here: dict[str, float] = {}
        for (core, pipe), cycles in launch.timeline.busy.items():
            name = pipe_name(core, pipe)
            here[name] = max(here.get(name, 0.0), cycles)
        busy.update(here)
        if chain:
            critical.update(critical_path(launch.timeline))
    # Two launches of one kernel have one text.
    texts = list({id(launch.program): launch for launch in launches}.values())
    programs = [launch.program for launch in texts]
    syncs: Counter = Counter()
    for launch in texts:
        syncs.update(launch.syncs)
    workspaces = [workspace_bytes(p) for p in programs]
    return Cost(
        sum(launch.cycles for launch in launches), sum(launch.microseconds for launch in launches),
        {name: cycles / block for name, cycles in sorted(busy.items())},
        {name: cycles / block for name, cycles in sorted(critical.items(), key=lambda kv: (-kv[1], kv[0]))},
        sum(launch.gm_read for launch in launches), sum(launch.gm_written for launch in launches),
        None if None in workspaces else sum(workspaces),
        {space: max(launch.memory.get(space, 0) for launch in launches) for space in dict.fromkeys(s for launch in launches for s in launch.memory)},
        dict(sorted(syncs.items())), len({flag for p in programs for flag in cross_flags(p)}), sum(map(source_lines, programs)))


def workspace_bytes(program: Program) -> int | None:
    auto = program.attrs.get('auto_gm', ())
    found = [b for b in program.tensors if WORKSPACE in b.name or b.name in auto]
    if any(E.int_value(d) is None for b in found for d in b.shape):
        return None
    return sum(b.bytes for b in found)


def cross_flags(program: Program) -> set[str]:
    return {E.text(a) for s in walk(program.body) if isinstance(s, Instr) and s.op in ('set_cross_flag', 'wait_cross_flag')
            for a in s.args if not isinstance(a, str)}


def source_functions(program: Program) -> dict[str, list[frozenset[int]]]:
    """By file the lines of the functions that hold the program's statements, in the order of the file."""
    places: dict[str, set[int]] = {}
    for span in (program.span, *(getattr(s, 'span', None) for s in walk(program.body))):
        if span is not None:
            places.setdefault(span.file, set()).add(span.line)
    return {file: sorted((code for code in _functions(file) if code & at), key=min) for file, at in places.items()}


def source_lines(program: Program) -> int:
    """Lines with code in the functions that hold the program's statements."""
    return sum(len(_code_lines(file) & set().union(*functions)) for file, functions in source_functions(program).items())


@functools.cache
def _tree(file: str) -> tuple[ast.Module, tuple[str, ...]]:
    try:
        text = Path(file).read_text(encoding='utf-8')
        return ast.parse(text), tuple(text.splitlines())
    except (OSError, SyntaxError):
        return ast.Module([], []), ()


@functools.cache
def _functions(file: str) -> tuple[frozenset[int], ...]:
    """The lines of every function, without those of functions inside it."""
    tree, _ = _tree(file)

    def lines(node: ast.AST) -> set[int]:
        return set(range(node.lineno, node.end_lineno + 1))

    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [n for n in ast.walk(tree) if isinstance(n, kinds)]
    return tuple(frozenset(lines(f) - set().union(set(), *(lines(n) for n in ast.walk(f) if isinstance(n, kinds) and n is not f))) for f in found)


@functools.cache
def _code_lines(file: str) -> frozenset[int]:
    """Lines that are not blank, not a comment and not part of a docstring."""
    tree, text = _tree(file)
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, node.end_lineno + 1))
    return frozenset(i for i, line in enumerate(text, 1) if line.strip() and not line.strip().startswith('#') and i not in prose)

