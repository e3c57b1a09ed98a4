"""Developer flash attention, one module per variant."""

from .a3_4stage import a3_4stage, flash_attn_a3_4stage
from .a5_serial import a5_serial, flash_attn_a5_serial
from .full import flash_attn_full, full
from .ws3 import flash_attn_ws3, ws3

__all__ = ['a3_4stage', 'a5_serial', 'flash_attn_a3_4stage', 'flash_attn_a5_serial', 'flash_attn_full', 'flash_attn_ws3', 'full', 'ws3']
