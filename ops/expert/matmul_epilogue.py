"""Expert matrix products with a vector epilogue.

`abs_add1` on a5: Z = |X Y^T| + 1. The FIX pipe splits the rows of a finished tile over the UBs of the two vector cores; each slot of
UB is owned by one side at a time:

    cube    ... products of tile t | wait FREE[t % 2] | L0C -> UB | set READY[t % 2] | products of tile t + 1 ...
    vector  wait READY[t % 2] | |z| into a tile of its own | set FREE[t % 2] | + 1 | UB -> GM, its half of the rows
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

READY, FREE = 0, 2  # and one more each for the second slot


def abs_add1(M, N, K, cores=32):
    """The compiled kernel for one shape: `kernel(x, y) -> z`."""
    return epilogue_abs_add1(M, N, K, *tile_of(M, N, cores), cores=cores)


def tile_of(M, N, cores):
    """The largest tile that still gives every core one, 64 x 64 at least: with fewer than ten fractals in the result, the cube
    needs a barrier between the products it accumulates."""
    for rows, cols in ((128, 256), (128, 128), (64, 128)):
        if -(-M // rows) * -(-N // cols) >= cores:
            return rows, cols
    return 64, 64


@tiletwin.jit(out_idx=[2], platform='A5', pass_configs=EXPERT)
def epilogue_abs_add1(M, N, K, block_M, block_N, block_K=64, cores=32):
    n_num = (N + block_N - 1) // block_N
    tiles = (M + block_M - 1) // block_M * n_num
    blocks = min(cores, tiles)
    rows = block_M // 2  # of a tile per vector core
    # One L1 panel holds up to four steps of K: long rows in GM make long bursts.
    k_steps = (K + block_K - 1) // block_K
    per_panel = min(4, k_steps)
    panel = per_panel * block_K
    panels = (K + panel - 1) // panel

    @T.prim_func
    def main(
        X: T.Tensor((M, K), 'float16'),
        Y: T.Tensor((N, K), 'float16'),
        Z: T.Tensor((M, N), 'float'),
    ):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            # Two buffers rather than one with two slots: a load into a whole L1 buffer zeroes what the tensor does not
            # cover, a load into a slot leaves there what was there before (dialect 4.1.4).
            x_ping = T.alloc_L1((block_M, panel), 'float16')
            x_pong = T.alloc_L1((block_M, panel), 'float16')
            y_ping = T.alloc_L1((block_N, panel), 'float16')
            y_pong = T.alloc_L1((block_N, panel), 'float16')
            x_l0 = T.alloc_L0A((2, block_M, block_K), 'float16')
            y_l0 = T.alloc_L0B((2, block_K, block_N), 'float16')
            z_l0 = T.alloc_L0C((2, block_M, block_N), 'float')
            z_ub = T.alloc_ub((2, rows, block_N), 'float')
            out_ub = T.alloc_ub((rows, block_N), 'float')

            with T.Scope('C'):
                mine = (tiles - cid + blocks - 1) // blocks
                for e in T.serial(2):
                    T.set_flag('mte1', 'mte2', e)
                    T.set_flag('m', 'mte1', e)
                    T.set_flag('fix', 'm', e)

                for t in T.serial(mine):
                    row = (t * blocks + cid) // n_num * block_M
                    col = (t * blocks + cid) % n_num * block_N
                    T.wait_flag('fix', 'm', t % 2)
                    for p in T.serial(panels):
                        slot = (t * panels + p) % 2
                        T.wait_flag('mte1', 'mte2', slot)
                        if slot == 0:
                            T.copy(X[row, p * panel], x_ping)
                            T.copy(Y[col, p * panel], y_ping)
                        else:
                            T.copy(X[row, p * panel], x_pong)
                            T.copy(Y[col, p * panel], y_pong)
                        T.set_flag('mte2', 'mte1', slot)
                        T.wait_flag('mte2', 'mte1', slot)
                        for j in T.serial(T.min(per_panel, k_steps - p * per_panel)):
                            k = p * per_panel + j
                            half = (t * k_steps + k) % 2
                            T.wait_flag('m', 'mte1', half)
                            if slot == 0:
                                T.copy(x_ping[:, j * block_K:(j + 1) * block_K], x_l0[half, :, :])
                                T.copy(y_ping[:, j * block_K:(j + 1) * block_K], y_l0[half, :, :], transpose=True)
                            else:
                                T.copy(x_pong[:, j * block_K:(j + 1) * block_K], x_l0[half, :, :])
                                T.copy(y_pong[:, j * block_K:(j + 1) * block_K], y_l0[half, :, :], transpose=True)
                            T.set_flag('mte1', 'm', half)
                            T.wait_flag('mte1', 'm', half)
                            T.mma(x_l0[half, :, :], y_l0[half, :, :], z_l0[t % 2, :, :], init=(k == 0))
                            T.set_flag('m', 'mte1', half)
                        T.set_flag('mte1', 'mte2', slot)
                    T.set_flag('m', 'fix', t % 2)
                    T.wait_flag('m', 'fix', t % 2)
                    if t >= 2:
                        T.wait_cross_flag(FREE + t % 2, 'fix')
                    T.copy(z_l0[t % 2, :, :], z_ub[t % 2, :, :])
                    T.set_cross_flag('FIX', READY + t % 2)
                    T.set_flag('fix', 'm', t % 2)

                for e in T.serial(2):
                    T.wait_flag('mte1', 'mte2', e)
                    T.wait_flag('m', 'mte1', e)
                    T.wait_flag('fix', 'm', e)

            with T.Scope('V'):
                mine_v = (tiles - cid + blocks - 1) // blocks
                T.set_flag('mte3', 'v', 0)
                for t in T.serial(mine_v):
                    T.wait_flag('mte3', 'v', 0)
                    T.wait_cross_flag(READY + t % 2, 'v')
                    T.tile.abs(out_ub, z_ub[t % 2, :, :])
                    if t + 2 < mine_v:
                        T.set_cross_flag('V', FREE + t % 2)
                    T.tile.add(out_ub, out_ub, 1.0)
                    T.set_flag('v', 'mte3', 0)
                    T.wait_flag('v', 'mte3', 0)
                    T.copy(out_ub, Z[(t * blocks + cid) // n_num * block_M + vid * rows, (t * blocks + cid) % n_num * block_N])
                    T.set_flag('mte3', 'v', 0)
                T.wait_flag('mte3', 'v', 0)

    return main
