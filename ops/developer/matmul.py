"""Developer matrix products: one tile of the result per block, tiles by name, everything else left to the compiler."""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def mkkn_gemm(M, N, K, out_dtype='float32', block_M=128, block_N=256, block_K=64):
    """C[M, N] = A[M, K] @ B[K, N]: the compiled kernel for one shape, `kernel(A, B) -> C`."""
    n_num = (N + block_N - 1) // block_N
    # A pipelined loop gives `a` and `b` slots, and a load into a slot does not clear what the tensor does not cover (dialect 4.1.4).
    stages = 0 if M % block_M or N % block_N or K % block_K else 2

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'float16'),
        B: T.Tensor((K, N), 'float16'),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(T.ceildiv(M, block_M) * n_num, threads=2, is_npu=True) as cid:
            row = cid // n_num * block_M
            col = cid % n_num * block_N
            a = T.alloc_shared((block_M, block_K), 'float16')
            b = T.alloc_shared((block_K, block_N), 'float16')
            c = T.alloc_fragment((block_M, block_N), 'float')
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=stages):
                T.copy(A[row, k * block_K], a)
                T.copy(B[k * block_K, col], b)
                T.gemm_v0(a, b, c, init=(k == 0))
            T.copy(c, C[row, col])

    return main


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def mknk_f32(M, N, K, block=64):
    """z = x @ y^T: the compiled kernel for one shape, `kernel(x, y) -> z`."""
    n_num = N // block

    @T.prim_func
    def main(
        X: T.Tensor((M, K), 'float'),
        Y: T.Tensor((N, K), 'float'),
        Z: T.Tensor((M, N), 'float'),
    ):
        with T.Kernel(M // block * n_num, threads=2, is_npu=True) as cid:
            row = cid // n_num * block
            col = cid % n_num * block
            x = T.alloc_shared((block, block), 'float')
            y = T.alloc_shared((block, block), 'float')
            z = T.alloc_fragment((block, block), 'float')
            for k in T.serial(K // block):
                T.copy(X[row, k * block], x)
                T.copy(Y[col, k * block], y)
                T.gemm_v0(x, y, z, transpose_B=True, init=(k == 0))
            T.copy(z, Z[row, col])

    return main


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def qk_batched(B, H, S1, S2, D=128, tile=128):
    """qk[b * H + h] = q[b, h] @ k[b, h]^T: the compiled kernel for one shape, `kernel(q, k) -> qk`."""
    m_num = S1 // tile

    @T.prim_func
    def main(
        Q: T.Tensor((B, H, S1, D), 'float16'),
        K: T.Tensor((B, H, S2, D), 'float16'),
        QK: T.Tensor((B * H, S1, S2), 'float'),
    ):
        with T.Kernel(B * H * m_num, threads=2, is_npu=True) as cid:
            head = cid // m_num
            row = cid % m_num * tile
            q = T.alloc_shared((tile, D), 'float16')
            k = T.alloc_shared((tile, D), 'float16')
            qk = T.alloc_fragment((tile, tile), 'float')
            T.copy(Q[head // H, head % H, row, 0], q)
            for n in T.serial(S2 // tile):
                T.copy(K[head // H, head % H, n * tile, 0], k)
                T.gemm_v0(q, k, qk, transpose_B=True, init=True)
                T.copy(qk, QK[head, row, n * tile])

    return main
