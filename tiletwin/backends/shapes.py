"""The arguments of a launch that moves no data: shapes instead of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from ..errors import CallError
from ..ir import expr as E
from .calls import Bound, Convention, torch_dtype

if TYPE_CHECKING:
    import torch


def only_shapes(args: tuple) -> bool:
    """Whether the tensors of a call have no memory: torch's own way to hand over shapes."""
    found = [a.is_meta for a in args if hasattr(a, 'is_meta')]
    return bool(found) and all(found)


def bind_shapes(convention: Convention, args: tuple, sizes: Mapping[str, int | float], strict_shapes: bool = True, unchecked: bool = False) -> Bound:
    """Binds a call whose tensor arguments are tensors, meta tensors or shapes; every tensor of the result is a meta tensor.

    Without arguments the inputs have their declared shapes; `sizes` then gives symbolic dimensions and scalar parameters by name.
    """
    program = convention.program
    inputs = [program.params[i] for i in convention.inputs]
    if not args:
        args = tuple(_declared(convention, p, sizes) for p in inputs)
    elif sizes:
        raise CallError(f'{program.name}: arguments and sizes by name', why='the sizes follow from the arguments', instead='one of the two')
    if len(args) == len(inputs):
        args = tuple(_meta(program.buffers[p].dtype, a) if isinstance(p, str) else a for p, a in zip(inputs, args))
    return convention.bind(args, strict_shapes, unchecked, data=False)


def _meta(dtype: str, value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value if value.is_meta else torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device='meta')
    if isinstance(value, (tuple, list)) and all(isinstance(n, int) for n in value):
        return torch.empty(tuple(value), dtype=torch_dtype(dtype), device='meta')
    return value


def _declared(convention: Convention, p: Any, sizes: Mapping[str, int | float]) -> Any:
    program = convention.program
    if not isinstance(p, str):
        if p.name not in sizes:
            raise CallError(f'{program.name} takes a scalar `{p.name}`', where=program.span, why='it is passed by value', instead=f'{p.name}=...')
        return sizes[p.name]
    b = program.buffers[p]
    found = []
    for d in b.shape:
        size = E.int_value(E.substitute(d, {n: E.Const(v) for n, v in sizes.items()}))
        if size is None:
            missing = sorted(n for n in E.free_vars(d) if n not in sizes)
            raise CallError(f'{program.name}: `{b.name}` has a dimension {E.text(d)}', where=b.span, why='its size is known only to the caller',
                            instead=', '.join(f'{n}=...' for n in missing))
        found.append(size)
    return tuple(found)
