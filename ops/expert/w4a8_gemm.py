"""Expert W4A8 product: C[M, N] = A[M, K] @ unpack(B_packed)[N, K]^T, int8 by int4 into int32.

The vector cores unpack, the cube multiplies, both at once. A core owns blocks of `block_N` rows of B and runs all of M under
each, so that every weight is unpacked once; only where there are fewer blocks than cores, cores share a block and split M.
On A2/A3 unpacked rows can only reach the cube through GM:

* `workspace_vid`: through workspace[N, K] (one per split of M), each vector core at its own rows; the cube reads it for every block of M;
* `vid_eliminated`: through a ring of tiles per core; the cube keeps the rows in L1 for all blocks of M.

Unpacking works on words: a packed byte becomes one int16 word whose two bytes are its two numbers, already in order.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

B_READY, B_FREE = 0, 1
LANES = 4096  # packed bytes a vector core unpacks at a time
RESIDENT_BYTES = 262144  # of L1 for the rows of B that stay


def workspace_vid(M, N, K, block_N=None, cores=24):
    """The compiled kernel for one shape: `kernel(A, B_packed) -> C`. The unpacked weights pass through workspace[N, K]."""
    return w4a8(M, N, K, block_N or rows_of_b(N, cores), 8, False, cores)


def vid_eliminated(M, N, K, block_N=None, cores=24):
    """The compiled kernel for one shape: `kernel(A, B_packed) -> C`. The unpacked weights stay on the core that unpacked them."""
    block_N = block_N or rows_of_b(N, cores)
    while block_N > 16 and (block_N * K > RESIDENT_BYTES or N % block_N):
        block_N -= 16
    if block_N * K > RESIDENT_BYTES:
        raise ValueError(f'16 rows of {K} int8 weights do not stay in L1: use workspace_vid')
    return w4a8(M, N, K, block_N, 4, True, cores)


def rows_of_b(N, cores):
    """Rows of B per step: at least one fractal, more while every core still has work."""
    return 16 * max(d for d in range(1, 5) if N // 16 % d == 0 and (d == 1 or N // 16 // d >= cores))


def divisor(n, unit, most):
    """The largest multiple of `unit` that divides `n` and does not exceed `most`."""
    return max(d for d in range(unit, max(unit, min(n, most)) + 1, unit) if n % d == 0)


@tiletwin.jit(out_idx=[2], workspace_idx=[3], pass_configs=EXPERT)
def w4a8(M, N, K, block_N, ahead, resident, cores=24):
    half_N = block_N // 2  # rows of B per vector core
    n_num = N // block_N
    splits = max(1, min((M + 31) // 32, cores // n_num))
    block_M = min(128, ((M + splits - 1) // splits + 15) // 16 * 16)
    m_num = (M + block_M - 1) // block_M
    m_share = (m_num + splits - 1) // splits  # blocks of M per work item
    splits = (m_num + m_share - 1) // m_share
    items = n_num * splits
    chunk = divisor(K, 64, min(512, 2 * LANES // half_N))
    chunks = K // chunk
    packed = chunk // 2
    k_l0 = divisor(chunk, 32, 256)
    parts = chunk // k_l0
    panels = 2 if 2 * block_N * K <= RESIDENT_BYTES else 1
    b_slots = panels * chunks if resident else 2
    # With fewer than ten fractals in the result, the cube needs a barrier between the products it accumulates.
    small = block_M // 16 * (block_N // 16) < 10

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'int8'),
        B_packed: T.Tensor((N, K // 2), 'uint8'),
        C: T.Tensor((M, N), 'int32'),
        workspace: T.Tensor((cores * ahead * block_N, chunk) if resident else (splits * N, K), 'int8'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            # Two buffers rather than one with two slots: a load into a whole L1 buffer zeroes the rows beyond M.
            a_ping = T.alloc_L1((block_M, chunk), 'int8')
            a_pong = T.alloc_L1((block_M, chunk), 'int8')
            b_l1 = T.alloc_L1((b_slots, block_N, chunk), 'int8')
            a_l0 = T.alloc_L0A((2, block_M, k_l0), 'int8')
            b_l0 = T.alloc_L0B((2, k_l0, block_N), 'int8')
            c_l0 = T.alloc_L0C((2, block_M, block_N), 'int32')

            in_ub = T.alloc_ub((2, half_N, packed), 'uint8')
            h_ub = T.alloc_ub((half_N, packed), 'float16')
            v_ub = T.alloc_ub((half_N, packed), 'int16')
            low = T.alloc_ub((half_N, packed), 'int16')
            high = T.alloc_ub((half_N, packed), 'int16')
            low_byte = T.alloc_ub((half_N, packed), 'int16')
            high_byte = T.alloc_ub((half_N, packed), 'int16')
            words = T.alloc_ub((2, half_N, packed), 'int16')
            numbers = T.view(words, (2, half_N, chunk), 'int8')

            with T.Scope('C'):
                mine = (items - cid + cores - 1) // cores
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('fix', 'm', e)
                if resident:
                    for e in T.serial(panels):
                        T.set_flag('mte1', 'mte2', 2 + e)

                for t in T.serial(mine):
                    item = t * cores + cid
                    col = item // splits * block_N
                    first = item % splits * m_share
                    for bm in T.serial(T.min(m_share, m_num - first)):
                        u = (t * m_share + bm) % 2
                        T.wait_flag('fix', 'm', u)
                        for c in T.serial(chunks):
                            q = t * chunks + c
                            j = (t * m_share + bm) * chunks + c
                            T.wait_flag('mte1', 'mte2', j % 2)
                            # Before the core stops for B: A need not wait for it.
                            if j % 2 == 0:
                                T.copy(A[(first + bm) * block_M, c * chunk], a_ping)
                            else:
                                T.copy(A[(first + bm) * block_M, c * chunk], a_pong)
                            if bm == 0:
                                T.wait_cross_flag(B_READY, 'MTE2')
                                if resident:
                                    if c == 0:
                                        T.wait_flag('mte1', 'mte2', 2 + t % panels)
                                    T.copy(workspace[(cid * ahead + q % ahead) * block_N, 0], b_l1[t % panels * chunks + c, :, :])
                            if not resident:
                                T.copy(workspace[item % splits * N + col, c * chunk], b_l1[j % 2, :, :])
                            if bm == 0:
                                if q + ahead < mine * chunks:
                                    T.set_cross_flag('MTE2', B_FREE)
                            T.set_flag('mte2', 'mte1', j % 2)
                            T.wait_flag('mte2', 'mte1', j % 2)

                            b = t % panels * chunks + c if resident else j % 2
                            for k in T.serial(parts):
                                s = (j * parts + k) % 2
                                T.wait_flag('m', 'mte1', s)
                                if j % 2 == 0:
                                    T.copy(a_ping[:, k * k_l0:(k + 1) * k_l0], a_l0[s, :, :])
                                else:
                                    T.copy(a_pong[:, k * k_l0:(k + 1) * k_l0], a_l0[s, :, :])
                                T.copy(b_l1[b, :, k * k_l0:(k + 1) * k_l0], b_l0[s, :, :], transpose=True)
                                T.set_flag('mte1', 'm', s)
                                T.wait_flag('mte1', 'm', s)
                                T.mma(a_l0[s, :, :], b_l0[s, :, :], c_l0[u, :, :], init=T.And(c == 0, k == 0))
                                T.set_flag('m', 'mte1', s)
                                if small:
                                    T.pipe_barrier('m')
                            T.set_flag('mte1', 'mte2', j % 2)
                        if resident:
                            if bm == T.min(m_share, m_num - first) - 1:
                                T.set_flag('mte1', 'mte2', 2 + t % panels)
                        T.set_flag('m', 'fix', u)
                        T.wait_flag('m', 'fix', u)
                        T.copy(c_l0[u, :, :], C[(first + bm) * block_M, col])
                        T.set_flag('fix', 'm', u)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('fix', 'm', e)
                if resident:
                    for e in T.serial(panels):
                        T.wait_flag('mte1', 'mte2', 2 + e)

            with T.Scope('V'):
                T.tile.fill(low_byte, 0x00FF)
                T.tile.fill(high_byte, -0x0100)
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', e)

                for q in T.serial((items - cid + cores - 1) // cores * chunks):
                    # Both sides of the workspace count rows of B: block, then vector core, then row.
                    owner = q // chunks * cores + cid
                    actual_row = owner // splits * block_N + vid * half_N
                    s = q % 2
                    T.wait_flag('v', 'mte2', s)
                    T.copy(B_packed[actual_row, q % chunks * packed], in_ub[s, :, :])
                    T.set_flag('mte2', 'v', s)

                    T.wait_flag('mte2', 'v', s)
                    T.tile.cast(h_ub, in_ub[s, :, :], 'CAST_NONE', half_N * packed)
                    T.set_flag('v', 'mte2', s)
                    T.pipe_barrier('v')
                    T.tile.cast(v_ub, h_ub, 'CAST_RINT', half_N * packed)
                    T.pipe_barrier('v')
                    # Left until the nibble's sign is the word's sign, back with the sign filling up.
                    T.tile.bitwise_lshift(low, v_ub, 12)
                    T.tile.bitwise_lshift(high, v_ub, 8)
                    T.pipe_barrier('v')
                    T.tile.bitwise_rshift(low, low, 12)
                    T.tile.bitwise_rshift(high, high, 4)
                    T.pipe_barrier('v')
                    T.tile.bitwise_and(low, low, low_byte)
                    T.tile.bitwise_and(high, high, high_byte)
                    T.pipe_barrier('v')
                    T.wait_flag('mte3', 'v', s)
                    T.tile.bitwise_or(words[s, :, :], low, high)
                    T.set_flag('v', 'mte3', s)

                    T.wait_flag('v', 'mte3', s)
                    if q >= ahead:
                        T.wait_cross_flag(B_FREE, 'MTE3')
                    if resident:
                        T.copy(numbers[s, :, :], workspace[(cid * ahead + q % ahead) * block_N + vid * half_N, 0])
                    else:
                        T.copy(numbers[s, :, :], workspace[owner % splits * N + actual_row, q % chunks * chunk])
                    T.set_flag('mte3', 'v', s)
                    T.set_cross_flag('MTE3', B_READY)

                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', e)
                    T.wait_flag('mte3', 'v', e)

    return main
