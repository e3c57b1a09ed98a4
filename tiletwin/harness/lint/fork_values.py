"""Arguments whose value the fork refuses (dialect 2.1, 3.1, 5.3, 5.6, 6.1, 8.11, 12.3, 12.4). Only what stands in the source as a constant is judged."""

from __future__ import annotations

import ast
from typing import Any, Callable, Iterator

from . import fork_signatures
from .finding import Lint
from .source import Kernel

Found = Iterator[tuple[ast.AST, str, str, str]]  # node, message, why, instead
DTYPES = ('float16', 'float32', 'float', 'bfloat16', 'int4', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'e4m3_float8',
          'e5m2_float8')
PIPES = ('FIX', 'MTE1', 'MTE2', 'MTE3', 'M', 'V', 'S')
COMPARES = ('EQ', 'NE', 'GT', 'GE', 'LT', 'LE')
CASTS = ('CAST_NONE', 'CAST_RINT', 'CAST_FLOOR', 'CAST_CEIL', 'CAST_ROUND', 'CAST_TRUNC', 'CAST_ODD')
SELECTS = ('VSEL_CMPMASK_SPR', 'VSEL_TENSOR_TENSOR_MODE', 'VSEL_TENSOR_SCALAR_MODE')
ALLOCATIONS = ('alloc_shared', 'alloc_fragment', 'alloc_ub', 'alloc_L1', 'alloc_L0A', 'alloc_L0B', 'alloc_L0C')
_MISSING = object()


def _constant(node: Any) -> Any:
    """The value of a literal, else _MISSING."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value
    return node.value if isinstance(node, ast.Constant) else _MISSING


def _calls(kernel: Kernel, *words: str) -> Iterator[tuple[ast.Call, dict[str, Any]]]:
    """Calls of these names with their arguments; those that do not bind are told elsewhere."""
    for call in kernel.calls(*words):
        try:
            given = fork_signatures.bound(kernel, call)
        except TypeError:
            continue
        if given is not None:
            yield call, given


def _frame(kernel: Kernel) -> Found:
    for call, given in _calls(kernel, 'Kernel'):
        if _constant(given.get('is_npu')) is not True:
            yield call, 'T.Kernel without is_npu=True', 'it makes the frame of a GPU kernel there', 'T.Kernel(blocks, is_npu=True) as (cid, vid)'
        if len(given.get('blocks', ())) != 1:
            yield call, f'T.Kernel with {len(given.get("blocks", ()))} block extents', 'an NPU kernel has exactly one block dimension', \
                'one extent, and the coordinates from cid'
        threads = given.get('threads')
        inner = threads.elts[0] if isinstance(threads, (ast.List, ast.Tuple)) and len(threads.elts) == 1 else threads
        if threads is not None and _constant(inner) is not _MISSING and _constant(inner) not in (None, 1, 2):
            yield call, f'threads={ast.unparse(threads)}', 'threads is the number of vector cores of a block', 'threads=1, threads=2, or none and vid'


def _variable(kernel: Kernel) -> Found:
    for call in kernel.calls('alloc_var'):
        named = {k.arg for k in call.keywords}
        if not 1 <= len(call.args) + ('dtype' in named) or len(call.args) > 3 or not named <= {'dtype', 'scope', 'init'}:
            yield call, f'{ast.unparse(call)} does not fit alloc_var', 'it takes dtype, init and scope', "T.alloc_var('int32', init=0)"


def _dtypes(kernel: Kernel) -> Found:
    places = [(call, given.get('dtype')) for call, given in _calls(kernel, *ALLOCATIONS)]
    places += [(a.annotation, a.annotation.args[1]) for a in kernel.prim.args.args
               if isinstance(a.annotation, ast.Call) and kernel.word(a.annotation.func) in ('Tensor', 'Buffer') and len(a.annotation.args) > 1]
    for node, dtype in places:
        name = _constant(dtype)
        if isinstance(name, str) and name not in DTYPES:
            spelled = {'float8_e4m3fn': 'e4m3_float8', 'float8_e4m3': 'e4m3_float8', 'float8_e5m2': 'e5m2_float8', 'bool': 'uint8', 'half': 'float16',
                       'float64': 'float32'}
            yield node, f'the dtype {name!r}', 'the operations there know no device type for it', repr(spelled.get(name, 'float16'))


def _parallel(kernel: Kernel) -> Found:
    for call, given in _calls(kernel, 'Parallel'):
        if len(given['extents']) > 2:
            yield call, f'T.Parallel over {len(given["extents"])} extents', 'parallel loops of three and more dimensions are refused', \
                'serial loops around a T.Parallel of two'


def _modes(kernel: Kernel) -> Found:
    for words, key, allowed in ((('tile.compare',), 'mode', COMPARES), (('tile.cast',), 'mode', CASTS), (('tile.select',), 'selMode', SELECTS)):
        for call, given in _calls(kernel, *words):
            value = _constant(given.get(key))
            if value is not _MISSING and value not in allowed:
                yield call, f'{key}={value!r}', f'T.{words[0]} asserts that it is one of its modes', ', '.join(allowed)


def _scalars(kernel: Kernel) -> Found:
    for call, given in _calls(kernel, 'tile.compare', 'tile.select'):
        value = _constant(given.get('src1'))
        if isinstance(value, int) and not isinstance(value, bool):
            yield call, f'the Python int {value} as src1', 'an int has no dtype there: AttributeError', f'{value}.0, or T.int32({value})'
    for call, given in _calls(kernel, 'tile.bitwise_and', 'tile.bitwise_or'):
        if _constant(given.get('src1')) is not _MISSING:
            yield call, f'T.{kernel.word(call.func)} with a scalar', 'there is no scalar form of it', 'a tile filled with the value'


def _pipes(kernel: Kernel) -> Found:
    for words, keys in ((('set_flag', 'wait_flag'), ('src', 'dst')), (('pipe_barrier', 'set_cross_flag'), ('pipe',))):
        for call, given in _calls(kernel, *words):
            for key in keys:
                value = _constant(given.get(key))
                allowed = (*PIPES, 'ALL') if kernel.word(call.func) == 'pipe_barrier' else PIPES
                if value is not _MISSING and (not isinstance(value, str) or value.upper() not in allowed):
                    yield call, f'{key}={value!r}', 'no pipe has this name: it fails in the device compiler', ', '.join(allowed)


def _reductions(kernel: Kernel) -> Found:
    for call, given in _calls(kernel, 'reduce_sum', 'reduce_max', 'reduce_min'):
        extras = given.get('args', ())
        clear = _constant(given.get('clear'))
        if len(extras) > 2:
            yield call, f'{len(extras)} arguments behind dim', 'at most clear and real_shape may follow it', 'clear=..., real_shape=[...]'
        if clear is not _MISSING and not isinstance(clear, bool):
            yield call, f'clear={clear!r}', 'it is a TypeError unless a bool', 'clear=True or clear=False'
        if isinstance(given.get('dim'), (ast.List, ast.Tuple)):
            yield call, f'dim={ast.unparse(given["dim"])}', 'one axis is reduced at a time', 'dim=-1 or dim=0'


def _names(kernel: Kernel) -> Found:
    """Every buffer of a kernel is planned by its name."""
    seen: dict[str, ast.AST] = {}
    for node in kernel.nodes():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Call) \
                and kernel.word(node.value.func) in ALLOCATIONS:
            name = node.targets[0].id
            if name in seen:
                yield node, f'a second buffer named {name}', f'on-chip buffers need names of their own (the first is on line {seen[name].lineno})', \
                    f'{name}_2'
            seen.setdefault(name, node)
    for macro in kernel.macros:
        holds = any(isinstance(n, ast.Call) and kernel.word(n.func) in ALLOCATIONS for n in ast.walk(macro))
        calls = [n for n in kernel.nodes() if isinstance(n, ast.Call) and getattr(n.func, 'id', '') == macro.name]
        if holds and len(calls) > 1:
            yield calls[1], f'{macro.name} allocates and is expanded {len(calls)} times', 'its buffers would have the same name each time', \
                'the allocation in the kernel, the buffer as an argument'


def _combined(kernel: Kernel) -> Found:
    on = kernel.switches
    if on in ('developer', 'mixed') or isinstance(on, frozenset) and 'tl.ascend_auto_cv_combine' in on:
        for call in kernel.calls('sync_all', 'loop_break'):
            yield call, f'T.{kernel.word(call.func)} in a kernel whose cores the compiler splits', \
                'the pass that splits reads its first argument, and it has none', 'explicit scopes without tl.ascend_auto_cv_combine'


RULES: dict[str, Callable[[Kernel], Found]] = {
    'F.kernel': _frame, 'F.variable': _variable, 'F.dtype': _dtypes, 'F.parallel': _parallel, 'F.mode': _modes, 'F.scalar': _scalars,
    'F.pipe': _pipes, 'F.reduce': _reductions, 'F.buffers': _names, 'F.combine': _combined,
}


def check(kernel: Kernel) -> Iterator[Lint]:
    for rule, find in RULES.items():
        for node, message, why, instead in find(kernel):
            yield Lint(kernel.file, node.lineno, rule, message, why, instead)
