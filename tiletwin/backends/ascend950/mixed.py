"""Cube and vector cores together in mainline's Ascend dialect: what is done to a product after it, or to an operand before it.

Both vector cores of a block take half of the rows: `dual_copy` splits a tile between them.
"""

from typing import Any

import tilelang.ascend.language as T

from .products import Product, load

# Flags of the mode between a cube core and one of its vector cores: ids of the second vector core are 16 above those of the first.
ONE_VECTOR, SECOND = 4, 16


def abs_add1_automatic(p: Product) -> Any:
    columns, bm, bn, bk = p.columns, p.block_m, p.block_n, p.block_k

    @T.prim_func
    def main(A: T.Tensor((1, p.M, p.K), p.dtype), B: T.Tensor(p.b_shape, p.dtype), C: T.Tensor((p.M, p.N), p.out)):
        with T.Kernel(p.rows * columns) as block:
            m, n = block // columns, block % columns
            a, b = T.alloc_l1((bm, bk), p.dtype), T.alloc_l1((bn, bk), p.dtype)
            c = T.alloc_l0c((bm, bn), 'float32')
            u = T.alloc_shared((bm // 2, bn), 'float32')
            for k in T.Pipelined(p.steps, num_stages=2):
                load(p, A, B, a, b, 0, m, n, k)
                T.gemm(a, b, c, transpose_B=True, clear_accum=k == 0)
            T.dual_copy(c, u)
            with T.SimtVF(threads=128):
                for i, j in T.Parallel(bm // 2, bn):
                    u[i, j] = T.abs(u[i, j]) + 1.0
            T.dual_copy(u, C[m * bm:(m + 1) * bm, n * bn:(n + 1) * bn])

    return main


def abs_add1_manual(p: Product) -> Any:
    columns, bm, bn, bk = p.columns, p.block_m, p.block_n, p.block_k

    @T.prim_func
    def main(A: T.Tensor((1, p.M, p.K), p.dtype), B: T.Tensor(p.b_shape, p.dtype), C: T.Tensor((p.M, p.N), p.out)):
        with T.Kernel(p.rows * columns) as block:
            m, n = block // columns, block % columns
            a, b = T.alloc_l1((2, bm, bk), p.dtype), T.alloc_l1((2, bn, bk), p.dtype)
            c = T.alloc_l0c((bm, bn), 'float32')
            u = T.alloc_shared((bm // 2, bn), 'float32')
            with T.Cube():
                for slot in T.unroll(2):
                    T.ascend_set_flag('MTE1_MTE2', slot)
                for k in T.serial(p.steps):
                    T.ascend_wait_flag('MTE1_MTE2', k % 2)
                    load(p, A, B, a[k % 2, :, :], b[k % 2, :, :], 0, m, n, k)
                    T.ascend_set_flag('MTE2_MTE1', k % 2)
                    T.ascend_wait_flag('MTE2_MTE1', k % 2)
                    T.gemm(a[k % 2, :, :], b[k % 2, :, :], c, transpose_B=True, clear_accum=k == 0)
                    T.ascend_set_flag('MTE1_MTE2', k % 2)
                for slot in T.unroll(2):
                    T.ascend_wait_flag('MTE1_MTE2', slot)
                T.ascend_set_flag('M_FIX', 0)
                T.ascend_wait_flag('M_FIX', 0)
                T.dual_copy(c, u)
                T.ascend_cross_core_set_flag(ONE_VECTOR, 'PIPE_FIX', 0)
                T.ascend_cross_core_set_flag(ONE_VECTOR, 'PIPE_FIX', SECOND)
            with T.Vector(vector=2):
                T.ascend_cross_core_wait_flag(ONE_VECTOR, 'PIPE_V', 0)
                with T.SimtVF(threads=128):
                    for i, j in T.Parallel(bm // 2, bn):
                        u[i, j] = T.abs(u[i, j]) + 1.0
                T.ascend_set_flag('V_MTE3', 0)
                T.ascend_wait_flag('V_MTE3', 0)
                T.dual_copy(u, C[m * bm:(m + 1) * bm, n * bn:(n + 1) * bn])

    return main


def abs_sqrt_automatic(p: Product) -> Any:
    """The operand goes GM -> UB -> L1, a whole row of K at a time."""
    columns, bm, bn = p.columns, p.block_m, p.block_n

    @T.prim_func
    def main(A: T.Tensor((p.M, p.K), p.dtype), B: T.Tensor((p.N, p.K), p.dtype), C: T.Tensor((p.M, p.N), p.out)):
        with T.Kernel(p.rows * columns) as block:
            m, n = block // columns, block % columns
            x = T.alloc_shared((bm // 2, p.K), p.dtype)
            a, b = T.alloc_l1((bm, p.K), p.dtype), T.alloc_l1((bn, p.K), p.dtype)
            c = T.alloc_l0c((bm, bn), 'float32')
            T.dual_copy(A[m * bm:(m + 1) * bm, 0:p.K], x)
            with T.SimtVF(threads=128):
                for i, j in T.Parallel(bm // 2, p.K):
                    x[i, j] = T.sqrt(T.abs(x[i, j]))
            T.dual_copy(x, a)
            T.copy(B[n * bn:(n + 1) * bn, 0:p.K], b)
            T.gemm(a, b, c, transpose_B=True, clear_accum=True)
            T.copy(c, C[m * bm:(m + 1) * bm, n * bn:(n + 1) * bn])

    return main
