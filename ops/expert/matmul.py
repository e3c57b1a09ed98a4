"""Expert matrix products.

`mkkn_gemm`, two schedules of C[M, N] = A[M, K] @ B[K, N]:

* 'barrier': one tile per block, every step of K fenced by `barrier_all`: the version to start from;
* 'mma': persistent over the cores; panels of K double-buffered in L1, operand tiles double-buffered in L0A/L0B,
  accumulators double-buffered when two fit in L0C. MTE2, MTE1, M and FIX run at the same time; flags order them.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

L0C_BYTES = 131072
L1_BYTES = 524032


def mkkn_gemm(M, N, K, schedule='mma', out_dtype='float32', block_M=None, block_N=None, block_K=64, cores=24):
    """The compiled kernel for one shape: `kernel(A, B) -> C`.

    Blocks are the source's 128x256x64, less for shapes that do not fill them, but never below 64x64: with fewer than ten
    fractals in the result, the cube needs a barrier between the products it accumulates.
    """
    block_M = block_M or min(128, (M + 63) // 64 * 64)
    block_N = block_N or min(256, (N + 63) // 64 * 64)
    if schedule == 'barrier':
        return mkkn_barrier(M, N, K, out_dtype, block_M, block_N, block_K)
    return mkkn_mma(M, N, K, out_dtype, block_M, block_N, block_K, cores)


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def mkkn_barrier(M, N, K, out_dtype='float32', block_M=128, block_N=256, block_K=64):
    m_num = (M + block_M - 1) // block_M
    n_num = (N + block_N - 1) // block_N

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'float16'),
        B: T.Tensor((K, N), 'float16'),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(m_num * n_num, is_npu=True) as (cid, vid):
            row = cid // n_num * block_M
            col = cid % n_num * block_N
            a_l1 = T.alloc_L1((block_M, block_K), 'float16')
            b_l1 = T.alloc_L1((block_K, block_N), 'float16')
            c_l0 = T.alloc_L0C((block_M, block_N), 'float')
            with T.Scope('C'):
                for k in T.serial(T.ceildiv(K, block_K)):
                    T.copy(A[row, k * block_K], a_l1)
                    T.copy(B[k * block_K, col], b_l1)
                    T.barrier_all()
                    T.gemm_v0(a_l1, b_l1, c_l0, init=(k == 0))
                    T.barrier_all()
                T.copy(c_l0, C[row, col])

    return main


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def mkkn_mma(M, N, K, out_dtype='float32', block_M=128, block_N=256, block_K=64, cores=24):
    m_num = (M + block_M - 1) // block_M
    n_num = (N + block_N - 1) // block_N
    tiles = m_num * n_num
    # One L1 panel holds up to four steps of K: long rows in GM make long bursts.
    k_steps = (K + block_K - 1) // block_K
    per_panel = max(1, min(4, k_steps, L1_BYTES // (4 * block_K * (block_M + block_N))))
    panel = per_panel * block_K
    panels = (K + panel - 1) // panel
    c_slots = 2 if 2 * block_M * block_N * 4 <= L0C_BYTES else 1

    @T.prim_func
    def main(
        A: T.Tensor((M, K), 'float16'),
        B: T.Tensor((K, N), 'float16'),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            # Two buffers rather than one with two slots: a load into a whole L1 buffer zeroes what the tensor does not
            # cover, a load into a slot leaves there what was there before (dialect 4.1.4).
            a_ping = T.alloc_L1((block_M, panel), 'float16')
            a_pong = T.alloc_L1((block_M, panel), 'float16')
            b_ping = T.alloc_L1((panel, block_N), 'float16')
            b_pong = T.alloc_L1((panel, block_N), 'float16')
            a_l0 = T.alloc_L0A((2, block_M, block_K), 'float16')
            b_l0 = T.alloc_L0B((2, block_K, block_N), 'float16')
            c_l0 = T.alloc_L0C((c_slots, block_M, block_N), 'float')
            with T.Scope('C'):
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('m', 'mte1', e)
                for e in T.serial(c_slots):
                    T.set_flag('fix', 'm', e)

                for t in T.serial((tiles - cid + cores - 1) // cores):
                    row = (t * cores + cid) // n_num * block_M
                    col = (t * cores + cid) % n_num * block_N
                    T.wait_flag('fix', 'm', t % c_slots)
                    for p in T.serial(panels):
                        slot = (t * panels + p) % 2
                        T.wait_flag('mte1', 'mte2', slot)
                        if slot == 0:
                            T.copy(A[row, p * panel], a_ping)
                            T.copy(B[p * panel, col], b_ping)
                        else:
                            T.copy(A[row, p * panel], a_pong)
                            T.copy(B[p * panel, col], b_pong)
                        T.set_flag('mte2', 'mte1', slot)
                        T.wait_flag('mte2', 'mte1', slot)
                        for j in T.serial(T.min(per_panel, k_steps - p * per_panel)):
                            k = p * per_panel + j
                            half = (t * k_steps + k) % 2
                            T.wait_flag('m', 'mte1', half)
                            if slot == 0:
                                T.copy(a_ping[:, j * block_K:(j + 1) * block_K], a_l0[half, :, :])
                                T.copy(b_ping[j * block_K:(j + 1) * block_K, :], b_l0[half, :, :])
                            else:
                                T.copy(a_pong[:, j * block_K:(j + 1) * block_K], a_l0[half, :, :])
                                T.copy(b_pong[j * block_K:(j + 1) * block_K, :], b_l0[half, :, :])
                            T.set_flag('mte1', 'm', half)
                            T.wait_flag('mte1', 'm', half)
                            T.mma(a_l0[half, :, :], b_l0[half, :, :], c_l0[t % c_slots, :, :], init=(k == 0))
                            T.set_flag('m', 'mte1', half)
                        T.set_flag('mte1', 'mte2', slot)
                    T.set_flag('m', 'fix', t % c_slots)
                    T.wait_flag('m', 'fix', t % c_slots)
                    T.copy(c_l0[t % c_slots, :, :], C[row, col])
                    T.set_flag('fix', 'm', t % c_slots)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('m', 'mte1', e)
                for e in T.serial(c_slots):
                    T.wait_flag('fix', 'm', e)

    return main
