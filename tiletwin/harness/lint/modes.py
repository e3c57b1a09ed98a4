"""What the text of a kernel owes its mode (operators.md C4.1 to C4.41, C0.11, C0.26)."""

from __future__ import annotations

import ast
from typing import Any, Callable, Iterator

from .finding import Lint
from .premise import PREDICATES, chain
from .source import Kernel

Found = Iterator[tuple[ast.AST, str, str, str]]
AUTOMATIC = ('developer', 'mixed', 'vector-only')
SYNCS = ('set_flag', 'wait_flag', 'pipe_barrier', 'barrier_all', 'sync_all', 'set_cross_flag', 'wait_cross_flag', 'init_flag', 'clear_flag')
EXPLICIT = ('alloc_L1', 'alloc_L0A', 'alloc_L0B', 'alloc_L0C', 'alloc_ub')
INFERRED = ('alloc_shared', 'alloc_fragment')
WORKSPACE = 'workspace'


# -- developer -----------------------------------------------------------------------------------------------------------
def developer_passes(kernel: Kernel, variant: Any) -> Found:
    """C4.1, C4.20"""
    on = kernel.switches
    if kernel.mode == 'vector-only' and kernel.has_cube:
        yield kernel.prim, 'VECTOR_ONLY on a kernel with cube code', 'nothing would split it between the cores', 'pass_configs=DEVELOPER'
    elif kernel.mode == 'expert' or isinstance(on, frozenset) and len(on) < 4:
        yield kernel.prim, 'not all four passes are on', 'a developer kernel leaves scopes, memory, flags and the split to the compiler', \
            'pass_configs=DEVELOPER'


def developer_memory(kernel: Kernel, variant: Any) -> Found:
    """C4.1"""
    # Mixed mode is hand-picked primitives on tiles of UB under the developer passes.
    for call in kernel.calls(*(EXPLICIT[:4] if kernel.mode == 'mixed' else EXPLICIT), 'annotate_address'):
        yield call, f'T.{kernel.word(call.func)} in a {kernel.mode or "developer"} kernel', 'the compiler places the tiles of developer mode', \
            'T.alloc_fragment for products, T.alloc_shared for every other tile'


def developer_syncs(kernel: Kernel, variant: Any) -> Found:
    """C4.1, C4.4"""
    for call in kernel.calls(*SYNCS):
        yield call, f'T.{kernel.word(call.func)} in a developer kernel', \
            'the compiler inserts flags and barriers and does not see those written by hand', \
            'nothing: delete the line'


def developer_scopes(kernel: Kernel, variant: Any) -> Found:
    """C4.20"""
    for call in kernel.calls('Scope'):
        yield call, 'T.Scope in a developer kernel', 'splitting the cores automatically conflicts with a split by hand', \
            'the statements without the scope'


def premise_chain(kernel: Kernel, variant: Any) -> Found:
    """C4.10"""
    if kernel.has_cube and kernel.has_vector:
        for message, instead in chain(kernel):
            yield kernel.prim, message, 'threads=2 removes vid, and only without vid can the workspace go', instead


def self_check(kernel: Kernel, variant: Any) -> Found:
    """C4.11"""
    claims = kernel.name.endswith('vid_eliminated') or variant is not None and variant.name.endswith('vid_eliminated')
    mixed = kernel.has_cube and kernel.has_vector
    if claims or mixed and variant is not None and not variant.fallback_reason:
        for name, holds in PREDICATES.items():
            if not holds(kernel):
                yield kernel.prim, f'not so: {name}', 'a developer kernel of both kinds of cores has neither workspace nor vid', \
                    'fallback_reason in the contract, when the compiler cannot do without'


def direct_mapping(kernel: Kernel, variant: Any) -> Found:
    """C4.12"""
    if variant is None or variant.name != 'sparse_flash_attn.vid_eliminated':
        return
    shared = {n.targets[0].id for n in kernel.nodes() if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
              and isinstance(n.value, ast.Call) and kernel.word(n.value.func) == 'alloc_shared'}
    moves = {(_root(c.args[0]), _root(c.args[1])) for c in kernel.calls('copy') if len(c.args) >= 2}
    for call in kernel.calls('gemm_v0'):
        result = _root(call.args[2])
        if not any(src == result and dst in shared for src, dst in moves):
            yield call, f'the product {result} is not copied to a shared tile', 'what went through a workspace goes straight to the vector cores', \
                f'T.copy({result}, tile) with a tile of T.alloc_shared'
    gathered = {dst for src, dst in moves if src in shared and dst in shared}
    if not any(_root(a) in gathered for call in kernel.calls('gemm_v0') for a in call.args[:2]):
        yield kernel.prim, 'no operand of a product comes from a tile of the vector cores', \
            'gathered rows and probabilities go straight to the cube core', \
            'T.copy(kv_ub, kv_l1[row, :]) and T.copy(p, p_l1)'


def fallback(kernel: Kernel, variant: Any) -> Found:
    """C4.14"""
    if variant is not None and 'workspace_idx' in kernel.options and not variant.fallback_reason:
        yield kernel.prim, 'a developer kernel with a workspace and no reason for it', 'the compiler makes workspaces itself', \
            "fallback_reason='multi_version', 'fine_sync' or 'compiler_reject' in the contract"


def workspace_pairs(kernel: Kernel, variant: Any) -> Found:
    """C4.41"""
    for name in (p for p in kernel.parameters if WORKSPACE in p):
        written = read = 0
        for call in kernel.calls('copy'):
            if len(call.args) >= 2:
                read += _root(call.args[0]) == name
                written += _root(call.args[1]) == name
        if written != read:
            yield kernel.prim, f'{name} is written by {written} copies and read by {read}', \
                'the compiler pairs the i-th write of one kind of core with the i-th read of the other', 'one read per write'


# -- expert --------------------------------------------------------------------------------------------------------------
def expert_passes(kernel: Kernel, variant: Any) -> Found:
    """C4.2"""
    if kernel.mode not in ('expert', ''):
        yield kernel.prim, f'pass_configs of an expert kernel are {kernel.mode}', 'expert code and automatic passes would both synchronise', \
            'pass_configs=EXPERT'


def expert_memory(kernel: Kernel, variant: Any) -> Found:
    """C4.2"""
    for call in kernel.calls(*INFERRED):
        yield call, f'T.{kernel.word(call.func)} in an expert kernel', 'its memory is inferred, in expert mode you choose it', \
            'T.alloc_L1, alloc_L0A, alloc_L0B, alloc_L0C or alloc_ub'


def expert_syncs(kernel: Kernel, variant: Any) -> Found:
    """C4.2"""
    # gemm_v0 synchronises itself with the copies around it (dialect 5.1); nothing else does.
    if kernel.calls('copy') and (kernel.has_vector or kernel.calls('mma')) and not kernel.calls(*SYNCS):
        yield kernel.prim, 'no flag and no barrier in an expert kernel', 'nothing orders the pipes', \
            'T.set_flag / T.wait_flag, or T.barrier_all to begin with'


def cube_uses_vid(kernel: Kernel, variant: Any) -> Found:
    """C4.23"""
    frame = kernel.frame
    vid = frame[1][1] if frame and len(frame[1]) > 1 else None
    for node in kernel.nodes():
        if isinstance(node, ast.With) and any(_is_scope(kernel, i.context_expr, 'C') for i in node.items):
            for name in ast.walk(ast.Module(node.body, [])):
                if isinstance(name, ast.Name) and name.id == vid:
                    yield name, f'{vid} in the cube scope', 'the cube core is one: it reads whole blocks, and its vid is always 0', \
                        'the index without it'


# -- both ----------------------------------------------------------------------------------------------------------------
def accumulator_init(kernel: Kernel, variant: Any) -> Found:
    """C0.11, C4.25"""
    for call in kernel.calls('gemm_v0', 'mma'):
        place = 5 if kernel.word(call.func) == 'gemm_v0' else 3
        given = next((k.value for k in call.keywords if k.arg == 'init'), call.args[place] if len(call.args) > place else None)
        if given is None or isinstance(given, ast.Constant) and not given.value and not _cleared_before(kernel, call):
            yield call, f'T.{kernel.word(call.func)} never starts from zero', 'what L0C held before is added to', \
                'init=(k == 0), or init=True outside a loop over K'


def infinities(kernel: Kernel, variant: Any) -> Found:
    """C0.26"""
    # Not sentinels: what a load pads with, and a factor that is meant to overflow.
    pads = {id(n) for call in kernel.calls('copy') for k in call.keywords if k.arg == 'pad_value' for n in ast.walk(k.value)}
    pads |= {id(n) for call in kernel.calls('tile.mul', 'tile.div') for n in ast.walk(call)}
    for node in kernel.nodes():
        if id(node) in pads or not isinstance(node, ast.Call):
            continue
        if kernel.word(node.func) == 'infinity' or getattr(node.func, 'id', '') == 'float' and node.args and isinstance(node.args[0], ast.Constant) \
                and 'inf' in str(node.args[0].value).lower():
            yield node, f'{ast.unparse(node)} in a kernel', 'infinity minus infinity is NaN: a masked row would poison its maximum', \
                'a finite sentinel, -1e30'


def workspace_names(kernel: Kernel, variant: Any) -> Found:
    """C4.40"""
    given = kernel.options.get('workspace_idx')
    listed = [e.value for e in given.elts if isinstance(e, ast.Constant)] if isinstance(given, (ast.List, ast.Tuple)) else []
    listed += [given.value] if isinstance(given, ast.Constant) and isinstance(given.value, int) else []
    names = kernel.parameters
    for i in (i for i in listed if -len(names) <= i < len(names) and WORKSPACE not in names[i]):
        yield kernel.prim, f'the workspace {names[i]}', 'the compiler knows a workspace by its name', f"a name with '{WORKSPACE}' in it"
    positions = {i % len(names) for i in listed} if names else set()
    for i, name in enumerate(names):
        if WORKSPACE in name and kernel.factory is not None and kernel.options and i not in positions and not isinstance(given, ast.Name):
            yield kernel.prim, f'{name} is not in workspace_idx', 'the caller would have to pass it', f'workspace_idx with {i} in it'
    for node in kernel.nodes():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and kernel.word(node.value.func).startswith('alloc_'):
            for target in node.targets:
                if isinstance(target, ast.Name) and WORKSPACE in target.id:
                    yield node, f'the tile {target.id}', 'the compiler takes a tile of this name for a GM workspace and gives it cross-core flags', \
                        'another name'


def thread_count(kernel: Kernel, variant: Any) -> Found:
    """C4.31"""
    frame = kernel.frame
    for k in frame[0].keywords if frame else ():
        if k.arg == 'threads' and isinstance(k.value, ast.Constant) and k.value.value not in (None, 1, 2):
            yield frame[0], f'threads={k.value.value}', 'a block has one or two vector cores', 'threads=2'


def logarithms(kernel: Kernel, variant: Any) -> Found:
    """C0.5"""
    if variant is not None and variant.family == 'hif8_quant':
        for call in kernel.calls('tile.ln', 'log', 'log2'):
            yield call, f'T.{kernel.word(call.func)} in a quantiser', 'an exponent guessed from a logarithm is off at powers of two', \
                'the exponent bits: T.reinterpretcast and T.tile.bitwise_and'


def ws3_frame(kernel: Kernel, variant: Any) -> Found:
    """C4.3"""
    if variant is not None and variant.name == 'flash_attn.ws3':
        for option, wanted in (('out_idx', [3]), ('workspace_idx', [4, 5, 6])):
            found = kernel.options.get(option)
            if found is None or not isinstance(found, (ast.List, ast.Tuple)) or [getattr(e, 'value', None) for e in found.elts] != wanted:
                yield kernel.prim, f'{option} of flash_attn.ws3 is {ast.unparse(found) if found else "missing"}', 'both modes have one signature', \
                    f'{option}={wanted}'


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    return getattr(node, 'id', '')


def _is_scope(kernel: Kernel, call: ast.AST, core: str) -> bool:
    return isinstance(call, ast.Call) and kernel.word(call.func) == 'Scope' and bool(call.args) and getattr(call.args[0], 'value', '') == core


def _cleared_before(kernel: Kernel, call: ast.Call) -> bool:
    """An earlier product starts the same accumulator."""
    target = _root(call.args[2]) if len(call.args) > 2 else ''
    return any(other.lineno < call.lineno and len(other.args) > 2 and _root(other.args[2]) == target
               and any(k.arg == 'init' and not (isinstance(k.value, ast.Constant) and not k.value.value) for k in other.keywords)
               for other in kernel.calls('gemm_v0', 'mma'))


DEVELOPER: dict[Callable[[Kernel, Any], Found], str] = {
    developer_passes: 'C4.1', developer_memory: 'C4.1', developer_syncs: 'C4.1', developer_scopes: 'C4.20', premise_chain: 'C4.10',
    self_check: 'C4.11', direct_mapping: 'C4.12', fallback: 'C4.14', workspace_pairs: 'C4.41',
}
EXPERT: dict[Callable[[Kernel, Any], Found], str] = {
    expert_passes: 'C4.2', expert_memory: 'C4.2', expert_syncs: 'C4.2', cube_uses_vid: 'C4.23',
}
BOTH: dict[Callable[[Kernel, Any], Found], str] = {
    accumulator_init: 'C4.25', infinities: 'C0.26', workspace_names: 'C4.40', thread_count: 'C4.31', logarithms: 'C0.5', ws3_frame: 'C4.3',
}


def check(kernel: Kernel, mode: str, variant: Any = None) -> Iterator[Lint]:
    """`mode` is what the kernel is meant to be: its room in `ops`, or what its own pass_configs say."""
    rules = dict(BOTH)
    if mode == 'expert':
        rules |= EXPERT
    elif mode in AUTOMATIC:
        rules |= DEVELOPER
    for find, rule in rules.items():
        number = 'C4.4' if find is developer_syncs and kernel.mode == 'mixed' else rule
        for node, message, why, instead in find(kernel, variant):
            yield Lint(kernel.file, node.lineno, number, message, why, instead)
