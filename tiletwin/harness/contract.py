"""What an operator promises: operands, cases, reference, tolerance, refusals. One contract per family, one variant per row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Mapping

from ..errors import CallError

if TYPE_CHECKING:
    import torch

    from .claims.claim import Claim

PURPOSES = ('minimum', 'source', 'tail', 'reuse', 'idle', 'uneven', 'heads')
# What keeps a workspace slot of the developer form from being overwritten while it is read (operators.md C4.43).
WAR_COVERS = ('', 'reverse_edge', 'single_shot', 'slots>=trips', 'hybrid_flag')
# Why a developer form still has a workspace and vid (operators.md C4.14).
FALLBACKS = ('', 'multi_version', 'fine_sync', 'compiler_reject')


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor by the names of its dimensions; a name used twice has one size."""

    name: str
    dims: tuple[str, ...]
    dtypes: tuple[str, ...]
    # Its values in a case (shape, generator, sizes, attributes of the case), when they are no numbers but addresses, lengths or codes.
    draw: Callable[[tuple[int, ...], 'torch.Generator', Mapping[str, int], Mapping[str, Any]], 'torch.Tensor'] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One result of a call, known before it runs."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Case:
    """One run of an operator: sizes of the named dimensions, attributes, dtype of the inputs."""

    name: str
    purpose: str
    sizes: Mapping[str, int]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ()  # of the inputs, when an operand takes more than one
    seed: int = 0
    chips: tuple[str, ...] = ()  # empty: every chip of the variant
    slow: bool = False  # not part of the quick cut the tests run

    def __post_init__(self):
        if self.purpose not in PURPOSES:
            raise ValueError(f'case {self.name}: purpose {self.purpose!r} is none of {PURPOSES}')


@dataclass(frozen=True, slots=True)
class BadInput:
    """A wrong call and the error it must get, before anything runs."""

    name: str
    call: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]  # positional and keyword arguments of the operator
    error: type[Exception]
    says: str  # text the message holds


@dataclass(frozen=True, slots=True)
class Form:
    """What one mode of an operator does not do, each with its reason."""

    without: Mapping[str, str] = field(default_factory=dict)  # attribute -> why this form has no use for it
    skips: Mapping[str, str] = field(default_factory=dict)  # case -> why this form does not run it
    # What this form refuses beyond the limits of the contract; raises CallError.
    limits: Callable[[dict[str, int], dict[str, Any]], None] | None = None


@dataclass(frozen=True, slots=True)
class Waiver:
    """A race between two vector instructions that the author vouches for: named, counted in every report, never hidden."""

    name: str
    ops: tuple[str, str]
    tile: str
    reason: str

    def covers(self, finding: Any) -> bool:
        sides = finding.sides
        return finding.word == 'race' and all(s.pipe == 'V' and self.tile in s.region for s in sides) and {s.op for s in sides} == set(self.ops)


@dataclass(frozen=True)
class Variant:
    """One row of the operator list.

    `ops/<mode>/<family>.py` holds a function named `kernel` that takes every size and attribute by name (and `cores`, the number
    of blocks) and returns the compiled kernel.
    """

    name: str  # 'matmul.mkkn_gemm'
    row: str  # its id in the operator list
    kernel: str  # factory function in ops/<mode>/<family>.py
    chips: tuple[str, ...]
    inputs: tuple[Operand, ...]
    reference: Callable[..., tuple['torch.Tensor', ...]]  # (*inputs, **attributes) -> outputs
    outputs: Callable[[Mapping[str, int], Mapping[str, Any], tuple[str, ...]], tuple[Output, ...]]  # of sizes, attributes, dtypes of the inputs
    policy: Callable[[str], str]  # dtype of an output -> name of its precision policy
    cases: tuple[Case, ...]
    bad: tuple[BadInput, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)  # with their defaults; `cores` None is the chip's own number
    attribute_types: Mapping[str, type] = field(default_factory=dict)  # of attributes whose default is None; a whole number when not named
    limits: Callable[[dict[str, int], dict[str, Any]], None] | None = None  # raises CallError
    check_values: Callable[..., None] | None = None  # (*inputs, **settings), raises CallError: tensors that steer addresses or loops
    arguments: Callable[[dict[str, int], dict[str, Any], tuple[str, ...]], dict[str, Any]] | None = None  # of the factory
    draw: Callable[[tuple[int, ...], 'torch.Generator'], 'torch.Tensor'] | None = None  # an input in float32; standard normal when None
    # Developer against expert: 'bitwise' where both add in the same order, else a budget such as 'ulp 4'; never the tolerance of the reference.
    twins: str = 'bitwise'
    # The reference in the storage precision, for policies that count the errors a processor makes as well.
    same_precision: Callable[..., tuple['torch.Tensor', ...]] | None = None
    reviews: Mapping[str, str] = field(default_factory=dict)  # class word of a review finding -> the reason it is accepted
    waivers: tuple[Waiver, ...] = ()
    war_cover: str = ''
    fallback_reason: str = ''
    forms: Mapping[str, Form] = field(default_factory=dict)  # by mode, where a mode leaves something out
    must_show: tuple['Claim', ...] = ()  # what the row asks for beyond right numbers
    priority: str = 'P0'  # of the row
    topology: str = ''  # units in the order the data meets them: 'cube->vec'; what a list of operators is chosen by, as is the formula
    formula: str = ''
    timed: tuple[Case, ...] = ()  # source shapes too large to be computed here: a benchmark times them without data

    def __post_init__(self):
        for name, allowed in (('war_cover', WAR_COVERS), ('fallback_reason', FALLBACKS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f'{self.name}: {name} {getattr(self, name)!r} is none of {allowed}')

    def form(self, mode: str) -> Form:
        return self.forms.get(mode, Form())

    def accepts(self, finding: Any) -> bool:
        """Whether the contract gives a reason for a finding."""
        return finding.severity == 'review' and finding.word in self.reviews or any(w.covers(finding) for w in self.waivers)

    @property
    def family(self) -> str:
        return self.name.split('.')[0]

    @property
    def bench_cases(self) -> tuple[Case, ...]:
        """The source shapes of the row, as a benchmark times them: without data."""
        return tuple(c for c in self.cases if c.purpose == 'source') + self.timed

    def make_inputs(self, case: Case) -> tuple['torch.Tensor', ...]:
        """The tensors of a case; the same for every mode, chip and run."""
        import torch

        seed = int.from_bytes(hashlib.sha256(f'{self.row}/{case.name}/{case.seed}'.encode()).digest()[:6], 'big')
        generator = torch.Generator().manual_seed(seed)
        draw = self.draw or (lambda shape, g: torch.randn(shape, generator=g))
        dtypes = case.dtypes or tuple(op.dtypes[0] for op in self.inputs)
        shapes = [tuple(case.sizes[d] for d in op.dims) for op in self.inputs]
        drawn = (op.draw(shape, generator, case.sizes, case.attributes) if op.draw else draw(shape, generator) for op, shape in zip(self.inputs, shapes))
        return tuple(x.to(getattr(torch, t)) for x, t in zip(drawn, dtypes))

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All attributes, defaults filled in; refuses names the operator does not have."""
        for key in given:
            if key not in self.attributes:
                raise CallError(f'{self.name} has no attribute {key!r}', instead='one of ' + ', '.join(self.attributes))
        return {**self.attributes, **given}

    def bind(self, tensors: tuple[Any, ...], settings: dict[str, Any], device: str = 'cpu') -> dict[str, int]:
        """Sizes of the named dimensions; refuses anything the contract does not cover."""
        import torch

        if len(tensors) != len(self.inputs):
            names = ', '.join(op.name for op in self.inputs)
            raise CallError(f'{self.name} takes {len(self.inputs)} tensors ({names}), got {len(tensors)}',
                            instead=f'the inputs in the order {names}; attributes as keywords')
        sizes: dict[str, int] = {}
        for op, x in zip(self.inputs, tensors):
            shape = '[' + ', '.join(op.dims) + ']'
            if not isinstance(x, torch.Tensor):
                raise CallError(f'{self.name}: {op.name} is a {type(x).__name__}', why='the operator reads tensors', instead='a torch.Tensor')
            found = str(x.dtype).removeprefix('torch.')
            if found not in op.dtypes:
                raise CallError(f'{self.name}: {op.name} is {found}', why='the contract covers ' + ', '.join(op.dtypes),
                                instead=f'{op.name}.to(torch.{op.dtypes[0]})')
            if x.device.type not in (('cpu', 'meta') if device == 'cpu' else (device,)):
                why = 'the simulator reads host memory' if device == 'cpu' else f'kernels run on the {device} here and read its memory'
                raise CallError(f'{self.name}: {op.name} is on {x.device}', why=why, instead=f'{op.name}.{device}()')
            if not x.is_contiguous():
                raise CallError(f'{self.name}: {op.name} is not contiguous', why='the kernel addresses it by its dense shape',
                                instead=f'{op.name}.contiguous()')
            if x.dim() != len(op.dims):
                raise CallError(f'{self.name}: {op.name} has shape {tuple(x.shape)}', why=f'the contract is {op.name}{shape}',
                                instead=f'a tensor of {len(op.dims)} dimensions')
            for name, size in zip(op.dims, x.shape):
                if size == 0:
                    raise CallError(f'{self.name}: {op.name} has no elements, {name} is 0', why='a launch needs at least one element')
                if sizes.setdefault(name, size) != size:
                    raise CallError(f'{self.name}: {name} is {sizes[name]} before and {size} in {op.name}', why=f'the contract is {op.name}{shape}',
                                    instead=f'tensors that agree on {name}')
        if self.limits is not None:
            self.limits(sizes, settings)
        # A meta tensor has no values.
        if self.check_values is not None and not any(x.is_meta for x in tensors):
            self.check_values(*tensors, **settings)
        return sizes


@dataclass(frozen=True)
class Contract:
    family: str
    variants: tuple[Variant, ...]


def choice(name: str, settings: Mapping[str, Any], key: str, allowed: tuple[Any, ...]) -> None:
    """Refuses an attribute value outside `allowed`."""
    if settings[key] not in allowed:
        raise CallError(f'{name}: {key} is {settings[key]!r}', instead='one of ' + ', '.join(map(repr, allowed)))
