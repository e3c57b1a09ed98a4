"""Developer W4A8 product: unpack, multiply, in the order one would say it.

* `workspace_vid`: the vector cores share the rows of a block by `vid` and unpack them into a workspace[N, K];
* `vid_eliminated`: no `vid`, no workspace: a tile of bytes becomes a tile of numbers, and the compiler brings it to the cube.

A packed byte becomes one int16 word whose two bytes are its two numbers.
"""

import tiletwin
from pass_configs import DEVELOPER
from tiletwin import language as T


def workspace_vid(M, N, K, block_N=None):
    """The compiled kernel for one shape: `kernel(A, B_packed) -> C`."""
    return w4a8_workspace_vid(M, N, K, block_N or 16)


def vid_eliminated(M, N, K, block_N=None):
    """The compiled kernel for one shape: `kernel(A, B_packed) -> C`."""
    return w4a8_vid_eliminated(M, N, K // 2, block_N or 16)


def chunk_of(K):
    return max(d for d in range(64, min(K, 256) + 1, 64) if K % d == 0)


@tiletwin.jit(out_idx=[2], workspace_idx=[3], pass_configs=DEVELOPER)
def w4a8_workspace_vid(M, N, K, block_N=16, block_M=64):
    half_N = block_N // 2  # rows per vector core
    m_num = (M + block_M - 1) // block_M
    block_K = chunk_of(K)
    k_num = K // block_K

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'int8'),
        B_packed: T.Tensor((N, K // 2), 'uint8'),
        C: T.Tensor((M, N), 'int32'),
        # Once per block of M: blocks that share rows of B would store them over each other.
        workspace_1: T.Tensor((m_num, N, K), 'int8'),
    ):
        with T.Kernel(N // block_N * m_num, is_npu=True) as (cid, vid):
            bn = cid // m_num
            bm = cid % m_num
            a = T.alloc_shared((block_M, block_K), 'int8')
            b = T.alloc_shared((block_N, block_K), 'int8')
            c = T.alloc_fragment((block_M, block_N), 'int32')
            packed = T.alloc_shared((half_N, block_K // 2), 'uint8')
            exact = T.alloc_shared((half_N, block_K // 2), 'float16')
            low = T.alloc_shared((half_N, block_K // 2), 'int16')
            high = T.alloc_shared((half_N, block_K // 2), 'int16')
            low_byte = T.alloc_shared((half_N, block_K // 2), 'int16')
            high_byte = T.alloc_shared((half_N, block_K // 2), 'int16')
            numbers = T.view(high, (half_N, block_K), 'int8')

            T.tile.fill(low_byte, 0x00FF)
            T.tile.fill(high_byte, -0x0100)
            for k in T.serial(k_num):
                actual_row = bn * block_N + vid * half_N
                T.copy(B_packed[actual_row, k * block_K // 2], packed)
                T.copy(packed, exact)
                T.copy(exact, low)
                T.tile.bitwise_lshift(high, low, 8)
                T.tile.bitwise_rshift(high, high, 4)
                T.tile.bitwise_and(high, high, high_byte)
                T.tile.bitwise_lshift(low, low, 12)
                T.tile.bitwise_rshift(low, low, 12)
                T.tile.bitwise_and(low, low, low_byte)
                T.tile.bitwise_or(high, high, low)
                T.copy(numbers, workspace_1[bm, actual_row, k * block_K])

                T.copy(A[bm * block_M, k * block_K], a)
                T.copy(workspace_1[bm, bn * block_N, k * block_K], b)
                T.gemm_v0(a, b, c, transpose_B=True, init=(k == 0))
            T.copy(c, C[bm * block_M, bn * block_N])

    return main


@tiletwin.jit(out_idx=[2], pass_configs=DEVELOPER)
def w4a8_vid_eliminated(M, N, packed_K, block_N=16, block_M=64):
    K = 2 * packed_K
    m_num = (M + block_M - 1) // block_M

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'int8'),
        B_packed: T.Tensor((N, packed_K), 'uint8'),
        C: T.Tensor((M, N), 'int32'),
    ):
        with T.Kernel(N // block_N * m_num, threads=2, is_npu=True) as cid:
            bn = cid // m_num
            bm = cid % m_num
            a = T.alloc_shared((block_M, K), 'int8')
            b = T.alloc_shared((block_N, K), 'int8')
            c = T.alloc_fragment((block_M, block_N), 'int32')
            packed = T.alloc_shared((block_N, packed_K), 'uint8')
            exact = T.alloc_shared((block_N, packed_K), 'float16')
            low = T.alloc_shared((block_N, packed_K), 'int16')
            high = T.alloc_shared((block_N, packed_K), 'int16')
            mask = T.alloc_shared((block_N, packed_K), 'int16')
            numbers = T.alloc_shared((block_N, K), 'int8')

            # All of K at once: in a loop over K nothing would keep the next rows off the workspace the cube still reads.
            T.copy(B_packed[bn * block_N, 0], packed)
            T.copy(packed, exact)
            T.copy(exact, low)
            T.tile.bitwise_lshift(high, low, 8)
            T.tile.bitwise_rshift(high, high, 4)
            T.tile.fill(mask, -0x0100)
            T.tile.bitwise_and(high, high, mask)
            T.tile.bitwise_lshift(low, low, 12)
            T.tile.bitwise_rshift(low, low, 12)
            T.tile.fill(mask, 0x00FF)
            T.tile.bitwise_and(low, low, mask)
            T.tile.bitwise_or(high, high, low)
            T.reinterpretcast(numbers, high, 'int8_t')
            T.copy(numbers, b)
            T.copy(A[bm * block_M, 0], a)
            T.gemm_v0(a, b, c, transpose_B=True, init=True)
            T.copy(c, C[bm * block_M, bn * block_N])

    return main
