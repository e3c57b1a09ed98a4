"""What a contract's `must_show` is made of."""

from .claim import BOTH, DEVELOPER, EXPERT, Claim, Shown, look
from .programs import (columns, copied, flags, instructions, narrow_factors, of_program, operands, routes, sentinel, shared_rows, signals, spaces,
                       stages, starts_afresh, tiles, uses, waits, whole_blocks, writers)
from .timelines import in_flight, kept_busy, one_by_one, overlap, peak, products, written

__all__ = [
    'BOTH', 'DEVELOPER', 'EXPERT', 'Claim', 'Shown', 'columns', 'copied', 'flags', 'in_flight', 'instructions', 'kept_busy', 'look', 'narrow_factors',
    'of_program', 'one_by_one', 'operands', 'overlap', 'peak', 'products', 'routes', 'sentinel', 'shared_rows', 'signals', 'spaces', 'stages',
    'starts_afresh', 'tiles', 'uses', 'waits', 'whole_blocks', 'writers', 'written',
]
