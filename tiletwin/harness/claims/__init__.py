"""What a contract's `must_show` is made of."""

from .claim import BOTH, DEVELOPER, EXPERT, Claim, Shown, look
from .programs import constants, flags, instructions, of_program, operands, routes, scope, sentinel, signals, spaces, staged, stages, starts_afresh, tiles, uses
from .timelines import in_flight, kept_busy, one_by_one, overlap, peak, products, started, written

__all__ = [
    'BOTH', 'DEVELOPER', 'EXPERT', 'Claim', 'Shown', 'constants', 'flags', 'in_flight', 'instructions', 'kept_busy', 'look', 'of_program', 'one_by_one',
    'operands', 'overlap', 'peak', 'products', 'routes', 'scope', 'sentinel', 'signals', 'spaces', 'staged', 'stages', 'started', 'starts_afresh',
    'tiles', 'uses', 'written',
]
