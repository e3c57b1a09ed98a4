"""When two tensors are the same: metrics as pure functions, and the named policies that judge them.

A contract names its policy; a policy is never widened silently, because its name spells its limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import DialectError
from . import standards

if TYPE_CHECKING:
    import torch

# Upper edges of the histogram of distances in units in the last place.
ULP_EDGES = (0, 1, 2, 4, 16, 256)
_BINS = ('0', *(f'<={e}' for e in ULP_EDGES[1:]), f'>{ULP_EDGES[-1]}')
_PIECE = 1 << 20  # elements compared at once: float64 copies that stay in the cache
# dtype -> rtol, atol, share of the elements that may be outside.
TABLES = {
    # torch.testing.assert_close
    'torch': {'float16': (1e-3, 1e-5, 0.0), 'bfloat16': (1.6e-2, 1e-5, 0.0), 'float32': (1.3e-6, 1e-5, 0.0), 'float64': (1e-7, 1e-7, 0.0)},
    # the verification scripts of the vendor's samples
    'double_thousandth': {'float16': (1e-3, 1e-5, 1e-3), 'float32': (1e-6, 1e-9, 1e-4)},
}
_NUMBER = r'([\d.e+-]+)'
_WORDS = {'allclose': rf'allclose {_NUMBER}/{_NUMBER}', 'l2': rf'l2 {_NUMBER}', 'ulp': rf'ulp (\d+)(?:/{_NUMBER})?', 'bitwise': 'bitwise',
          **{name: name for name in TABLES}}


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
    bias: float = 0.0  # mean of actual - expected: rounding cancels out, a systematic error does not
    equal: bool = False  # every element is the same value, NaN for NaN
    message: str = ''


@dataclass(frozen=True, slots=True)
class Policy:
    """Element-wise |a - e| <= atol + rtol * |e| and a distance in units in the last place, for all but a share of the elements;
    and a bound on the relative L2 norm of the difference.

    The last rule is there because the first alone accepts an all-zero tensor wherever atol exceeds the values.
    """

    name: str
    rtol: float = 0.0
    atol: float = 0.0
    share: float = 0.0
    l2: float | None = None
    ulp: int | None = None
    ulp_floor: float = 0.0  # an absolute error up to here is not measured in units in the last place
    table: str = ''  # rtol, atol and share depend on the dtype
    standard: str = ''  # one of `standards` decides instead

    def compare(self, actual: 'torch.Tensor', expected: 'torch.Tensor', peer: 'torch.Tensor | None' = None) -> Comparison:
        """`peer`: what a processor computes in the storage precision; `expected` may be an unrounded float64."""
        return compare(self, actual, expected, peer)

    def element_limits(self, dtype: str) -> tuple[float, float, float]:
        if not self.table:
            return self.rtol, self.atol, self.share
        if dtype in TABLES[self.table]:
            return TABLES[self.table][dtype]
        if dtype.startswith(('int', 'uint', 'bool')):
            return 0.0, 0.0, 0.0
        if self.table == 'torch':
            raise DialectError(f'torch names no tolerance for {dtype}', instead="'bitwise' or 'ulp 1'")
        raise DialectError(f'{self.table} names no limits for {dtype}', why='its limits are published for ' + ', '.join(TABLES[self.table]),
                           instead="'ecosystem' or 'allclose RTOL/ATOL'")


def policy(name: str) -> Policy:
    """The policy a name spells: 'bitwise', 'torch', 'double_thousandth', 'allclose RTOL/ATOL', 'ulp N', 'ulp N/ATOL', 'l2 BOUND',
    some of them joined by ' + '; or 'ecosystem', 'ecosystem hf32', 'commercial_L0' to 'commercial_L2'."""
    if name in standards.NAMES:
        return Policy(name, standard=name)
    found: dict[str, object] = {}
    inf = float('inf')
    for part in name.split(' + '):
        word = part.split(' ')[0]
        match = re.fullmatch(_WORDS.get(word, '(?!)'), part)
        if match is None:
            raise DialectError(f'unknown precision policy {part!r}',
                               instead="'bitwise', 'torch', 'double_thousandth', 'allclose 1e-2/1e-3', 'ulp 4', 'ulp 4/1e-6', 'l2 1e-3', "
                                       "joined by ' + '; or " + ', '.join(map(repr, standards.NAMES)))
        if word == 'allclose':
            found |= {'rtol': float(match[1]), 'atol': float(match[2])}
        elif word == 'l2':
            found |= {'l2': float(match[1])}
        elif word == 'ulp':
            found |= {'ulp': int(match[1]), 'ulp_floor': float(match[2] or 0.0)}
        elif word == 'bitwise':
            found |= {'rtol': 0.0, 'atol': 0.0}
        else:
            found |= {'table': word}
    if not {'rtol', 'table'} & set(found):
        found |= {'rtol': inf, 'atol': inf}
    return Policy(name, **found)


def compare(rule: Policy, actual: 'torch.Tensor', expected: 'torch.Tensor', peer: 'torch.Tensor | None' = None) -> Comparison:
    import torch

    unrounded = expected.dtype == torch.float64 and actual.dtype.is_floating_point
    if actual.shape != expected.shape or actual.dtype != expected.dtype and not unrounded:
        text = f'{tuple(actual.shape)} {actual.dtype} against {tuple(expected.shape)} {expected.dtype}'
        return Comparison(rule.name, False, *[float('inf')] * 4, actual.numel(), actual.numel(), None, {},
                          message=f'not the same kind of tensor: {text}')
    rtol, atol, share = rule.element_limits(str(actual.dtype).removeprefix('torch.'))
    total = _Sums()
    histogram = dict.fromkeys(_BINS, 0)
    for start in range(0, actual.numel(), _PIECE):
        a, e = (x.reshape(-1)[start:start + _PIECE] for x in (actual, expected))
        apart = ulp_distance(a, e.to(a.dtype))
        total.add(a.double(), e.double(), rtol, atol, start, None if rule.ulp is None else apart > rule.ulp, rule.ulp_floor)
        for name, count in _histogram(apart).items():
            histogram[name] += count
    n = max(actual.numel(), 1)
    rel_l2 = (total.gap / total.size if total.size else total.gap) ** 0.5
    said, bad, first = '', total.bad, total.first
    if rule.standard:
        said, found = standards.judge(rule.standard, actual, expected, peer)
        bad, first = found.outside + found.small + found.cancelled, found.first
        ok = not said
    else:
        ok = total.bad <= share * actual.numel() and total.strange == 0 and (rule.l2 is None or rel_l2 <= rule.l2)
    where = None if first is None else tuple(int(i) for i in torch.unravel_index(torch.tensor(first), actual.shape))
    message = '' if ok else f'{said} ({rule.name!r})' if said else _explain(rule, actual, expected, bad, where, rel_l2)
    return Comparison(rule.name, ok, total.max_abs, total.max_rel, (total.gap / n) ** 0.5, rel_l2, bad, actual.numel(), where, histogram,
                      total.bias / n, total.equal, message)


@dataclass
class _Sums:
    """Metrics of the pieces seen so far."""

    max_abs: float = 0.0
    max_rel: float = 0.0
    gap: float = 0.0  # sum of squared differences
    size: float = 0.0  # sum of squared expected values
    bias: float = 0.0  # sum of the finite differences
    bad: int = 0
    strange: int = 0  # NaN or infinity where the other side has another value
    equal: bool = True
    first: int | None = None

    def add(self, a: 'torch.Tensor', e: 'torch.Tensor', rtol: float, atol: float, start: int, far: 'torch.Tensor | None', floor: float) -> None:
        import torch

        inf = float('inf')
        same = (a == e) | (a.isnan() & e.isnan())
        gap = (a - e).abs().masked_fill_(same, 0.0).nan_to_num_(nan=inf, posinf=inf)
        allowed = torch.full_like(e, atol) if rtol == 0.0 else atol + rtol * e.abs()
        strange = gap == inf
        bad = (gap > allowed) | strange
        if far is not None:
            bad |= far & (gap > floor)
        relative = torch.where(same, 0.0, gap / e.abs()).nan_to_num_(nan=inf, posinf=inf)
        self.max_abs = max(self.max_abs, float(gap.max()))
        self.max_rel = max(self.max_rel, float(relative.max()))
        self.gap += float(gap.square().sum())
        self.size += float(e.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).square().sum())
        if self.first is None and bool(bad.any()):
            self.first = start + int(bad.nonzero()[0])
        self.bad += int(bad.sum())
        self.strange += int(strange.sum())
        self.equal = self.equal and bool(same.all())
        self.bias += float(torch.where(same, 0.0, a - e).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0).sum())


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
    return _histogram(ulp_distance(actual, expected))


def _histogram(apart: 'torch.Tensor') -> dict[str, int]:
    below, counts = 0, []
    for edge in ULP_EDGES:
        upto = int((apart <= edge).sum())
        counts.append(upto - below)
        below = upto
    return dict(zip(_BINS, [*counts, apart.numel() - below]))
