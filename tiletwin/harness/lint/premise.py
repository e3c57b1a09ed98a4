"""The way to a developer kernel without workspaces: threads=2, then no vid, then no workspace (operators.md C4.10, C4.11)."""

from __future__ import annotations

import ast
from typing import Callable, Iterator

from .source import Kernel

VID, WORKSPACE = 'vid', 'workspace'


def threads_2(kernel: Kernel) -> bool:
    """A single axis, and two vector cores that share each tile."""
    frame = kernel.frame
    if frame is None:
        return False
    call, names = frame
    return len(names) == 1 and any(k.arg == 'threads' and getattr(k.value, 'value', None) == 2 for k in call.keywords)


def _names(kernel: Kernel) -> Iterator[str]:
    for node in kernel.nodes():
        if isinstance(node, ast.Name):
            yield node.id


def vid_free(kernel: Kernel) -> bool:
    frame = kernel.frame
    second = frame[1][1] if frame and len(frame[1]) > 1 else VID
    # The name in the frame itself is one occurrence.
    return sum(n in (second, VID) for n in _names(kernel)) <= (1 if frame and len(frame[1]) > 1 else 0)


def no_workspace_idx(kernel: Kernel) -> bool:
    return 'workspace_idx' not in kernel.options


def no_workspace_parameter(kernel: Kernel) -> bool:
    return not any(WORKSPACE in p for p in kernel.parameters)


def no_explicit_memory(kernel: Kernel) -> bool:
    return not kernel.calls('alloc_L1', 'alloc_L0A', 'alloc_L0B', 'alloc_L0C', 'alloc_ub')


def no_workspace(kernel: Kernel) -> bool:
    return not any(WORKSPACE in n for n in _names(kernel))


def _halved(kernel: Kernel) -> set[str]:
    """Names of the factory and of the kernel that are half of something."""
    found = set()
    for root in filter(None, (kernel.factory, *kernel.bodies)):
        for node in ast.walk(root):
            if isinstance(node, ast.Assign) and _is_half(node.value):
                found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    return found


def _is_half(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv) and getattr(node.right, 'value', None) == 2


def _uses_half(kernel: Kernel, nodes: list[ast.AST]) -> bool:
    halves = _halved(kernel)
    return any(_is_half(n) or isinstance(n, ast.Name) and n.id in halves for root in nodes for n in ast.walk(root))


def whole_blocks(kernel: Kernel) -> bool:
    """v_block = H_per_block: the rows of tiles are written whole, the compiler halves them."""
    shapes = [call.args[0] for call in kernel.calls('alloc_shared', 'alloc_ub') if call.args]
    return not _uses_half(kernel, [s.elts[0] for s in shapes if isinstance(s, (ast.Tuple, ast.List)) and s.elts])


def full_ranges(kernel: Kernel) -> bool:
    """range(BI), not the half of one vector core."""
    return not _uses_half(kernel, [n.iter for n in kernel.nodes() if isinstance(n, ast.For)])


PREDICATES: dict[str, Callable[[Kernel], bool]] = {
    'threads=2 and a single cid axis': threads_2,
    'no workspace_idx': no_workspace_idx,
    'no workspace parameter': no_workspace_parameter,
    'no alloc_L1, alloc_L0 or alloc_ub': no_explicit_memory,
    'no vid left': vid_free,
    'no workspace left': no_workspace,
    'tiles are whole blocks': whole_blocks,
    'loops run over full ranges': full_ranges,
}


def chain(kernel: Kernel) -> Iterator[tuple[str, str]]:
    """(what is skipped, what to write) for every step that is taken before the one below it."""
    workspace_free = no_workspace(kernel) and no_workspace_parameter(kernel)
    if workspace_free and not vid_free(kernel):
        yield 'no workspace, and still vid', 'threads=2 and tiles of whole blocks'
    if vid_free(kernel) and not threads_2(kernel):
        yield 'no vid, and not threads=2', 'T.Kernel(n, threads=2, is_npu=True) as cid'
