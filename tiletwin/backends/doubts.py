"""Findings about a kernel or a call that no event of the simulation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.nodes import Program
from ..sanitize.findings import Finding, Side

if TYPE_CHECKING:
    import torch


def doubts(program: Program) -> tuple[Finding, ...]:
    """What a lenient front end took although it is rarely meant."""
    return tuple(Finding('passes', 'meaning', 'review', what, (Side('written', 'source', 'S', 'AIC', where),), why, instead)
                 for what, why, instead, where in program.attrs.get('doubts', ()))


def written_behind(program: Program, name: str, passed: 'torch.Tensor', whole: 'torch.Tensor') -> Finding:
    """A store behind the end of a tensor that is smaller than its declaration."""
    b = program.buffers[name]
    return Finding('memcheck', 'oob', 'error', f'the kernel writes behind the end of `{name}`: {passed.numel()} elements were passed, {whole.numel()} are declared',
                   (Side('declares', 'parameter', 'S', 'AIC', b.span, region=f'GM {name}'),), 'the runtime does not compare shapes, the kernel has an address only',
                   'a tensor of the declared shape, or a symbolic dimension T.symbolic(...)')
