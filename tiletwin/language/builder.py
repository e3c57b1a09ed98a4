"""The tracing builder: tilelang's, with the dialect's scoping of names and strictness about statements."""

from __future__ import annotations

import linecache
from contextlib import contextmanager
from typing import Any

import tilelang  # noqa: F401
import tvm
from tilelang.language.eager.builder import Builder, Ref, SerialForWithStep, UnrollForWithStep, eval_op, is_var
from tilelang.language.frame import register_let_value
from tilelang.utils import side_effect
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as tb
from tvm.tirx import Buffer, BufferRegion, IntImm, PrimExpr, Var
from tvm.tirx.expr import CallEffectKind, EqualOp, NotEqualOp

from ..errors import DialectAssertionError, DialectError, DialectTypeError, Span, TileTwinError
from .carrier import is_instr
from .names import Block, Names

_KINDS = ((tb.frame.ForFrame, 'for'), (tb.frame.WhileFrame, 'while'), (tb.frame.ThenFrame, 'then'), (tb.frame.ElseFrame, 'else'),
          (tb.frame.IfFrame, 'if'), (tb.frame.PrimFuncFrame, 'function'), (tb.frame.AttrFrame, 'with'))

_spans: dict[tuple[str, int], Any] = {}


def _tir_span(file: str, line: int):
    found = _spans.get((file, line))
    if found is None:
        from tilelang.ir import make_span

        found = _spans[file, line] = make_span(file, line)
    return found


def _key(value: Buffer | Var) -> int:
    return hash(value.data) if isinstance(value, Buffer) else hash(value)


class DialectBuilder(Builder):
    def __init__(self):
        super().__init__()
        self._spans_enabled = True
        self.names = Names()
        self.block: Block | None = None
        # Tiles and scalars made while tracing that have no name yet; everything else keeps the name it came with.
        self.unnamed: set[int] = set()
        self.condition_read: int | None = None
        self.unissued: list[tuple[Any, Span]] = []
        self.aliases: list[BufferRegion] = []
        self.kernels = 0

    def here(self) -> Span:
        return Span(self.current_file, self.current_line)

    # ---- source lines ------------------------------------------------------------------------------------------------

    def set_fileline(self, filename: str, lineno: int, name: str):
        self.refuse_unissued()
        super().set_fileline(filename, lineno, name)

    def _flush_span_pending(self):
        if self._span_pending is None:
            return
        frame, start, file, line = self._span_pending
        self._span_pending = None
        self._stamp(frame, start, file, line)

    def _stamp_new_parent_stmts(self, parent, start: int, file: str, line: int):
        # Statements inside inherit the line of the statement around them when they have none of their own.
        if parent is not None:
            self._stamp(parent, start, file, line)

    def _stamp(self, frame, start: int, file: str, line: int):
        from tilelang.ir import get_stmt_span, set_stmt_span

        stmts = frame.stmts
        for i in range(start, len(stmts)):
            if get_stmt_span(stmts[i]) is None:
                set_stmt_span(stmts[i], _tir_span(file, line))

    # ---- blocks ------------------------------------------------------------------------------------------------------

    @contextmanager
    def with_frame(self, frame):
        kind = next((k for t, k in _KINDS if isinstance(frame, t)), None)
        if kind is None:
            with super().with_frame(frame) as value:
                yield value
            return
        # The condition of a while loop is read in every iteration, although it is traced before the loop opens.
        opened = self.condition_read if kind == 'while' and self.condition_read is not None else self.names.tick()
        block = self.block = Block(kind, self.here(), self.block, opened)
        try:
            with super().with_frame(frame) as value:
                yield value
        finally:
            block.alive = False
            self.block = block.parent

    @contextmanager
    def macro(self, name=None, annotations=None):
        saved, line = self.names, (self.current_file, self.current_line, self.current_macro_name)
        self.names = Names(self.names.clock)
        with super().macro(name, annotations):
            yield
        saved.clock = self.names.clock
        self.names = saved
        self.set_fileline(*line)

    def ctx_with(self, ctx):
        from .kernel import KernelFrame

        if isinstance(ctx, KernelFrame):
            return ctx.enter(self)
        return super().ctx_with(ctx)

    def ctx_for(self, it):
        from .loops import PersistentLoop

        if isinstance(it, PersistentLoop):
            yield from it.iterate(self)
            return
        if isinstance(it, (SerialForWithStep, UnrollForWithStep)) and not isinstance(it.step, (int, IntImm)):
            raise DialectTypeError('a loop step must be a compile-time integer', where=self.here(), why='the trip count is computed from it',
                                   instead='T.serial over the number of steps, and multiply the index')
        for value in super().ctx_for(it):
            yield self.fresh(value) if isinstance(it, tb.frame.ForFrame) else value

    def ctx_while(self, cond):
        self.condition_read = self.names.tick()
        yield from super().ctx_while(cond)

    def ctx_break(self):
        self._refuse_exit('break')
        return super().ctx_break()

    def ctx_continue(self):
        self._refuse_exit('continue')
        return super().ctx_continue()

    def _refuse_exit(self, word: str) -> None:
        if not self._is_python_loop_control():
            raise DialectError(f'`{word}` in a kernel loop', where=self.here(), why='the dialect leaves a loop only by T.loop_break()',
                               instead='T.loop_break()' if word == 'break' else 'an if around the rest of the body')

    # ---- names -------------------------------------------------------------------------------------------------------

    def give_name(self, name: str, value: Any) -> None:
        """The first name a tile or scalar is bound to is its name; members of a list are numbered."""
        if isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                self.give_name(f'{name}_{i}', item)
        elif isinstance(value, (Buffer, Var)) and _key(value) in self.unnamed and name != '_':
            self.unnamed.discard(_key(value))
            IRBuilder.name(name, value)

    def fresh(self, value: Any) -> Any:
        """The value, which takes the name it is bound to next."""
        for item in (value,) if isinstance(value, (Buffer, PrimExpr)) else value:
            if isinstance(item, (Buffer, Var)):
                self.unnamed.add(_key(item))
        return value

    def _record(self, name: str, value: Any, loop_target: bool = False) -> Any:
        if name != '_':
            self.give_name(name, value)
            self.names.bind(name, value, self.block, self.here(), loop_target)
        return value

    def bind(self, name, value, annot=Builder.empty, *, loop_target=False):
        self.check_continue_break()
        if name.startswith('__'):
            return value
        if value is self.empty:
            current = self.names.visible(name)
            return current.value if current is not None else self.empty
        if isinstance(value, (EqualOp, NotEqualOp)):
            value = value.asobject()
        if is_instr(value):
            raise DialectError(f'`{name}` is assigned the result of a tile instruction', where=self.here(), why='tile instructions return nothing',
                               instead='the call as a statement of its own')
        if not loop_target and name != '_':
            current = self.names.visible(name)
            target = current.value if current is not None else None
            if isinstance(target, Ref) and isinstance(value, (int, float, PrimExpr)):
                target.store(value)
                return target
            if is_var(target) and isinstance(value, (int, float, PrimExpr)):
                tb.buffer_store(target, value, 0)
                return target
        if annot is not self.empty and isinstance(value, (int, float, PrimExpr)):
            value = self._typed(annot, value)
        return self._record(name, self._bound(name, value), loop_target)

    def _typed(self, annot, value):
        from .operands import element_type

        dtype = element_type(getattr(annot, 'dtype', annot))
        if isinstance(value, PrimExpr):
            return value if str(value.dtype) == dtype else tvm.tirx.Cast(dtype, value)
        return tvm.tirx.const(value, dtype)

    def _bound(self, name: str, value: Any) -> Any:
        if isinstance(value, IntImm) and value.dtype == 'int32':
            return value.value
        if isinstance(value, (Var, Buffer, int, float, str)):
            return value
        if isinstance(value, BufferRegion):
            self.aliases.append(value)
            return value
        if isinstance(value, tb.meta_var):
            return value.value
        if isinstance(value, tb.frame.IRBuilderFrame):
            raise DialectError(f'`{name}` is assigned a frame', where=self.here(), why='T.Kernel, T.Scope, T.If and loops open a block',
                               instead='with ... as ...:')
        if isinstance(value, PrimExpr):
            if isinstance(self.frames[-1], tb.frame.PrimFuncFrame) and side_effect(value) <= CallEffectKind.Pure.value:
                return value
            var = self.fresh(tb.bind(value))
            register_let_value(var, value)
            return var
        return value

    def rval(self, name, value):
        if name is not None:
            binding = self.names.read(name, self.here())
            if binding is not None:
                value = binding.value
        return self.unwrap_value(value)

    def aug_assign(self, op, target, aug_value, name=None):
        self.check_continue_break()
        if isinstance(target, Ref):
            target.store(eval_op(op, target.bufload, aug_value))
            return target
        if is_var(target):
            tb.buffer_store(target, eval_op(op, target[0], aug_value), 0)
            return target
        if isinstance(target, Buffer):
            raise DialectTypeError(f'augmented assignment to the whole buffer {target.name}', where=self.here(),
                                   why='tiles are changed by T.tile operations',
                                   instead='T.tile.add(buf, buf, value), or buf[i] += value for one element')
        current = self.rval(name, target)
        return self.bind(name or '_', eval_op(op, current, aug_value))

    def assign_slice(self, lval, sl, value, annot=Builder.empty):
        if isinstance(lval, Buffer):
            self._refuse_slice_store(lval, sl)
            if isinstance(value, (EqualOp, NotEqualOp)):
                value = value.asobject()
        return super().assign_slice(lval, sl, value, annot)

    def aug_assign_slice(self, op, target, sl, aug_value):
        if isinstance(target, Buffer):
            self._refuse_slice_store(target, sl)
        return super().aug_assign_slice(op, target, sl, aug_value)

    def _refuse_slice_store(self, buffer, index) -> None:
        parts = index if isinstance(index, (tuple, list)) else (index,)
        if any(isinstance(p, slice) for p in parts):
            raise DialectTypeError(f'assignment to a slice of {buffer.name}', where=self.here(), why='`buf[i, j] = x` stores one element',
                                   instead='T.copy, T.tile.fill or T.Parallel for a whole region')
        if len(parts) != len(buffer.shape):
            from ..errors import DialectIndexError

            raise DialectIndexError(f'{buffer.name} has {len(buffer.shape)} dimensions but {len(parts)} indices were given', where=self.here(),
                                    why='every dimension needs an index or a slice')

    # ---- statements --------------------------------------------------------------------------------------------------

    def issue(self, call) -> Any:
        """A tile instruction that becomes part of the kernel when its statement is evaluated."""
        self.unissued.append((call, self.here()))
        return call

    def eval(self, val):
        if is_instr(val):
            self.unissued = [u for u in self.unissued if not u[0].same_as(val)]
            tb.evaluate(val)
            return
        if isinstance(val, (list, tuple)) and all(is_instr(v) for v in val):
            for v in val:
                self.eval(v)
            return
        super().eval(val)

    def refuse_unissued(self) -> None:
        if self.unissued:
            call, span = self.unissued[0]
            self.unissued = []
            raise DialectError(f'{call.args[0].value} was called inside a plain Python function or an expression and would be lost', where=span,
                               why='only calls that are statements of the kernel or of a T.macro become instructions',
                               instead='@T.macro on the helper function')

    def assert_expr(self, cond, msg=None):
        from tilelang.language.eager.builder import unwrap_cond

        if isinstance(unwrap_cond(cond), PrimExpr):
            raise DialectError('assert on a value that is only known on the chip', where=self.here(), why='the chip has no assertions',
                               instead='T.printf, or an assert on Python values')
        if not cond:
            raise DialectAssertionError(str(msg or 'assertion failed'), where=self.here())

    def ret(self, value=None):
        from tilelang.language.eager.builder import MacroFrame

        if self.find_frame_idx(MacroFrame) is None:
            raise DialectError('return inside a kernel', where=self.here(), why='a kernel writes its results to its tensor parameters')
        return super().ret(value)

    def locate(self, error: BaseException) -> BaseException:
        """The error with the traced line; errors from inside tilelang or tvm become dialect errors."""
        where = self.here() if self.current_line else None
        if isinstance(error, TileTwinError):
            if error.where is None and where is not None:
                error.where = where
                error.args = (error.render(),)
            return error
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        inside = last is not None and any(part in last.tb_frame.f_code.co_filename for part in ('/tilelang/', '/tvm/', 'tvm_ffi', 'python/tvm'))
        if not inside or isinstance(error, (KeyboardInterrupt, SystemExit)):
            return error
        from ..errors import DialectIndexError

        kind = DialectIndexError if isinstance(error, IndexError) else DialectTypeError if isinstance(error, TypeError) else DialectError
        text = str(error).strip()
        linecache.checkcache(self.current_file)
        return kind(text.splitlines()[0] if text else type(error).__name__, where=where, why='\n'.join(text.splitlines()[1:6]))
