"""Which kernel stands for which published row.

A module of this folder listed in `MODULES` says how rows of some categories are modelled:

    @models('dma', 'dma_conflict')
    def data_copy(row: Row) -> Modelled | Skip:
        shape = ...                                    # parsed from row.kernel, row.shape, row.dtype, row.cores; never from row.id
        if shape is None:
            return Skip('the tile is not stated')
        return Modelled(lambda: gm_to_ub(*shape), 'double buffer, 64x1024 tiles')

* `row.chip` is the Chip with the part's clock and cores (also `row.arch`: 'a2', 'a3', 'a5'); `row.core_counts` the cores column.
* `Modelled.kernels` builds one compiled kernel (`tiletwin.jit`) or a list of them that run one after the other. It is called late, so
  that sorting rows into classes is cheap. Build for the row's chip: inside it the default platform is `row.arch`.
* `kind`: 'scored' when the published schedule is known and the kernel has it; 'bound' when it is ours (a good expert kernel).
* `clock`: what the published time covers. 'task' is a whole launch, 'kernel' a time taken inside the kernel (no launch cost),
  'block' the mean time of one block.
* `like` is a row with a smaller shape, for rows whose simulation takes seconds: the fit asks for many times of one row.
* `unlike` names pipe columns that are not comparable; say why in a comment beside it.
* `Skip` gives the reason why a row has no model; it is printed in the table, so state a fact.

Categories are matched by exact name; a name that ends in '*' matches by its beginning. Two functions for one category are an error.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any, Callable

from .rows import Row

# Modules of this folder whose import registers models.
MODULES: tuple[str, ...] = (
    'gemm_rows', 'memory_rows', 'attention', 'elementwise', 'maximum', 'norms', 'quant', 'fused_norm', 'gated', 'softmax',
    'group_norm',
)


# Why the rows of these categories have no model, by the beginning of their name.
REASONS = {
    'conv': 'the products behind the convolution, im2col included, are not described',
    'cann_transpose': 'the dialect transposes 16x16 tiles of two bytes only; the vendor uses other instructions',
    'cann_grouped_matmul': 'sizes of the groups and their split over the cores are not published',
    'cann_quant_matmul': 'tiling, split of K and the scaling step of the vendor are not published',
    'cann_weight_quant_batch_matmul': 'tiling, split of K and the dequantising step of the vendor are not published',
    'cann_group_norm': 'rows of the reduction and tiling of the vendor are not published',
    'gemm_int8': 'tiling and the scaling step on the vector cores are not stated',
    'kda': 'the kernel is newer than the described tree; only its name is known',
    'mhc': 'the kernel is newer than the described tree, and most of its times are those of the host',
    'rope': 'the kernel is newer than the described tree; only its name is known',
    'cross_entropy': 'only the loop of the baseline is described, not its tiles in UB',
    'softmax_cycles': 'one register kernel in three forms; the dialect has no vector functions of its own',
    'topk': 'lists and merge order of the vendor kernel are not described',
}


@dataclass(frozen=True, slots=True)
class Modelled:
    """A row that a kernel stands for."""

    kernels: Callable[[], Any]  # -> JITKernel, or a list of them that run one after the other
    schedule: str  # one line: what is modelled
    kind: str = 'scored'  # or 'bound'
    clock: str = 'task'  # or 'kernel', 'block'
    scalars: dict[str, int] = field(default_factory=dict)  # of symbolic sizes
    bypass: frozenset[str] = frozenset()  # tensors the published kernel reads past L2, by a cache hint the dialect does not have
    like: Row | None = None  # a smaller row of the same schedule; finite differences are taken on it
    unlike: tuple[str, ...] = ()  # pipe columns that publish something else than the busy time of the modelled schedule


@dataclass(frozen=True, slots=True)
class Skip:
    """A row without a model."""

    reason: str


Model = Callable[[Row], Modelled | Skip]
_MODELS: dict[str, Model] = {}


def models(*categories: str) -> Callable[[Model], Model]:
    """Registers a function for the rows of these categories."""

    def register(model: Model) -> Model:
        for name in categories:
            if _MODELS.setdefault(name, model) is not model:
                raise ValueError(f'two models for the rows of {name}: {_MODELS[name].__module__} and {model.__module__}')
        return model

    return register


def find(row: Row) -> Modelled | Skip:
    """The model of a row."""
    for module in MODULES:
        importlib.import_module(f'{__package__}.{module}')
    exact = _MODELS.get(row.cat)
    if exact is not None:
        return exact(row)
    for name, model in _MODELS.items():
        if name.endswith('*') and row.cat.startswith(name[:-1]):
            return model(row)
    return Skip(next((why for part, why in REASONS.items() if row.cat.startswith(part)), 'no kernel of this category is modelled'))
