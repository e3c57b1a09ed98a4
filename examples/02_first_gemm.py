"""A first matrix product: C = A @ B, one 128x128 tile per cube core.

The cube reads its operands from L1 and accumulates in L0C. `gemm_v0` moves the operands to L0A and L0B and orders itself after the
loads and before the store, so that this kernel needs no flags of its own.

    tiletwin check examples/02_first_gemm.py
"""

import torch

import tiletwin
from tiletwin import language as T


@tiletwin.jit(out_idx=[2])
def matmul(M, N, K, block=128, step=64):
    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((K, N), 'float16'), C: T.Tensor((M, N), 'float32')):
        with T.Kernel((M // block) * (N // block), is_npu=True) as (cid, vid):
            a = T.alloc_L1((block, step), 'float16')
            b = T.alloc_L1((step, block), 'float16')
            c = T.alloc_L0C((block, block), 'float32')
            with T.Scope('C'):
                row = cid // (N // block) * block
                col = cid % (N // block) * block
                for k in T.serial(K // step):
                    T.copy(A[row, k * step], a)
                    T.copy(B[k * step, col], b)
                    T.gemm_v0(a, b, c, init=(k == 0))
                T.copy(c, C[row, col])

    return main


if __name__ == '__main__':
    a, b = torch.randn(256, 512).half(), torch.randn(512, 384).half()
    c = matmul(256, 384, 512)(a, b)
    torch.testing.assert_close(c, a.float() @ b.float(), rtol=1e-3, atol=1e-3)
    print('A @ B is right')
