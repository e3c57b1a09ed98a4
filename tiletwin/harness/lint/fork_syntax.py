"""What the fork's parser refuses although the builder here takes it (dialect 12.1, 12.8).

The fork reads a kernel as text, expression by expression; here it is Python that runs. A kernel file has to be valid for both.
"""

from __future__ import annotations

import ast
from typing import Callable, Iterator

from .finding import Lint
from .source import Kernel

Found = Iterator[tuple[ast.AST, str, str, str]]  # node, message, why, instead
LOOPS = ('serial', 'unroll', 'vectorized', 'Parallel', 'Pipelined', 'Persistent', 'grid')
FRAMES = ('Kernel', 'Scope', 'If', 'Then', 'Else')
# Operations are statements: what the call returns is not a value.
STATEMENTS = ('copy', 'gemm_v0', 'mma', 'set_flag', 'wait_flag', 'pipe_barrier', 'barrier_all', 'sync_all', 'set_cross_flag', 'wait_cross_flag',
              'init_flag', 'clear_flag', 'reduce_sum', 'reduce_max', 'reduce_min', 'set_deq_scale', 'printf', 'dump_tensor', 'annotate_address',
              'annotate_layout', 'loop_break')


def _kinds(types: tuple[type, ...], what: str, why: str, instead: str) -> Callable[[Kernel], Found]:
    def check(kernel: Kernel) -> Found:
        for node in kernel.nodes():
            if isinstance(node, types):
                yield node, f'{what} in a kernel', why, instead
    return check


def _loops(kernel: Kernel) -> Found:
    for node in kernel.nodes():
        if isinstance(node, ast.For):
            call = node.iter
            name = kernel.word(call.func) or getattr(call.func, 'id', '') if isinstance(call, ast.Call) else ''
            if name != 'range' and name not in LOOPS:
                yield node, f'a loop over {ast.unparse(node.iter)}', 'the parser takes loops over ranges only', 'range(n) or T.serial(n)'
            elif name == 'serial' and (len(call.args) > 2 or any(k.arg == 'step' for k in call.keywords)) or name == 'range' and len(call.args) > 2:
                yield node, f'{ast.unparse(node.iter)} has a step', 'a third positional of T.serial is a TypeError there', \
                    'a loop of the trips, index times step'


def _frames(kernel: Kernel) -> Found:
    for node in kernel.nodes():
        if isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                if not (isinstance(call, ast.Call) and kernel.word(call.func) in FRAMES):
                    yield node, f'with {ast.unparse(call)}', 'the parser knows the frames of the dialect', 'T.Kernel, T.Scope, T.If, T.Then or T.Else'


def _results(kernel: Kernel) -> Found:
    for node in kernel.nodes():
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and isinstance(node.value, ast.Call):
            word = kernel.word(node.value.func)
            if word in STATEMENTS or word.startswith('tile.'):
                yield node, f'the result of T.{word} is assigned', 'operations are statements: the call is not a value', \
                    f'T.{word}(...) on a line of its own'


def _indices(kernel: Kernel) -> Found:
    ranks = _ranks(kernel)
    for node in kernel.nodes():
        if not isinstance(node, ast.Subscript):
            continue
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        text = ast.unparse(node)
        rank = ranks.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if any(isinstance(p, ast.Constant) and p.value is ... for p in parts):
            yield node, f'{text} has an ellipsis', 'the rank of a region is the rank of its buffer', 'one index or slice per dimension'
        elif rank is not None and len(parts) != rank:
            yield node, f'{text} has {len(parts)} of {rank} indices', 'the rank of a region is the rank of its buffer', \
                'one index or slice per dimension'
        for p in parts:
            if isinstance(p, ast.Slice) and p.step is not None:
                yield node, f'{text} has a step', 'a slice with a step is a vector load there, not a region', 'a loop, or T.tile.gather'
            for bound in (p.lower, p.upper) if isinstance(p, ast.Slice) else (p,):
                if rank is not None and isinstance(bound, ast.UnaryOp) and isinstance(bound.op, ast.USub) and isinstance(bound.operand, ast.Constant):
                    yield node, f'{text} counts from the end', 'a negative bound is a negative offset there', 'the size minus the distance'


def _ranks(kernel: Kernel) -> dict[str, int]:
    """Ranks of the tensors and tiles whose shape is written out where they are made."""
    ranks: dict[str, int] = {}
    shapes = [(a.arg, a.annotation) for a in kernel.prim.args.args]
    shapes += [(n.targets[0].id, n.value) for n in kernel.nodes() if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)]
    for name, call in shapes:
        word = kernel.word(call.func) if isinstance(call, ast.Call) else ''
        shaped = word in ('Tensor', 'Buffer') or word.startswith('alloc_') and word != 'alloc_var'
        shape = call.args[0] if shaped and call.args else None
        if isinstance(shape, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in shape.elts):
            ranks[name] = len(shape.elts)
    return ranks


def _aliases(kernel: Kernel) -> Found:
    ranks = _ranks(kernel)
    for node in kernel.nodes():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and getattr(node.value.value, 'id', '') in ranks:
            parts = node.value.slice.elts if isinstance(node.value.slice, ast.Tuple) else [node.value.slice]
            if any(isinstance(p, ast.Slice) and (p.lower is None or p.upper is None) for p in parts):
                yield node, f'{ast.unparse(node)} leaves a bound open', 'a slice that gets a name needs both bounds there', \
                    'start and stop written out'


def _returns(kernel: Kernel) -> Found:
    for statement in ast.walk(kernel.prim):
        if isinstance(statement, ast.Return):
            yield statement, 'return in a kernel', 'a kernel writes its results to tensors', 'a T.Tensor parameter listed in out_idx'


_PYTHON = 'the parser reads the kernel as text and knows none of Python beyond its expressions'
RULES: dict[str, Callable[[Kernel], Found]] = {
    'F.fstring': _kinds((ast.JoinedStr,), 'an f-string', 'f-strings are usable outside the prim_func only', 'the string, made in the factory'),
    'F.comprehension': _kinds((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), 'a comprehension',
                              'comprehensions are usable outside the prim_func only', 'the list, made in the factory'),
    'F.assert': _kinds((ast.Assert,), 'assert', 'asserts are usable outside the prim_func only', 'an assert in the factory'),
    'F.break': _kinds((ast.Break, ast.Continue), 'break or continue', 'the fork has T.loop_break and no continue',
                      'T.loop_break(), or an if around the rest of the body'),
    'F.python': _kinds((ast.Try, ast.Raise, ast.Global, ast.Nonlocal, ast.Delete, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Import,
                        ast.ImportFrom, ast.Match, ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await), 'Python', _PYTHON,
                       'the same in the factory, or T.macro'),
    'F.return': _returns,
    'F.loop': _loops,
    'F.with': _frames,
    'F.result': _results,
    'F.index': _indices,
    'F.alias': _aliases,
}


def check(kernel: Kernel) -> Iterator[Lint]:
    for rule, find in RULES.items():
        for node, message, why, instead in find(kernel):
            yield Lint(kernel.file, node.lineno, rule, message, why, instead)
