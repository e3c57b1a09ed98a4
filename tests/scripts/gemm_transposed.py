import pytest  # noqa: F401
import tilelang
import tilelang.language as T
import torch
from tilelang.intrinsics import make_nz_layout, make_zn_layout


@tilelang.jit(out_idx=[-1])
def gemm_ta(M, N, K, dtype='float16'):
    @T.prim_func
    def main(A: T.Tensor((K, M), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_L1((K, M), dtype)
            b = T.alloc_L1((K, N), dtype)
            c = T.alloc_L0C((M, N), 'float')
            T.annotate_layout({a: make_zn_layout(a)})
            with T.Scope('C'):
                T.copy(A, a)
                T.copy(B, b)
                T.gemm_v0(a, b, c, transpose_A=True, init=True)
                T.copy(c, C)

    return main


@tilelang.jit(out_idx=[-1])
def mma_tb(M, N, K, dtype='float16'):
    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_L1((M, K), dtype)
            b = T.alloc_L1((N, K), dtype)
            T.annotate_layout({b: make_nz_layout(b)})
            a0 = T.alloc_L0A((M, K), dtype)
            b0 = T.alloc_L0B((K, N), dtype)
            c = T.alloc_L0C((M, N), 'float')
            with T.Scope('C'):
                T.copy(A, a)
                T.copy(B, b)
                T.barrier_all()
                T.copy(a, a0)
                T.copy(b, b0, transpose=True)
                T.barrier_all()
                T.mma(a0, b0, c, init=True)
                T.barrier_all()
                T.copy(c, C)

    return main


a, b = torch.randn(64, 32).half().npu(), torch.randn(64, 48).half().npu()
torch.testing.assert_close(gemm_ta(32, 48, 64)(a, b), a.T @ b, rtol=1e-2, atol=1e-2)
x, y = torch.randn(32, 64).half().npu(), torch.randn(48, 64).half().npu()
torch.testing.assert_close(mma_tb(32, 48, 64)(x, y), x @ y.T, rtol=1e-2, atol=1e-2)
print('transposes ok')
