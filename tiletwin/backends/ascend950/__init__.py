"""The compiler of mainline tilelang as a second opinion on the A5 operators.

Mainline has an Ascend 950 dialect of its own, with SIMT and SIMD vector functions, on-chip ways between cube and vector cores, and a
scheduler that finds flags and buffers by itself. The forms here are the operators written in that dialect: `automatic` leaves the
schedule to the compiler, `manual` sets flags and slots by hand. They are lowered to AscendC source, which needs no vendor toolkit;
compiling that source to a binary does. What the compiler says holds for Ascend 950 only, never for A2 or A3.
"""

from .emit import AUTOMATIC, MANUAL, Emitted, capabilities, emit, forms, reason_for_none

__all__ = ['AUTOMATIC', 'MANUAL', 'Emitted', 'capabilities', 'emit', 'forms', 'reason_for_none']
