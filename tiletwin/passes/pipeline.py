"""From the traced Program to the one that runs: the passes of the compiler in its order (dialect 8.0)."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..ir.nodes import Instr, Program, Region, walk
from ..ir.ops import OPS
from ..ir.verify import verify
from ..machine.chip import Chip, chip as chip_of, path_error
from . import (combine_cv, cross_core_pipeline, generate, infer_scope, inject_tmp, memory_planning, parallel_to_vector, safe_access, simplify,
               software_pipeline, storage_rewrite, swizzle, sync_insert, unit_loops, unroll, vid_reduction, workspace_reduction)
from .addresses import check_capacity
from .context import KEYS, SAFE_ACCESS_OFF, PassContext, PassWarning
from .meaning import notice

# Every pass runs in every mode; the ones a config switches ask for it themselves.
ORDER: tuple[ModuleType, ...] = (
    inject_tmp, infer_scope, vid_reduction, simplify, parallel_to_vector, workspace_reduction, safe_access, simplify, cross_core_pipeline,
    combine_cv, software_pipeline, unit_loops, simplify, storage_rewrite, unroll, memory_planning, sync_insert, swizzle, generate)

# The compiler looks neither whether an operation reaches the memory a tile ended up in, nor whether a core has both pipes of a flag;
# `checked` does.
UNCHECKED = ('operand-space', 'pipes')


def check_paths(program: Program, chip: Chip) -> None:
    """Refuses copies along a path the chip does not have."""
    for s in walk(program.body):
        if isinstance(s, Instr) and OPS[s.op].pipe == 'copy':
            a, b = (program.buffers[r.buffer].space for r in s.args[:2] if isinstance(r, Region))
            src, dst = (b, a) if s.op == 'atomic_add' else (a, b)
            if (src, dst) not in chip.paths:
                raise path_error(chip, src, dst, s.span)


def run(program: Program, ctx: PassContext, trace: list[tuple[str, Program]] | None = None) -> Program:
    """Every pass in order; the Program is verified after each that changed it."""
    for step in ORDER:
        name = step.__name__.rpartition('.')[2]
        changed = step.run(program, ctx)
        if changed is not program:
            notice(name, program, ctx)
            program = verify(changed, name, without=UNCHECKED)
        if trace is not None:
            trace.append((name, program))
    return program


def checked(program: Program, ctx: PassContext) -> Program:
    """What no pass of the compiler refuses but the chip cannot do."""
    verify(program, 'the passes', ctx.target)
    check_paths(program, ctx.chip)
    check_capacity(program, ctx.chip)
    return program


def lower(program: Program, pass_configs: dict | None = None, target: str = 'ascendc', chip: str | Chip = 'a3', profile: str = 'fork',
          trace: list[tuple[str, Program]] | None = None, warnings: list[PassWarning] | None = None) -> Program:
    """The Program that runs. `trace` collects (pass name, Program) after every pass, `warnings` what the passes have to say."""
    on = chip if isinstance(chip, Chip) else chip_of(chip)
    ctx = PassContext(on, target, frozenset(k for k in (*KEYS, SAFE_ACCESS_OFF) if (pass_configs or {}).get(k)), profile,
                      [] if warnings is None else warnings)
    return checked(run(program, ctx, trace), ctx)


@dataclass(frozen=True)
class Lowering:
    """A traced Program and what its passes are told: enough to lower it again, in either profile."""

    source: Program
    pass_configs: dict[str, Any]
    target: str
    chip: str
    profile: str

    def lower(self, profile: str | None = None, trace: list[tuple[str, Program]] | None = None, warnings: list[PassWarning] | None = None) -> Program:
        return lower(self.source, self.pass_configs, self.target, self.chip, profile or self.profile, trace, warnings)
