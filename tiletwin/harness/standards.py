"""The criteria CANN releases operators by: relative errors over a whole tensor, and error counts held against a processor's.

* ecosystem: one reference. With e = |a - g| / (|g| + 1e-7), the mean of e stays below a threshold and its maximum below ten times that.
  Two kinds of elements are counted instead, because no relative error is meaningful there, and may be wrong twice as often as those of
  a processor that computes in the storage precision (never, when the contract has none):
  small values, wrong by an absolute error; and results of cancellation, wrong by a relative error above ten times the threshold.
* commercial L0, L1, L2: a second implementation. Maximum, mean and root of the mean square may be so many times its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DialectError

if TYPE_CHECKING:
    import torch

FLOOR = 1e-7


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one dtype. `small` and `cancelled` are upper edges of |g|, 0 where the standard names none."""

    mean: float
    small: float = 0.0
    small_error: float = 0.0
    cancelled: float = 0.0


ECOSYSTEM = {
    'float16': Limits(2**-10, 2**-11, 2**-16, 2**-5),
    'bfloat16': Limits(2**-7, 2**-8, 2**-16, 2**-3),
    'float32': Limits(2**-13, 2**-14, 2**-30, 2**-8),
    'hf32': Limits(2**-11, 2**-14, 2**-30, 2**-8),
    'float8_e4m3fn': Limits(2**-3),
    'float8_e5m2': Limits(2**-2),
}
# (maximum, mean, root of the mean square) over those of the second implementation.
COMMERCIAL = {'commercial_L0': (10.0, 2.0, 2.0), 'commercial_L1': (5.0, 1.5, 1.5), 'commercial_L2': (2.0, 1.2, 1.2)}
NAMES = ('ecosystem', 'ecosystem hf32', *COMMERCIAL)


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one implementation against the reference."""

    mean: float  # MERE
    largest: float  # MARE
    rmse: float
    small: int  # wrong small values
    cancelled: int  # wrong results of cancellation
    outside: int  # other elements above the largest allowed error
    first: int | None  # the first of any of the three


def errors(actual: 'torch.Tensor', expected: 'torch.Tensor', limits: Limits) -> Errors:
    import torch

    a, g = actual.reshape(-1).double(), expected.reshape(-1).double()
    inf = float('inf')
    same = (a == g) | (a.isnan() & g.isnan())
    gap = (a - g).abs().masked_fill_(same, 0.0).nan_to_num_(nan=inf, posinf=inf)
    size = g.abs()
    relative = torch.where(same, 0.0, gap / (size + FLOOR)).nan_to_num_(nan=inf, posinf=inf)
    finite = gap < inf
    small = (size < limits.small) & finite
    cancelled = (size < limits.cancelled) & ~small & finite
    usual = ~small & ~cancelled
    wrong_small = small & (gap > limits.small_error)
    wrong_cancelled = cancelled & (relative > 10 * limits.mean)
    outside = usual & (relative >= 10 * limits.mean)
    wrong = (wrong_small | wrong_cancelled | outside).nonzero()
    judged = relative[usual]
    return Errors(float(judged.mean()) if judged.numel() else 0.0, float(judged.max()) if judged.numel() else 0.0,
                  float(gap.square().mean() ** 0.5) if gap.numel() else 0.0, int(wrong_small.sum()), int(wrong_cancelled.sum()),
                  int(outside.sum()), int(wrong[0]) if len(wrong) else None)


def judge(name: str, actual: 'torch.Tensor', expected: 'torch.Tensor', peer: 'torch.Tensor | None') -> tuple[str, Errors]:
    """What the standard objects to ('' when nothing), and the errors it was decided on."""
    if name in COMMERCIAL:
        return _commercial(name, actual, expected, peer)
    dtype = str(actual.dtype).removeprefix('torch.')
    limits = ECOSYSTEM.get('hf32' if name.endswith('hf32') and dtype == 'float32' else dtype, Limits(0.0))
    found = errors(actual, expected, limits)
    if limits.mean == 0.0:  # integers are exact
        return ('' if found.largest == 0.0 else f'an element of a {dtype} result differs, which the standard wants exact'), found
    other = errors(peer, expected, limits) if peer is not None else None
    objections = []
    if found.mean >= limits.mean:
        objections.append(f'mean relative error {found.mean:.3g}, below {limits.mean:.3g} is allowed')
    if found.largest >= 10 * limits.mean:
        objections.append(f'largest relative error {found.largest:.3g}, below {10 * limits.mean:.3g} is allowed')
    for what in ('small', 'cancelled'):
        mine, allowed = getattr(found, what), 2 * getattr(other, what) if other else 0
        if mine > allowed:
            words = {'small': 'small values', 'cancelled': 'results of cancellation'}[what]
            objections.append(f'{mine} wrong {words}, {allowed} are allowed')
    return '; '.join(objections), found


def _commercial(name: str, actual, expected, peer) -> tuple[str, Errors]:
    if peer is None:
        raise DialectError(f'{name} compares with a second implementation, and there is none', why='its limits are ratios of two errors',
                           instead='same_precision=... in the contract, or a policy with one reference')
    everything = Limits(float('inf'))
    found, other = errors(actual, expected, everything), errors(peer, expected, everything)
    pairs = zip(('largest relative error', 'mean relative error', 'root mean square error'), COMMERCIAL[name],
                (found.largest, found.mean, found.rmse), (other.largest, other.mean, other.rmse))
    # Not a division: both errors may be zero.
    return '; '.join(f'{what} {mine:.3g} is more than {ratio:g} times {theirs:.3g}' for what, ratio, mine, theirs in pairs
                     if not mine <= ratio * theirs), found
