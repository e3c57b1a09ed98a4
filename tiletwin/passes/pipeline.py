"""From the traced Program to the one that runs."""

from __future__ import annotations

from ..errors import UnsupportedError
from ..ir.nodes import Instr, Program, Region, walk
from ..ir.ops import OPS
from ..machine.chip import Chip, chip as chip_of, path_error
from .addresses import assign_linear, check_capacity
from .tmp import inject_tmp


def check_paths(program: Program, chip: Chip) -> None:
    """Refuses copies along a path the chip does not have."""
    for s in walk(program.body):
        if isinstance(s, Instr) and OPS[s.op].pipe == 'copy':
            a, b = (program.buffers[r.buffer].space for r in s.args[:2] if isinstance(r, Region))
            src, dst = (b, a) if s.op == 'atomic_add' else (a, b)
            if (src, dst) not in chip.paths:
                raise path_error(chip, src, dst, s.span)


def check_placed(program: Program) -> None:
    for b in program.buffers.values():
        if b.space in ('SHARED', 'FRAGMENT'):
            raise UnsupportedError(f'{b.name} is allocated with {"alloc_shared" if b.space == "SHARED" else "alloc_fragment"}, which memory it lives in is for '
                                   'scope inference to decide', where=b.span, why='this version runs expert-mode kernels, where every tile names its memory',
                                   instead='T.alloc_L1, T.alloc_L0A, T.alloc_L0B, T.alloc_L0C or T.alloc_ub')


def lower(program: Program, pass_configs: dict | None = None, target: str = 'ascendc', chip: str | Chip = 'a3') -> Program:
    """Scratch, addresses and the checks of the chip; what runs in every mode."""
    on = chip if isinstance(chip, Chip) else chip_of(chip)
    check_placed(program)
    check_paths(program, on)
    program = assign_linear(inject_tmp(program))
    check_capacity(program, on)
    return program
