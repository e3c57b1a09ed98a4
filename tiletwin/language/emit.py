"""Issuing instructions: the one way from a dialect name to TIR."""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as tb

from ..errors import DialectError
from .carrier import instr_call
from .where import caller


def tracing(what: str):
    """The builder that is tracing a kernel right now."""
    from .builder import DialectBuilder

    builder = DialectBuilder.current()
    if not isinstance(builder, DialectBuilder):
        raise DialectError(f'{what} outside a kernel', where=caller(), why='instructions and tiles exist only while a prim_func is traced',
                           instead='call it inside @T.prim_func or @T.macro')
    return builder


def issue(op: str, *args: Any, **attrs: Any):
    """An instruction; it becomes part of the kernel when its statement is evaluated."""
    return tracing(op).issue(instr_call(op, args, attrs))


def declare(op: str, *args: Any, **attrs: Any) -> None:
    """A fact about a buffer; it takes effect where it is written."""
    tracing(op)
    tb.evaluate(instr_call(op, args, attrs))
