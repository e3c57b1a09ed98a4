"""When two tensors are the same: metrics as pure functions, and the named policies that judge them.

A contract names its policy; a policy is never widened silently, because its name spells its limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import DialectError

if TYPE_CHECKING:
    import torch

# Upper edges of the histogram of distances in units in the last place.
ULP_EDGES = (0, 1, 2, 4, 16, 256)
_BINS = ('0', *(f'<={e}' for e in ULP_EDGES[1:]), f'>{ULP_EDGES[-1]}')
_PIECE = 1 << 20  # elements compared at once: float64 copies that stay in the cache
# rtol, atol of torch.testing.assert_close.
_TORCH = {'float16': (1e-3, 1e-5), 'bfloat16': (1.6e-2, 1e-5), 'float32': (1.3e-6, 1e-5), 'float64': (1e-7, 1e-7)}
_WORDS = {'allclose': r'allclose ([\d.e+-]+)/([\d.e+-]+)', 'l2': r'l2 ([\d.e+-]+)', 'bitwise': r'bitwise', 'torch': r'torch'}


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far `actual` is from `expected`, and whether the policy accepts it."""

    policy: str
    ok: bool
    max_abs: float
    max_rel: float
    rmse: float
    rel_l2: float
    mismatches: int  # elements outside the element-wise limit, NaN on one side only included
    elements: int
    first: tuple[int, ...] | None  # index of the first mismatch
    ulps: dict[str, int] = field(default_factory=dict)
    message: str = ''


@dataclass(frozen=True, slots=True)
class Policy:
    """Element-wise |a - e| <= atol + rtol * |e|, and a bound on the relative L2 norm of the difference.

    The second rule is there because the first alone accepts an all-zero tensor wherever atol exceeds the values.
    """

    name: str
    rtol: float = 0.0
    atol: float = 0.0
    l2: float | None = None
    by_dtype: bool = False  # rtol and atol are torch's own for the dtype

    def compare(self, actual: 'torch.Tensor', expected: 'torch.Tensor') -> Comparison:
        return compare(self, actual, expected)


def policy(name: str) -> Policy:
    """The policy a name spells: 'bitwise', 'torch', 'allclose RTOL/ATOL', 'l2 BOUND', or two of them joined by ' + '."""
    rtol = atol = 0.0
    l2, by_dtype = None, False
    for part in name.split(' + '):
        word = part.split(' ')[0]
        found = re.fullmatch(_WORDS.get(word, '(?!)'), part)
        if found is None:
            raise DialectError(f'unknown precision policy {part!r}', instead="'bitwise', 'torch', 'allclose 1e-2/1e-3', 'l2 1e-3', joined by ' + '")
        if word == 'allclose':
            rtol, atol = float(found[1]), float(found[2])
        elif word == 'l2':
            l2 = float(found[1])
            if name == part:
                rtol = atol = float('inf')
        elif word == 'torch':
            by_dtype = True
    return Policy(name, rtol, atol, l2, by_dtype)


def compare(rule: Policy, actual: 'torch.Tensor', expected: 'torch.Tensor') -> Comparison:
    import torch

    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        text = f'{tuple(actual.shape)} {actual.dtype} against {tuple(expected.shape)} {expected.dtype}'
        return Comparison(rule.name, False, *[float('inf')] * 4, actual.numel(), actual.numel(), None, {}, f'not the same kind of tensor: {text}')
    rtol, atol = _TORCH.get(str(expected.dtype).removeprefix('torch.'), (0.0, 0.0)) if rule.by_dtype else (rule.rtol, rule.atol)
    total = _Sums()
    histogram = dict.fromkeys(_BINS, 0)
    for start in range(0, actual.numel(), _PIECE):
        a, e = (x.reshape(-1)[start:start + _PIECE] for x in (actual, expected))
        total.add(a.double(), e.double(), rtol, atol, start)
        for name, count in ulp_histogram(a, e).items():
            histogram[name] += count
    rel_l2 = (total.gap / total.size if total.size else total.gap) ** 0.5
    rmse = (total.gap / max(actual.numel(), 1)) ** 0.5
    first = None if total.first is None else tuple(int(i) for i in torch.unravel_index(torch.tensor(total.first), actual.shape))
    ok = total.bad == 0 and (rule.l2 is None or rel_l2 <= rule.l2)
    message = '' if ok else _explain(rule, actual, expected, total.bad, first, rel_l2)
    return Comparison(rule.name, ok, total.max_abs, total.max_rel, rmse, rel_l2, total.bad, actual.numel(), first, histogram, message)


@dataclass
class _Sums:
    """Metrics of the pieces seen so far."""

    max_abs: float = 0.0
    max_rel: float = 0.0
    gap: float = 0.0  # sum of squared differences
    size: float = 0.0  # sum of squared expected values
    bad: int = 0
    first: int | None = None

    def add(self, a: 'torch.Tensor', e: 'torch.Tensor', rtol: float, atol: float, start: int) -> None:
        import torch

        inf = float('inf')
        same = (a == e) | (a.isnan() & e.isnan())
        gap = (a - e).abs().masked_fill_(same, 0.0).nan_to_num_(nan=inf, posinf=inf)
        allowed = torch.full_like(e, atol) if rtol == 0.0 else atol + rtol * e.abs()
        bad = (gap > allowed) | (gap == inf)
        relative = torch.where(same, 0.0, gap / e.abs()).nan_to_num_(nan=inf, posinf=inf)
        self.max_abs = max(self.max_abs, float(gap.max()))
        self.max_rel = max(self.max_rel, float(relative.max()))
        self.gap += float(gap.square().sum())
        self.size += float(e.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).square().sum())
        if self.first is None and bool(bad.any()):
            self.first = start + int(bad.nonzero()[0])
        self.bad += int(bad.sum())


def _explain(rule: Policy, actual, expected, count: int, first, rel_l2: float) -> str:
    if count:
        return (f'{count} of {actual.numel()} elements outside {rule.name!r}; first at {list(first)}: '
                f'{float(actual[first]):.9g}, expected {float(expected[first]):.9g}')
    return f'relative L2 distance {rel_l2:.3g} exceeds {rule.l2:.3g} ({rule.name!r})'


def ulp_distance(actual: 'torch.Tensor', expected: 'torch.Tensor') -> 'torch.Tensor':
    """Steps between neighbouring values of the dtype from one tensor to the other; NaN on one side only is a very long way."""
    import torch

    if not actual.dtype.is_floating_point:
        return (actual.long() - expected.long()).abs()
    bits = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[actual.element_size()]

    def place(x):
        # The bit patterns of a float sort like its values once those of the negatives are reversed.
        i = x.contiguous().view(bits).long()
        return torch.where(i < 0, torch.iinfo(bits).min - i, i)

    apart = (place(actual) - place(expected)).abs()
    nan = actual.isnan() | expected.isnan()
    return torch.where(nan, torch.where(actual.isnan() & expected.isnan(), 0, 1 << 62), apart)


def ulp_histogram(actual: 'torch.Tensor', expected: 'torch.Tensor') -> dict[str, int]:
    """Elements by distance: '0', '<=1', '<=2', ... '>256'."""
    apart = ulp_distance(actual, expected)
    below, counts = 0, []
    for edge in ULP_EDGES:
        upto = int((apart <= edge).sum())
        counts.append(upto - below)
        below = upto
    return dict(zip(_BINS, [*counts, apart.numel() - below]))
