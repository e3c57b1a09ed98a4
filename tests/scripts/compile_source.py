"""Compiles without a device compiler, the way unit tests do, and reads the source."""
from unittest import mock

import tilelang
import tilelang.language as T
import torch
from tilelang import JITKernel
from tilelang.jit.adapter import CythonKernelAdapter  # noqa: F401
from tilelang.jit.adapter.libgen import LibraryGenerator


def scale(M, N, factor):
    @T.prim_func
    def main(A: T.Tensor((M, N), 'float16'), B: T.Tensor((M, N), 'float16')):
        T.func_attr({'enable_auto_sync': True})
        with T.Kernel(M // 2, is_npu=True) as (cid, vid):
            a = T.alloc_ub((1, N), 'float16')
            with T.Scope('V'):
                T.copy(A[cid * 2 + vid, 0], a)
                T.tile.mul(a, a, factor)
                T.copy(a, B[cid * 2 + vid, 0])

    return main


with mock.patch.object(LibraryGenerator, 'compile_lib', lambda self, timeout=None: None), mock.patch.object(LibraryGenerator, 'load_lib', lambda self: None):
    kernels = {t: tilelang.compile(scale(8, 64, 2.0), out_idx=[1], target=t, pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
               for t in ('ascendc', 'pto')}
for target, kernel in kernels.items():
    assert isinstance(kernel, JITKernel)
    source = kernel.get_kernel_source()
    assert 'muls' in source and 'set_flag' in source, source
    assert kernel.out_idx == [1] and len(kernel.params) == 2
artifact = tilelang.engine.lower(scale(8, 64, 2.0), target='ascendc')
assert 'copy' in artifact.kernel_source
a = torch.randn(8, 64).half().npu()
torch.testing.assert_close(kernels['ascendc'](a), a * 2)
assert isinstance(scale(8, 64, 1.0), tilelang.tvm.tir.PrimFunc)
print('sources ok')
