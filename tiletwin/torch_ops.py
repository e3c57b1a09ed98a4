"""The operators as `torch.ops.tiletwin.<operator>`: on CPU the simulator computes them, on an NPU the native backend.

`import tiletwin.torch_ops` registers them; a dot in an operator's name becomes an underscore (`matmul.mkkn_gemm` is
`torch.ops.tiletwin.matmul_mkkn_gemm`). They take the tensors of the contract in its order, the attributes by name, and `mode` and
`arch`; left out, these two are what `using(...)` says, or expert on the first of a3, a2, a5 the operator is written for.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Iterator

import torch

from .backends.choose import backend
from .errors import CallError, EnvironmentError_, UnsupportedError
from .harness.contract import Variant
from .harness.registry import MODES, Operator, operators
from .machine.chip import chip as chip_of

NAMESPACE = 'tiletwin'
_TYPES = {int: 'int', float: 'float', bool: 'bool', str: 'str'}
_FIRST = ('a3', 'a2', 'a5')


@dataclass(frozen=True)
class Choice:
    """Which form of the operators runs, and for which chip; empty: the default."""

    mode: str = ''
    arch: str = ''


_choice: ContextVar[Choice] = ContextVar('choice', default=Choice())


@contextmanager
def using(mode: str = '', arch: str = '') -> Iterator[Choice]:
    """Within the block, operators run in this mode and for this chip unless a call says otherwise."""
    if mode and mode not in MODES:
        raise EnvironmentError_(f'no mode {mode!r}', instead=' or '.join(MODES))
    now = replace(_choice.get(), **{k: v for k, v in (('mode', mode), ('arch', arch and chip_of(arch).name)) if v})
    before = _choice.set(now)
    try:
        yield now
    finally:
        _choice.reset(before)


def op_name(operator: str) -> str:
    return operator.replace('.', '_')


def schema(variant: Variant) -> str:
    """The signature torch checks calls against."""
    tensors = ', '.join(f'Tensor {op.name}' for op in variant.inputs)
    words = []
    for name, default in variant.attributes.items():
        kind = _TYPES[variant.attribute_types.get(name, int) if default is None else type(default)]
        words.append(f'{kind}? {name}=None' if default is None else f'{kind} {name}={repr(default) if isinstance(default, str) else default}')
    words += ['str mode=""', 'str arch=""']
    sizes = dict.fromkeys((d for op in variant.inputs for d in op.dims), 1)
    count = len(variant.outputs(sizes, dict(variant.attributes), tuple(op.dtypes[0] for op in variant.inputs)))
    return f'({tensors}, *, {", ".join(words)}) -> ' + ('Tensor' if count == 1 else f'({", ".join(["Tensor"] * count)})')


def _dtype_names(tensors: tuple[torch.Tensor, ...]) -> tuple[str, ...]:
    return tuple(str(x.dtype).removeprefix('torch.') for x in tensors)


def _run(operator: Operator, tensors: tuple[torch.Tensor, ...], mode: str, arch: str, attributes: dict[str, Any]) -> Any:
    now = _choice.get()
    if mode and mode not in MODES:
        raise EnvironmentError_(f'no mode {mode!r}', instead=' or '.join(MODES))
    arch = arch or now.arch
    if not arch and backend().name == 'simulator':
        arch = next(c for c in _FIRST if c in operator.chips)
    # The contract reads dense tensors; torch's own operators take any strides.
    dense = tuple(x.contiguous() for x in tensors)
    given = {k: v for k, v in attributes.items() if v != operator.variant.attributes[k]}
    return operator(*dense, mode=mode or now.mode or 'expert', arch=arch or None, **given)


def _shapes(operator: Operator, tensors: tuple[torch.Tensor, ...], attributes: dict[str, Any]) -> Any:
    """What the call will return, from shapes alone."""
    variant = operator.variant
    sizes: dict[str, int] = {}
    for op, x in zip(variant.inputs, tensors):
        if x.dim() != len(op.dims):
            raise CallError(f'{variant.name}: {op.name} has {x.dim()} dimensions', why=f'the contract is {op.name}[{", ".join(op.dims)}]')
        sizes |= dict(zip(op.dims, x.shape))
    found = tuple(tensors[0].new_empty(o.shape, dtype=getattr(torch, o.dtype)) for o in variant.outputs(sizes, attributes, _dtype_names(tensors)))
    return found[0] if len(found) == 1 else found


def register(operator: Operator) -> Any:
    """Defines one operator, its shapes, and its gradient where the set has one."""
    variant = operator.variant

    def call(*tensors: torch.Tensor, mode: str = '', arch: str = '', **attributes: Any) -> Any:
        return _run(operator, tensors, mode, arch, {**variant.attributes, **attributes})

    def shapes(*tensors: torch.Tensor, mode: str = '', arch: str = '', **attributes: Any) -> Any:
        return _shapes(operator, tensors, {**variant.attributes, **attributes})

    made = torch.library.custom_op(f'{NAMESPACE}::{op_name(variant.name)}', call, mutates_args=(), schema=schema(variant))
    made.register_fake(shapes)
    if variant.name == 'matmul.mkkn_gemm':
        made.register_autograd(_product_gradient, setup_context=_product_context)
    else:
        made.register_autograd(_no_gradient(variant.name))
    return made


def _product_context(ctx: Any, inputs: tuple, keyword_only_inputs: dict[str, Any], output: Any) -> None:
    ctx.save_for_backward(*inputs)
    ctx.words = {k: keyword_only_inputs[k] for k in ('mode', 'arch')}


def _product_gradient(ctx: Any, grad: torch.Tensor) -> tuple:
    """Both gradients of a product are products; this one takes float16 operands, so the incoming gradient is rounded to float16."""
    a, b = ctx.saved_tensors
    product = getattr(getattr(torch.ops, NAMESPACE), op_name('matmul.mkkn_gemm'))
    grad = grad.to(a.dtype)
    return (product(grad, b.t().contiguous(), **ctx.words).to(a.dtype) if ctx.needs_input_grad[0] else None,
            product(a.t().contiguous(), grad, **ctx.words).to(b.dtype) if ctx.needs_input_grad[1] else None)


def _no_gradient(name: str) -> Any:
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        raise UnsupportedError(f'{name} has no backward', why='the operator set holds none for it',
                               instead='torch.no_grad(), or detach() on its inputs; matmul.mkkn_gemm has a gradient')
    return backward


REGISTERED = {name: register(op) for name, op in operators().items()}
