"""How tile instructions travel through TIR.

An instruction is a call of one opaque intrinsic: its first argument names it, operands follow, attributes are the call's
annotations. A tensor operand is a nested call that keeps the form the source used, the start indices and the extents.
`ir.from_tir` reads these calls back; nothing else in TIR knows them.
"""

from __future__ import annotations

from typing import Any

import tilelang  # noqa: F401  (puts the tvm it ships on the import path)
import tvm
from tvm import tirx

INSTR = 'tiletwin.instr'
REGION = 'tiletwin.region'
KERNEL = 'tiletwin.kernel'
SCOPE = 'tiletwin.scope'

# Calls that declare something about a buffer instead of executing.
DECLARATIONS = ('declare_var', 'declare_alias', 'annotate_layout', 'annotate_address')

_STATEFUL = 3  # tvm's CallEffectKind::kUpdateState: never moved, merged or removed


def _register(name: str) -> tvm.ir.Op:
    if name not in set(tvm.ir.Op.list_op_names()):
        tvm.ir._ffi_api.RegisterOp(name, 'tiletwin')
        tvm.ir.register_op_attr(name, 'TCallEffectKind', tirx.IntImm('int32', _STATEFUL))
        tvm.ir.register_op_attr(name, 'TScriptPrinterName', name)
    return tvm.ir.Op.get(name)


INSTR_OP = _register(INSTR)
REGION_OP = _register(REGION)


def region_call(form: str, buffer: tirx.Buffer, starts, extents) -> tirx.Call:
    return tirx.Call('handle', REGION_OP, [tirx.StringImm(form), tirx.BufferLoad(buffer, list(starts)), *extents])


def _annotation(value: Any):
    match value:
        case bool():
            return tirx.IntImm('bool', value)
        case int():
            return tirx.IntImm('int64', value)
        case float():
            return tirx.FloatImm('float64', value)
        case str():
            return tirx.StringImm(value)
    return value


def instr_call(op: str, args, attrs: dict[str, Any]) -> tirx.Call:
    carried = {k: _annotation(v) for k, v in attrs.items() if v is not None}
    return tirx.Call('handle', INSTR_OP, [tirx.StringImm(op), *args], annotations=carried or None)


def is_instr(value: Any) -> bool:
    return isinstance(value, tirx.Call) and value.op.same_as(INSTR_OP)
