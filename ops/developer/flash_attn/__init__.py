"""Developer flash attention, one module per variant."""

from .full import flash_attn_full, full
from .ws3 import flash_attn_ws3, ws3

__all__ = ['flash_attn_full', 'flash_attn_ws3', 'full', 'ws3']
