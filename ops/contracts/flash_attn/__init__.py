"""Flash attention."""

from tiletwin.harness.contract import Contract

from .full import FULL
from .ws3 import WS3

CONTRACT = Contract('flash_attn', (WS3, FULL))
