"""Expert matrix products with a vector prologue.

`abs_sqrt_nd` on a5: Z = sqrt(|X|).half() Y^T. A work item is a tile of rows and a stretch of columns. The vector cores prepare the
rows once, panel by panel of K, and publish them to the L1 of the cube core, each its half; they stay there for all columns:

    vector  X panel -> UB -> float -> |x| -> root -> half -> L1, set READY[slot]     (first: wait FREE[slot], from the third item on)
    cube    wait READY[slot] per panel of the first tile of columns | products | set FREE[slot] after the last read

READY counts panels: at most eight are under way per slot.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

READY, FREE = 0, 2  # and one more each for the second slot


def abs_sqrt_nd(M, N, K, cores=32):
    """The compiled kernel for one shape: `kernel(x, y) -> z`."""
    return prologue_abs_sqrt_nd(M, N, K, *tile_of(M, N, cores), largest(K, 128), cores)


def tile_of(M, N, cores):
    """The largest tile that still gives every core one, else a small one: the vector cores prepare its rows before anything else runs."""
    for rows, cols in ((128, 128), (64, 128), (64, 64)):
        rows, cols = largest(M, rows, 32), largest(N, cols)
        if M // rows * (N // cols) >= cores:
            return rows, cols
    return largest(M, 32, 32), largest(N, 64)


def largest(size, most, unit=16):
    """The largest multiple of `unit` up to `most` that divides `size`."""
    return max(d for d in range(unit, max(unit, min(size, most)) + 1, unit) if size % d == 0)


@tiletwin.jit(out_idx=[2], platform='A5', pass_configs=EXPERT)
def prologue_abs_sqrt_nd(M, N, K, block_M, block_N, block_K, cores=32):
    m_num = M // block_M
    n_num = N // block_N
    k_num = K // block_K
    rows = block_M // 2  # of a tile per vector core
    # With fewer tiles of rows than cores, each is shared by several: every part takes its stretch of the columns.
    parts = max(d for d in range(1, n_num + 1) if n_num % d == 0 and (d == 1 or m_num * d <= cores))
    per_part = n_num // parts
    items = m_num * parts
    blocks = min(cores, items)
    # With fewer than ten fractals in the result, the cube needs a barrier between the products it accumulates.
    small = block_M // 16 * (block_N // 16) < 10

    @T.prim_func
    def main(
        X: T.Tensor((M, K), 'float16'),
        Y: T.Tensor((N, K), 'float16'),
        Z: T.Tensor((M, N), 'float'),
    ):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            a_l1 = T.alloc_L1((2, k_num, block_M, block_K), 'float16')
            y_l1 = T.alloc_L1((2, block_N, block_K), 'float16')
            a_l0 = T.alloc_L0A((2, block_M, block_K), 'float16')
            y_l0 = T.alloc_L0B((2, block_K, block_N), 'float16')
            z_l0 = T.alloc_L0C((2, block_M, block_N), 'float')

            x_ub = T.alloc_ub((2, rows, block_K), 'float16')
            w_ub = T.alloc_ub((rows, block_K), 'float')
            root_ub = T.alloc_ub((2, rows, block_K), 'float16')

            with T.Scope('C'):
                mine = (items - cid + blocks - 1) // blocks
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('fix', 'm', e)

                for t in T.serial(mine):
                    item = t * blocks + cid
                    for n in T.serial(per_part):
                        col = (item % parts * per_part + n) * block_N
                        u = (t * per_part + n) % 2
                        T.wait_flag('fix', 'm', u)
                        for k in T.serial(k_num):
                            s = ((t * per_part + n) * k_num + k) % 2
                            T.wait_flag('mte1', 'mte2', s)
                            T.copy(Y[col, k * block_K], y_l1[s, :, :])
                            T.set_flag('mte2', 'mte1', s)
                            if n == 0:
                                T.wait_cross_flag(READY + t % 2, 'mte1')
                            T.wait_flag('mte2', 'mte1', s)
                            T.wait_flag('m', 'mte1', s)
                            T.copy(a_l1[t % 2, k, :, :], a_l0[s, :, :])
                            T.copy(y_l1[s, :, :], y_l0[s, :, :], transpose=True)
                            T.set_flag('mte1', 'mte2', s)
                            T.set_flag('mte1', 'm', s)
                            T.wait_flag('mte1', 'm', s)
                            T.mma(a_l0[s, :, :], y_l0[s, :, :], z_l0[u, :, :], init=(k == 0))
                            T.set_flag('m', 'mte1', s)
                            if small:
                                T.pipe_barrier('m')
                        T.set_flag('m', 'fix', u)
                        T.wait_flag('m', 'fix', u)
                        T.copy(z_l0[u, :, :], Z[item // parts * block_M, col])
                        T.set_flag('fix', 'm', u)
                    if t + 2 < mine:
                        T.set_cross_flag('MTE1', FREE + t % 2)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('fix', 'm', e)

            with T.Scope('V'):
                for e in T.serial(2):
                    T.set_flag('v', 'mte2', e)
                    T.set_flag('mte3', 'v', e)

                for t in T.serial((items - cid + blocks - 1) // blocks):
                    row = (t * blocks + cid) // parts * block_M + vid * rows
                    if t >= 2:
                        T.wait_cross_flag(FREE + t % 2, 'mte3')
                    for k in T.serial(k_num):
                        h = (t * k_num + k) % 2
                        T.wait_flag('v', 'mte2', h)
                        T.copy(X[row, k * block_K], x_ub[h, :, :])
                        T.set_flag('mte2', 'v', h)
                        T.wait_flag('mte2', 'v', h)
                        T.tile.cast(w_ub, x_ub[h, :, :], 'CAST_NONE', rows * block_K)
                        T.set_flag('v', 'mte2', h)
                        T.tile.abs(w_ub, w_ub)
                        T.tile.sqrt(w_ub, w_ub)
                        T.wait_flag('mte3', 'v', h)
                        T.tile.cast(root_ub[h, :, :], w_ub, 'CAST_RINT', rows * block_K)
                        T.set_flag('v', 'mte3', h)
                        T.wait_flag('v', 'mte3', h)
                        T.copy(root_ub[h, :, :], a_l1[t % 2, k, vid * rows, 0])
                        T.set_flag('mte3', 'v', h)
                        T.set_cross_flag('MTE3', READY + t % 2)

                for e in T.serial(2):
                    T.wait_flag('v', 'mte2', e)
                    T.wait_flag('mte3', 'v', e)

    return main
