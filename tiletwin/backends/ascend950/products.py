"""Matrix products in mainline's Ascend dialect: A[batch, M, K] times B, which the cube wants with K innermost."""

from dataclasses import dataclass
from typing import Any

import tilelang.ascend.language as T


@dataclass(frozen=True)
class Product:
    """C[batch, M, N] = A[batch, M, K] B[batch, N, K]^T; `row_major` B is [K, N] and transposed on its way into L1."""

    batch: int
    M: int
    N: int
    K: int
    dtype: str
    out: str
    row_major: bool = False
    block_m: int = 128
    block_n: int = 128
    block_k: int = 64

    @property
    def rows(self) -> int:
        return -(-self.M // self.block_m)

    @property
    def columns(self) -> int:
        return -(-self.N // self.block_n)

    @property
    def steps(self) -> int:
        return -(-self.K // self.block_k)

    @property
    def b_shape(self) -> tuple[int, int, int]:
        return (self.batch, self.K, self.N) if self.row_major else (self.batch, self.N, self.K)


@T.macro
def load(p, A, B, a, b, z, m, n, k):
    bm, bn, bk = p.block_m, p.block_n, p.block_k
    T.copy(A[z, m * bm:(m + 1) * bm, k * bk:(k + 1) * bk], a)
    if p.row_major:
        T.copy(B[z, k * bk:(k + 1) * bk, n * bn:(n + 1) * bn], b, transpose=True)
    else:
        T.copy(B[z, n * bn:(n + 1) * bn, k * bk:(k + 1) * bk], b)


def automatic(p: Product) -> Any:
    tiles, columns, bm, bn, bk = p.rows * p.columns, p.columns, p.block_m, p.block_n, p.block_k

    @T.prim_func
    def main(A: T.Tensor((p.batch, p.M, p.K), p.dtype), B: T.Tensor(p.b_shape, p.dtype), C: T.Tensor((p.batch, p.M, p.N), p.out)):
        with T.Kernel(p.batch * tiles) as block:
            z, m, n = block // tiles, block % tiles // columns, block % tiles % columns
            a, b = T.alloc_l1((bm, bk), p.dtype), T.alloc_l1((bn, bk), p.dtype)
            c = T.alloc_l0c((bm, bn), 'float32')
            for k in T.Pipelined(p.steps, num_stages=2):
                load(p, A, B, a, b, z, m, n, k)
                T.gemm(a, b, c, transpose_B=True, clear_accum=k == 0)
            T.copy(c, C[z, m * bm:(m + 1) * bm, n * bn:(n + 1) * bn])

    return main


def manual(p: Product) -> Any:
    """Two slots in L1; a slot is free when MTE1 has read it."""
    tiles, columns, bm, bn, bk = p.rows * p.columns, p.columns, p.block_m, p.block_n, p.block_k

    @T.prim_func
    def main(A: T.Tensor((p.batch, p.M, p.K), p.dtype), B: T.Tensor(p.b_shape, p.dtype), C: T.Tensor((p.batch, p.M, p.N), p.out)):
        with T.Kernel(p.batch * tiles) as block:
            z, m, n = block // tiles, block % tiles // columns, block % tiles % columns
            a, b = T.alloc_l1((2, bm, bk), p.dtype), T.alloc_l1((2, bn, bk), p.dtype)
            c = T.alloc_l0c((bm, bn), 'float32')
            with T.Cube():
                for slot in T.unroll(2):
                    T.ascend_set_flag('MTE1_MTE2', slot)
                for k in T.serial(p.steps):
                    T.ascend_wait_flag('MTE1_MTE2', k % 2)
                    load(p, A, B, a[k % 2, :, :], b[k % 2, :, :], z, m, n, k)
                    T.ascend_set_flag('MTE2_MTE1', k % 2)
                    T.ascend_wait_flag('MTE2_MTE1', k % 2)
                    T.gemm(a[k % 2, :, :], b[k % 2, :, :], c, transpose_B=True, clear_accum=k == 0)
                    T.ascend_set_flag('MTE1_MTE2', k % 2)
                for slot in T.unroll(2):
                    T.ascend_wait_flag('MTE1_MTE2', slot)
                T.ascend_set_flag('M_FIX', 0)
                T.ascend_wait_flag('M_FIX', 0)
                T.copy(c, C[z, m * bm:(m + 1) * bm, n * bn:(n + 1) * bn])

    return main
