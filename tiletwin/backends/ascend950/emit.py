"""Operators to AscendC source through mainline's compiler, or the compiler's reason."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ...errors import EnvironmentError_
from ...installed import FORK, MIXED, tilelang_kind
from ..protocol import COMPILE, RUN, TIME, Capability

AUTOMATIC, MANUAL = 'automatic', 'manual'
Sizes, Settings = Mapping[str, int], Mapping[str, Any]
Factory = Callable[[Sizes, Settings, tuple[str, ...]], Any]


@dataclass(frozen=True)
class Emitted:
    """What the compiler made of one form: source, or why not."""

    operator: str
    form: str
    source: str
    reason: str  # empty when it compiles
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.reason


def _product(sizes: Sizes, **kinds: Any) -> Any:
    from .products import Product

    return Product(kinds.pop('batch', 1), sizes.get('M', sizes.get('S1')), sizes.get('N', sizes.get('S2')), sizes.get('K', sizes.get('D')), **kinds)


def _mkkn(form: str) -> Factory:
    def make(sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Any:
        from . import products

        return getattr(products, form)(_product(sizes, dtype='float16', out=settings['out_dtype'], row_major=True))
    return make


def _mknk(form: str) -> Factory:
    def make(sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Any:
        from . import products

        return getattr(products, form)(_product(sizes, dtype='float32', out='float32', block_m=64, block_n=64))
    return make


def _qk(form: str) -> Factory:
    def make(sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Any:
        from . import products

        return getattr(products, form)(_product(sizes, dtype='float16', out='float32', batch=sizes['B'] * sizes['H'], block_k=128))
    return make


def _abs_add1(form: str) -> Factory:
    def make(sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Any:
        from . import mixed

        return getattr(mixed, f'abs_add1_{form}')(_product(sizes, dtype='float16', out='float32'))
    return make


def _abs_sqrt(sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Any:
    from .mixed import abs_sqrt_automatic

    return abs_sqrt_automatic(_product(sizes, dtype='float16', out='float32', block_m=32, block_n=64))


def _softmax(form: str) -> Factory:
    def make(sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Any:
        from .rows import softmax

        # 64 values of a row per thread stay in registers.
        rows = max(1, min(16, 2048 // max(sizes['N'], 1)))
        return softmax(sizes['M'], sizes['N'], dtypes[0], rows, form == MANUAL)
    return make


_FORMS: dict[str, dict[str, Factory]] = {
    'matmul.mkkn_gemm': {AUTOMATIC: _mkkn(AUTOMATIC), MANUAL: _mkkn(MANUAL)},
    'matmul.mknk_f32': {AUTOMATIC: _mknk(AUTOMATIC), MANUAL: _mknk(MANUAL)},
    'matmul.qk_batched': {AUTOMATIC: _qk(AUTOMATIC), MANUAL: _qk(MANUAL)},
    'matmul_epilogue.abs_add1': {AUTOMATIC: _abs_add1(AUTOMATIC), MANUAL: _abs_add1(MANUAL)},
    'prologue_matmul.abs_sqrt_nd': {AUTOMATIC: _abs_sqrt},
    'softmax': {AUTOMATIC: _softmax(AUTOMATIC), MANUAL: _softmax(MANUAL)},
}
_NONE = {
    'softmax.online': 'rows longer than a tile need a running maximum between vector functions, and no form keeps it in UB',
    'w4a8_gemm': 'mainline has no unpacking of int4 pairs between UB and L1',
    'hif8_quant': 'the exponent is taken apart with bit operations on reinterpreted registers, which only hand-written SIMD functions express',
    'flash_attn': 'the rows of a tile are shared by two vector cores and rescaled between products; no form is written',
    'paged_attn': 'control flow reads the block table; no form is written',
    'sparse_flash_attn': 'rows are gathered by indices between UB and L1; no form is written',
}


def forms(operator: str) -> tuple[str, ...]:
    return tuple(_FORMS.get(operator, ()))


def reason_for_none(operator: str) -> str:
    """Why an operator has no form in mainline's dialect."""
    return _NONE.get(operator) or _NONE.get(operator.split('.')[0]) or 'no form is written'


def _available() -> str:
    """Why mainline's compiler cannot be asked here; empty when it can."""
    kind = tilelang_kind()
    if kind is None:
        return 'tilelang is not installed'
    if kind in (FORK, MIXED):
        return f'the installed tilelang is the {kind}, which has no Ascend 950 dialect'
    return ''


def capabilities() -> tuple[Capability, ...]:
    missing = _available()
    no_run = 'the AscendC source needs the vendor compiler and an Ascend 950'
    return (Capability(COMPILE, not missing, missing or "to AscendC source, by mainline's compiler", 'pip install "tiletwin[sim]" in an environment of its own'),
            Capability(RUN, False, no_run, 'compile the source of `tiletwin emit -o DIR` there'), Capability(TIME, False, no_run, 'tiletwin time OP --arch a5, modelled'))


def emit(operator: str, form: str, sizes: Sizes, settings: Settings, dtypes: tuple[str, ...]) -> Emitted:
    """Lowers one form at these sizes. The automatic form is scheduled by the compiler; the manual one keeps its own flags."""
    missing = _available()
    if missing:
        raise EnvironmentError_('mainline tilelang cannot be asked', why=missing, instead='pip install "tiletwin[sim]" in an environment of its own')
    import tilelang
    from tilelang.backend.target import determine_target

    start = time.perf_counter()
    source = reason = ''
    try:
        with determine_target('ascend', return_object=True), tilelang.transform.PassContext(config={'tl.enable_auto_schedule': form == AUTOMATIC}):
            program = _FORMS[operator][form](sizes, settings, dtypes)
            source = tilelang.lower(program, target='ascend', enable_device_compile=False).kernel_source
    except Exception as error:
        # Whatever the compiler raises is its answer: the last line of its message is the reason, the frames are its own.
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.lstrip().startswith('File "')]
        reason = f'{type(error).__name__}: {lines[-1] if lines else "no message"}'
    return Emitted(operator, form, source, reason, time.perf_counter() - start)
