"""Developer flash attention, one module per variant."""

from .ws3 import flash_attn_ws3, ws3

__all__ = ['flash_attn_ws3', 'ws3']
