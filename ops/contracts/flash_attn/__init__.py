"""Flash attention."""

from tiletwin.harness.contract import Contract

from .a3_4stage import A3_4STAGE
from .a5_serial import A5_SERIAL
from .full import FULL
from .ws3 import WS3

CONTRACT = Contract('flash_attn', (WS3, FULL, A5_SERIAL, A3_4STAGE))
