"""Inputs for a kernel, and its modelled time, by the names kernels of this family use (dialect 1.8)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Callable

from ..dtypes import dtype as dtype_of
from ..errors import CallError, DialectError
from .calls import KernelParam, torch_dtype

if TYPE_CHECKING:
    import torch

    from ..jit import JITKernel


class TensorSupplyType(Enum):
    Integer = 1
    Uniform = 2
    Normal = 3
    Randn = 4
    Zero = 5
    One = 6
    Auto = 7


def supply(param: KernelParam, kind: TensorSupplyType = TensorSupplyType.Auto, generator: 'torch.Generator | None' = None) -> 'torch.Tensor':
    """One input tensor; the same seed gives the same values."""
    import torch

    if param.shape is None or any(not isinstance(d, int) for d in param.shape):
        raise DialectError(f'no values for `{param.name}`', why='only tensors of static shape can be made up', instead='input_tensors=[...]')
    shape, dtype, element = param.shape, torch_dtype(param.dtype), dtype_of(param.dtype)
    floating = element.kind == 'f'
    match kind:
        case TensorSupplyType.Zero:
            return torch.zeros(shape, dtype=dtype)
        case TensorSupplyType.One:
            return torch.ones(shape).to(dtype)
        case TensorSupplyType.Uniform:
            return (torch.rand(shape, generator=generator) * 2 - 1).to(dtype)
        case TensorSupplyType.Normal | TensorSupplyType.Randn:
            return torch.randn(shape, generator=generator).to(dtype)
        case TensorSupplyType.Auto if floating and element.bytes > 1:
            return (torch.rand(shape, generator=generator) * 2 - 1).to(dtype)
    low, high = (0, 2) if element.kind == 'b' else (0, 3) if element.kind == 'u' else (-2, 3)
    return torch.randint(low, high, shape, generator=generator).to(dtype)


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


class Profiler:
    """Runs a kernel on made-up inputs. Times are modelled: one launch tells them exactly, repeating changes nothing."""

    def __init__(self, kernel: 'JITKernel', tensor_supply_type: TensorSupplyType = TensorSupplyType.Auto):
        self.kernel, self.kind = kernel, tensor_supply_type

    def inputs(self) -> list['torch.Tensor']:
        import torch

        generator = torch.Generator().manual_seed(0)
        return [supply(self.kernel.params[i], self.kind, generator) for i in self.kernel.convention.inputs]

    def run_once(self, func: Callable | None = None, input_tensors: list | None = None) -> Any:
        return (func or self.kernel)(*(self.inputs() if input_tensors is None else input_tensors))

    def do_bench(self, func: Callable | None = None, warmup: int = 25, rep: int = 100, n_warmup: int = 1, n_repeat: int = 1,
                 input_tensors: list | None = None, **_: Any) -> float:
        """Modelled milliseconds of one launch of this kernel; with `func`, of all launches it makes."""
        from ..jit import observe

        launches: list = []
        with observe(launches.append):
            self.run_once(func, input_tensors)
        if not launches:
            raise DialectError('nothing was launched', why='only launches of kernels have a modelled time')
        return sum(launch.microseconds for launch in launches) / 1e3

    def assert_consistent(self, repeat: int = 10) -> None:
        """The same inputs give the same outputs."""
        import torch

        given = self.inputs()
        first, *others = (_listed(self.kernel(*(t.clone() for t in given))) for _ in range(repeat))
        if not all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True)):
            raise CallError('the outputs differ between launches on equal inputs', why='the kernel reads memory it did not write')

    def manual_assert_close(self, reference_program: Callable, input_tensors: list | None = None, manual_check_prog: Callable | None = None) -> None:
        """Hands the outputs of the kernel and of a torch function to a check of the caller."""
        if manual_check_prog is None:
            raise CallError('manual_assert_close without manual_check_prog', instead='manual_check_prog=lambda got, wanted: ...')
        given = self.inputs() if input_tensors is None else input_tensors
        wanted = _listed(reference_program(*(t.clone() for t in given)))
        manual_check_prog(_listed(self.kernel(*given)), wanted)

    def assert_allclose(self, reference_program: Callable, input_tensors: list | None = None, atol: float = 1e-2, rtol: float = 1e-2,
                        max_mismatched_ratio: float = 0.01) -> None:
        """Compares the outputs with those of a torch function of the same inputs."""
        import torch

        given = self.inputs() if input_tensors is None else input_tensors
        wanted, got = reference_program(*(t.clone() for t in given)), self.kernel(*given)
        pairs = list(zip(*((x if isinstance(x, (list, tuple)) else [x]) for x in (got, wanted)), strict=True))
        for i, (a, b) in enumerate(pairs):
            wrong = (~torch.isclose(a.to(torch.float64), b.to(torch.float64), rtol=rtol, atol=atol, equal_nan=True)).double().mean().item()
            if wrong > max_mismatched_ratio:
                raise CallError(f'output {i}: {wrong:.2%} of the elements differ by more than atol={atol}, rtol={rtol}',
                                why='the kernel and the reference disagree')
