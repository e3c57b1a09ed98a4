"""The call convention of a compiled kernel: from the caller's arguments to named tensors and scalars (dialect 1.6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import CallError, DialectTypeError, TileTwinError
from ..ir import expr as E
from ..ir.nodes import Buffer, Program

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class KernelParam:
    """A parameter as the caller sees it; extents are ints or the text of an expression."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None  # None for a scalar

    def torch_dtype(self) -> 'torch.dtype':
        return torch_dtype(self.dtype)


@dataclass(frozen=True)
class Bound:
    """The arguments of one launch."""

    tensors: dict[str, 'torch.Tensor']
    scalars: dict[str, int | float]
    results: list['torch.Tensor']
    poisoned: frozenset[str]
    # Tensors smaller than declared, by parameter: what the caller passed, and the memory of the declared size that stands for it.
    short: dict[str, tuple['torch.Tensor', 'torch.Tensor']] = field(default_factory=dict)


def torch_dtype(name: str) -> 'torch.dtype':
    import torch

    return getattr(torch, name)


def poison(t: 'torch.Tensor') -> None:
    """Fills memory nobody wrote with NaN, or with a byte no index survives."""
    import torch

    t.fill_(float('nan')) if t.is_floating_point() and t.dtype.itemsize > 1 else t.view(torch.uint8).fill_(0xA5)


def lengthened(t: 'torch.Tensor', shape: tuple[int, ...]) -> 'torch.Tensor':
    """Memory of the declared shape that starts with the elements of `t`."""
    import torch

    whole = torch.empty(shape, dtype=t.dtype, device=t.device)
    if t.is_meta:
        return whole
    poison(whole.view(-1)[t.numel():])
    whole.view(-1)[:t.numel()] = t.view(-1)
    return whole


def give_back(short: dict[str, tuple['torch.Tensor', 'torch.Tensor']]) -> list[str]:
    """Copies what a launch wrote into the tensors of the caller; names those it wrote behind."""
    import torch

    beyond = []
    for name, (passed, whole) in short.items():
        flat = whole.view(-1)
        passed.view(-1).copy_(flat[:passed.numel()])
        rest = flat[passed.numel():]
        untouched = torch.empty_like(rest)
        poison(untouched)
        if not torch.equal(rest.view(torch.uint8), untouched.view(torch.uint8)):
            beyond.append(name)
    return beyond


def indices(value: Any, count: int, what: str) -> list[int]:
    """`out_idx` or `workspace_idx` as non-negative positions."""
    if value is None:
        return []
    values = [value] if isinstance(value, int) else value
    if isinstance(value, bool) or not isinstance(values, (list, tuple)) or any(not isinstance(v, int) or isinstance(v, bool) for v in values):
        raise DialectTypeError(f'{what} is {value!r}', why='it names parameters by position', instead=f'{what}=-1 or {what}=[2, 3]')
    found = []
    for v in values:
        if not -count <= v < count:
            raise CallError(f'{what}={v} of a kernel with {count} parameters', why='it names a parameter by position',
                            instead=f'{-count} to {count - 1}')
        found.append(v % count)
    if len(set(found)) != len(found):
        raise CallError(f'{what}={value!r} names a parameter twice', instead='each parameter once')
    return found


class Convention:
    """Which parameters the caller passes, which are made for the call, and what is returned."""

    def __init__(self, program: Program, out_idx: Any, workspace_idx: Any):
        self.program = program
        # Workspaces the passes added stand behind the parameters of the source.
        count = len(program.params) - len(program.attrs.get('auto_gm', ()))
        self.auto_idx = list(range(count, len(program.params)))
        try:
            self.out_idx = indices(out_idx, count, 'out_idx')
            self.workspace_idx = indices(workspace_idx, count, 'workspace_idx')
        except TileTwinError as error:
            raise error.at(program.span) from None
        both = set(self.out_idx) & set(self.workspace_idx)
        if both:
            raise CallError(f'parameter {min(both)} is an output and a workspace', where=program.span, why='a workspace is not returned',
                            instead='either out_idx or workspace_idx')
        for i in (*self.out_idx, *self.workspace_idx):
            if not isinstance(program.params[i], str):
                raise CallError(f'parameter {i} ({program.params[i].name}) is a scalar', where=program.span,
                                why='only tensors are allocated for a call', instead='positions of tensor parameters')
        self.made = [*self.out_idx, *self.workspace_idx, *self.auto_idx]
        self.inputs = [i for i in range(count) if i not in set(self.made)]
        self.params = [self._param(p) for p in program.params]
        plain = {d.name for b in program.tensors for d in b.shape if isinstance(d, E.Var)}
        scalar = {p.name for p in program.params if not isinstance(p, str)}
        used = {n for b in program.tensors for d in b.shape for n in E.free_vars(d)} | E.free_vars(program.launch.blocks)
        self.symbolic = sorted((plain | used) - scalar)

    def _param(self, p) -> KernelParam:
        if not isinstance(p, str):
            return KernelParam(p.name, p.dtype, None)
        b = self.program.buffers[p]
        return KernelParam(b.name, b.dtype, tuple(v if (v := E.int_value(d)) is not None else E.text(d) for d in b.shape))

    # ---- binding -----------------------------------------------------------------------------------------------------

    def bind(self, args: tuple, strict_shapes: bool = True, unchecked: bool = False, data: bool = True) -> Bound:
        """`strict_shapes` off takes larger tensors; `unchecked` takes what the runtime takes, which compares no shapes at all.

        Without `data` the tensors are meta tensors, and so are those made for the call.
        """
        named = [p if isinstance(p, str) else p.name for p in self.program.params]
        if unchecked:
            # The runtime takes what it needs and never looks at the rest.
            args = args[:len(self.inputs)]
        if len(args) != len(self.inputs):
            wanted = ', '.join(named[i] for i in self.inputs)
            surplus = len(args) - len(self.inputs)
            what = f'missing argument `{named[self.inputs[len(args)]]}`' if surplus < 0 else f'{surplus} arguments too many'
            raise CallError(f'{self.program.name} takes {len(self.inputs)} arguments ({wanted}) but got {len(args)}: {what}', where=self.program.span,
                            why='outputs and workspaces are allocated for the call, everything else is passed in parameter order')
        tensors: dict[str, Any] = {}
        scalars: dict[str, int | float] = {}
        for position, value in zip(self.inputs, args):
            p = self.program.params[position]
            if isinstance(p, str):
                tensors[p] = self._tensor(position, self.program.buffers[p], value, not unchecked)
            else:
                scalars[p.name] = self._scalar(p, value)
        if data:
            self._same_device(tensors)
        self._solve(tensors, scalars)
        short = {}
        for name, t in tensors.items():
            tensors[name] = self._shaped(self.program.buffers[name], t, scalars, strict_shapes, unchecked)
            if tensors[name].numel() > t.numel():
                short[name] = t, tensors[name]
        device = next(iter(tensors.values())).device if tensors else 'cpu'
        for i in self.made:
            b = self.program.buffers[self.program.params[i]]
            if i in self.auto_idx and any(E.int_value(d) is None for d in b.shape):
                raise CallError(f'the automatic workspace {b.name} has the shape [{", ".join(map(E.text, b.shape))}]', where=b.span,
                                why='the runtime allocates automatic workspaces of static shape only',
                                instead='a workspace parameter, or a static number of blocks')
            tensors[b.name] = self._allocate(b, scalars, device)
        made = frozenset(named[i] for i in self.made)
        return Bound(tensors, scalars, [tensors[named[i]] for i in self.out_idx], made, short)

    def _tensor(self, position: int, b: Buffer, value: Any, strict: bool = True):
        import torch

        if not isinstance(value, torch.Tensor):
            raise CallError(f'parameter `{b.name}` is a tensor, got {type(value).__name__}', where=b.span, why='GM parameters are memory',
                            instead='a torch.Tensor')
        if value.dtype != torch_dtype(b.dtype):
            raise CallError(f'Buffer dtype mismatch for parameter {b.name}: expected {b.dtype}, got {str(value.dtype).removeprefix("torch.")}',
                            where=b.span,
                            why='the kernel reads bytes, nothing converts them', instead=f'.to(torch.{b.dtype})')
        if strict and value.dim() != len(b.shape):
            raise CallError(f'Buffer shape mismatch for parameter {b.name}: {len(b.shape)} dimensions expected, got {tuple(value.shape)}',
                            where=b.span,
                            why='addresses are computed from the declared shape')
        if not value.is_contiguous():
            raise CallError(f'Input tensor at index {position} must be contiguous: `{b.name}` has strides {tuple(value.stride())}', where=b.span,
                            why='the kernel computes row-major addresses', instead='.contiguous()')
        return value

    def _scalar(self, p: E.Var, value: Any) -> int | float:
        kind = (bool, int) if p.dtype == 'bool' else (int, float) if 'float' in p.dtype else int
        if not isinstance(value, kind) or (isinstance(value, bool) and p.dtype != 'bool'):
            raise CallError(f'parameter `{p.name}` is a scalar of type {p.dtype}, got {value!r}', where=self.program.span,
                            why='it is passed by value',
                            instead='a Python float' if 'float' in p.dtype else 'a Python int')
        return float(value) if 'float' in p.dtype else int(value)

    def _same_device(self, tensors: dict[str, Any]) -> None:
        devices = {name: t.device for name, t in tensors.items()}
        if len({d.type for d in devices.values()}) > 1:
            raise CallError('Buffer device mismatch: ' + ', '.join(f'{n} on {d}' for n, d in devices.items()), where=self.program.span,
                            why='one kernel runs on one device',
                            instead='.to(the same device)')
        for name, device in devices.items():
            if device.type != 'cpu':
                raise CallError(f'Buffer device mismatch for parameter {name}: {device}', where=self.program.span,
                                why='the simulator works on host memory', instead='.cpu()')

    def _solve(self, tensors: dict[str, Any], scalars: dict[str, int | float]) -> None:
        """Symbolic dims: first where a dim is the plain name, then from a dim that is linear in one unknown name."""
        dims = [(b, d, got) for b in self.program.tensors if b.name in tensors for d, got in zip(b.shape, tensors[b.name].shape)]
        for _, d, got in dims:
            if isinstance(d, E.Var) and d.name not in scalars:
                scalars[d.name] = int(got)
        for b, d, got in dims:
            unknown = [n for n in E.free_vars(d) if n not in scalars]
            if len(unknown) == 1:
                scalars[unknown[0]] = self._invert(b, d, unknown[0], int(got), scalars)
        missing = [n for n in self.symbolic if n not in scalars]
        if missing:
            raise CallError(f'Unfounded symbolic var: {missing[0]}', where=self.program.span,
                            why='a symbolic dimension is read off the tensors the caller passes',
                            instead=f'a passed tensor with a dimension {missing[0]}, or a parameter {missing[0]}: T.int32')

    def _invert(self, b: Buffer, d: E.Expr, name: str, got: int, scalars: dict) -> int:
        known = {n: E.Const(v) for n, v in scalars.items()}

        def at(x: int) -> int | None:
            return E.int_value(E.substitute(d, {**known, name: E.Const(x)}))

        zero, one = at(0), at(1)
        if zero is not None and one is not None and one != zero:
            x, rest = divmod(got - zero, one - zero)
            if rest == 0 and x >= 0 and at(x) == got:
                return x
        raise CallError(f'cannot solve {E.text(d)} = {got} for {name} (a dimension of `{b.name}`)', where=b.span,
                        why='a symbolic dimension must follow from the shapes of the inputs',
                        instead=f'a tensor with the plain dimension {name}')

    def _shaped(self, b: Buffer, t, scalars: dict, strict: bool, unchecked: bool):
        """The tensor with the declared shape: the kernel only has its address. Memory behind a smaller one is poisoned."""
        want = self._extents(b, scalars)
        if unchecked and t.numel() < math.prod(want):
            return lengthened(t, want)
        if unchecked or not strict and t.dim() == len(want) and t.numel() >= math.prod(want):
            return t if tuple(t.shape) == want else t.view(-1)[:math.prod(want)].view(want)
        for i, (w, got) in enumerate(zip(want, t.shape)):
            if w == got:
                continue
            raise CallError(f'Buffer shape mismatch for parameter {b.name}: expected {want}, got {tuple(t.shape)} '
                            f'(dimension {i}: {E.text(b.shape[i])} = {w})', where=b.span,
                            why='addresses are computed from the declared shape',
                            instead='a tensor of the declared shape, or a symbolic dimension T.symbolic(...)')
        return t

    def _extents(self, b: Buffer, scalars: dict) -> tuple[int, ...]:
        found = []
        for d in b.shape:
            v = E.int_value(E.substitute(d, {n: E.Const(x) for n, x in scalars.items()}))
            if v is None:
                raise CallError(f'Shape not constant: {E.text(d)} of `{b.name}`', where=b.span,
                                why='the size of an allocated tensor must follow from the inputs')
            found.append(v)
        return tuple(found)

    def _allocate(self, b: Buffer, scalars: dict, device):
        import torch

        from ..sim import workers

        shape, dtype = self._extents(b, scalars), torch_dtype(b.dtype)
        return workers.empty(shape, dtype) if str(device) == 'cpu' else torch.empty(shape, dtype=dtype, device=device)
