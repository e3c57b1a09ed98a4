"""Expert matrix products: products from slices of L1 by `T.mma`, every buffer double, flags between the pipes.

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


def mknk_f32(M, N, K, cores=32):
    """z = x @ y^T: the compiled kernel for one shape, `kernel(x, y) -> z`."""
    return mknk_mma(M, N, K, 'float32', 64, 64, 64, cores)


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def mknk_mma(M, N, K, dtype='float32', block_M=64, block_N=64, block_K=64, cores=32):
    n_num = N // block_N
    tiles = M // block_M * n_num
    k_num = K // block_K
    blocks = min(cores, tiles)

    @T.prim_func
    def main(
        X: T.Tensor((M, K), dtype),
        Y: T.Tensor((N, K), dtype),
        Z: T.Tensor((M, N), 'float'),
    ):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            x_l1 = T.alloc_L1((2, block_M, block_K), dtype)
            y_l1 = T.alloc_L1((2, block_N, block_K), dtype)
            x_l0 = T.alloc_L0A((2, block_M, block_K), dtype)
            y_l0 = T.alloc_L0B((2, block_K, block_N), dtype)
            z_l0 = T.alloc_L0C((2, block_M, block_N), 'float')
            with T.Scope('C'):
                mine = (tiles - cid + blocks - 1) // blocks
                # No slot is waited for before its second use, and none freed after its last: a single step needs no such flag at all.
                for q in T.serial(mine * k_num):
                    t = q // k_num
                    k = q % k_num
                    row = (t * blocks + cid) // n_num * block_M
                    col = (t * blocks + cid) % n_num * block_N
                    # One counter for the pair of operands: they are loaded, read and freed together.
                    s = q % 2
                    if q >= 2:
                        T.wait_flag('mte1', 'mte2', s)
                    T.copy(X[row, k * block_K], x_l1[s, :, :])
                    T.copy(Y[col, k * block_K], y_l1[s, :, :])
                    T.set_flag('mte2', 'mte1', s)
                    T.wait_flag('mte2', 'mte1', s)
                    if q >= 2:
                        T.wait_flag('m', 'mte1', s)
                    T.copy(x_l1[s, :, :], x_l0[s, :, :])
                    T.copy(y_l1[s, :, :], y_l0[s, :, :], transpose=True)
                    if q + 2 < mine * k_num:
                        T.set_flag('mte1', 'mte2', s)
                    T.set_flag('mte1', 'm', s)
                    T.wait_flag('mte1', 'm', s)
                    if T.And(k == 0, t >= 2):
                        T.wait_flag('fix', 'm', t % 2)
                    T.mma(x_l0[s, :, :], y_l0[s, :, :], z_l0[t % 2, :, :], init=(k == 0))
                    if q + 2 < mine * k_num:
                        T.set_flag('m', 'mte1', s)
                    if k == k_num - 1:
                        T.set_flag('m', 'fix', t % 2)
                        T.wait_flag('m', 'fix', t % 2)
                        T.copy(z_l0[t % 2, :, :], Z[row, col])
                        if t + 2 < mine:
                            T.set_flag('fix', 'm', t % 2)

    return main


QK_TILE = 128


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def qk_batched(B, H, S1, S2, D=128, cores=20):
    """qk[b * H + h] = q[b, h] @ k[b, h]^T: the compiled kernel for one shape, `kernel(q, k) -> qk`.

    The rows of all heads form one sequence of tiles, dealt out over the cores; a tile of rows stays in L0A for all tiles of keys.
    Two accumulators fill L0C: 2 * 128 * 128 * 4 bytes.
    """
    m_num = S1 // QK_TILE
    n_num = S2 // QK_TILE
    rows = B * H * m_num
    # With fewer tiles of rows than cores, each is shared by several: every part takes its stretch of the keys.
    parts = max(d for d in range(1, n_num + 1) if n_num % d == 0 and (d == 1 or rows * d <= cores))
    per_part = n_num // parts
    items = rows * parts
    blocks = min(cores, items)

    @T.prim_func
    def main(
        Q: T.Tensor((B, H, S1, D), 'float16'),
        K: T.Tensor((B, H, S2, D), 'float16'),
        QK: T.Tensor((B * H, S1, S2), 'float'),
    ):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            q_l1 = T.alloc_L1((2, QK_TILE, D), 'float16')
            k_l1 = T.alloc_L1((2, QK_TILE, D), 'float16')
            q_l0 = T.alloc_L0A((2, QK_TILE, D), 'float16')
            k_l0 = T.alloc_L0B((2, D, QK_TILE), 'float16')
            qk_l0 = T.alloc_L0C((2, QK_TILE, QK_TILE), 'float')
            with T.Scope('C'):
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('mte1', 'mte2', 2 + e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('m', 'mte1', 2 + e)
                    T.set_flag('fix', 'm', e)

                for t in T.serial((items - cid + blocks - 1) // blocks):
                    item = t * blocks + cid
                    head = item // parts // m_num
                    row = item // parts % m_num * QK_TILE
                    u = t % 2
                    T.wait_flag('mte1', 'mte2', u)
                    T.copy(Q[head // H, head % H, row, 0], q_l1[u, :, :])
                    T.set_flag('mte2', 'mte1', u)
                    T.wait_flag('mte2', 'mte1', u)
                    T.wait_flag('m', 'mte1', u)
                    T.copy(q_l1[u, :, :], q_l0[u, :, :])
                    T.set_flag('mte1', 'mte2', u)
                    for n in T.serial(per_part):
                        col = (item % parts * per_part + n) * QK_TILE
                        s = (t * per_part + n) % 2
                        T.wait_flag('mte1', 'mte2', 2 + s)
                        T.copy(K[head // H, head % H, col, 0], k_l1[s, :, :])
                        T.set_flag('mte2', 'mte1', 2 + s)
                        T.wait_flag('mte2', 'mte1', 2 + s)
                        T.wait_flag('m', 'mte1', 2 + s)
                        T.copy(k_l1[s, :, :], k_l0[s, :, :], transpose=True)
                        T.set_flag('mte1', 'mte2', 2 + s)
                        T.set_flag('mte1', 'm', s)
                        T.wait_flag('mte1', 'm', s)
                        T.wait_flag('fix', 'm', s)
                        T.mma(q_l0[u, :, :], k_l0[s, :, :], qk_l0[s, :, :], init=True)
                        T.set_flag('m', 'mte1', 2 + s)
                        T.set_flag('m', 'fix', s)
                        T.wait_flag('m', 'fix', s)
                        T.copy(qk_l0[s, :, :], QK[head, row, col])
                        T.set_flag('fix', 'm', s)
                    T.set_flag('m', 'mte1', u)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('mte1', 'mte2', 2 + e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('m', 'mte1', 2 + e)
                    T.wait_flag('fix', 'm', e)

    return main
