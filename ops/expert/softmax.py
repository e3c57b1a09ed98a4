"""Expert row softmax: rows dealt out over every vector core, loads, arithmetic and stores of different tiles overlapped.

* `base`: whole rows in UB, one read and one write of the tensor;
* `online`: rows longer than UB, two passes over tiles of N: running maximum and sum first, results second.

16-bit rows are computed in float32. Columns beyond N are loaded as -inf and so weigh nothing.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

UB_BYTES = 196352
LOWEST = -3.4028234663852886e38


def softmax(M, N, dtype='float32', variant='auto', cores=24):
    """The compiled kernel for one shape: `kernel(x) -> y`. 'auto' takes `base` when a row fits."""
    rows = base_rows(M, N, dtype, cores)
    if variant == 'base' and rows == 0:
        raise ValueError(f'a row of {N} {dtype} does not fit UB in the base variant: use online')
    if variant == 'online' or rows == 0:
        return softmax_online(M, N, dtype, cores=cores)
    return softmax_base(M, N, dtype, rows=rows, cores=cores)


def base_width(N):
    """Row length in UB: whole 32-byte blocks for every dtype."""
    return (N + 15) // 16 * 16


def base_rows(M, N, dtype, cores=24):
    """Rows per tile: as many as fit UB, but no more than one core's share. 0 when a row does not fit."""
    bytes_per_row = base_width(N) * (20 if dtype == 'float32' else 16) + 64
    fit = (UB_BYTES - 1024) // bytes_per_row
    share = (M + 2 * cores - 1) // (2 * cores)
    return min(fit, max(1, share), 64)


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def softmax_base(M, N, dtype='float32', rows=2, cores=24):
    wide = dtype == 'float32'
    width = base_width(N)
    tiles = (M + rows - 1) // rows
    workers = 2 * cores

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            io = T.alloc_ub((2, rows, width), dtype)
            e = T.alloc_ub((rows, width), 'float')
            b = T.alloc_ub((rows, width), 'float')
            top = T.alloc_ub((rows, 1), 'float')
            total = T.alloc_ub((rows, 1), 'float')
            with T.Scope('V'):
                # Ids 1 and 2: a load that pads uses id 0 of MTE3->V, V->MTE2 and MTE2->V itself (dialect 4.1.7).
                for s in T.serial(2):
                    T.set_flag('mte3', 'mte2', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    row = (t * workers + cid * 2 + vid) * rows
                    s = t % 2
                    T.wait_flag('mte3', 'mte2', s + 1)
                    T.copy(X[row, 0], io[s, :, :], pad_value=-T.infinity(dtype))
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if wide:
                        T.reduce_max(io[s, :, :], top, dim=-1)
                    else:
                        T.tile.cast(e, io[s, :, :], 'CAST_NONE', rows * width)
                        T.pipe_barrier('v')
                        T.reduce_max(e, top, dim=-1)
                    T.pipe_barrier('v')
                    T.tile.broadcast(b, top)
                    T.pipe_barrier('v')
                    if wide:
                        T.tile.sub(e, io[s, :, :], b)
                    else:
                        T.tile.sub(e, e, b)
                    T.pipe_barrier('v')
                    T.tile.exp(e, e)
                    T.pipe_barrier('v')
                    T.reduce_sum(e, total, dim=-1)
                    T.pipe_barrier('v')
                    T.tile.broadcast(b, total)
                    T.pipe_barrier('v')
                    if wide:
                        T.tile.div(io[s, :, :], e, b)
                    else:
                        T.tile.div(e, e, b)
                        T.pipe_barrier('v')
                        T.tile.cast(io[s, :, :], e, 'CAST_RINT', rows * width)
                        T.pipe_barrier('v')
                    T.set_flag('v', 'mte3', s + 1)

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(io[s, :, :], Y[row, 0])
                    T.set_flag('mte3', 'mte2', s + 1)

                for s in T.serial(2):
                    T.wait_flag('mte3', 'mte2', s + 1)

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def softmax_online(M, N, dtype='float32', rows=4, block_N=1280, cores=24):
    wide = dtype == 'float32'
    tiles = (M + rows - 1) // rows
    workers = 2 * cores
    n_num = (N + block_N - 1) // block_N

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, rows, block_N), dtype)
            y = T.alloc_ub((2, rows, block_N), dtype)
            e = T.alloc_ub((rows, block_N), 'float')
            b_top = T.alloc_ub((rows, block_N), 'float')
            b_total = T.alloc_ub((rows, block_N), 'float')
            top = T.alloc_ub((rows, 1), 'float')
            total = T.alloc_ub((rows, 1), 'float')
            new_top = T.alloc_ub((rows, 1), 'float')
            tile_top = T.alloc_ub((rows, 1), 'float')
            tile_sum = T.alloc_ub((rows, 1), 'float')
            shrink = T.alloc_ub((rows, 1), 'float')
            with T.Scope('V'):
                # Ids 1 and 2: a load that pads uses id 0 of MTE3->V, V->MTE2 and MTE2->V itself (dialect 4.1.7).
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    row = (t * workers + cid * 2 + vid) * rows
                    T.tile.fill(top, LOWEST)
                    T.tile.fill(total, 0.0)

                    for n in T.serial(n_num):
                        s = (t * 2 * n_num + n) % 2
                        T.wait_flag('v', 'mte2', s + 1)
                        T.copy(X[row, n * block_N], x[s, :, :], pad_value=-T.infinity(dtype))
                        T.set_flag('mte2', 'v', s + 1)

                        T.wait_flag('mte2', 'v', s + 1)
                        if wide:
                            T.reduce_max(x[s, :, :], tile_top, dim=-1)
                        else:
                            T.tile.cast(e, x[s, :, :], 'CAST_NONE', rows * block_N)
                            T.set_flag('v', 'mte2', s + 1)
                            T.pipe_barrier('v')
                            T.reduce_max(e, tile_top, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.max(new_top, top, tile_top)
                        T.pipe_barrier('v')
                        T.tile.sub(shrink, top, new_top)
                        T.tile.broadcast(b_top, new_top)
                        T.pipe_barrier('v')
                        T.tile.exp(shrink, shrink)
                        T.tile.mul(top, new_top, 1.0)
                        if wide:
                            T.tile.sub(e, x[s, :, :], b_top)
                            T.set_flag('v', 'mte2', s + 1)
                        else:
                            T.tile.sub(e, e, b_top)
                        T.pipe_barrier('v')
                        T.tile.exp(e, e)
                        T.tile.mul(total, total, shrink)
                        T.pipe_barrier('v')
                        T.reduce_sum(e, tile_sum, dim=-1)
                        T.pipe_barrier('v')
                        T.tile.add(total, total, tile_sum)

                    # The maximum is already spread over b_top by the last tile of the first pass.
                    T.pipe_barrier('v')
                    T.tile.broadcast(b_total, total)

                    for n in T.serial(n_num):
                        s = (t * 2 * n_num + n_num + n) % 2
                        T.wait_flag('v', 'mte2', s + 1)
                        T.copy(X[row, n * block_N], x[s, :, :], pad_value=-T.infinity(dtype))
                        T.set_flag('mte2', 'v', s + 1)

                        o = (t * n_num + n) % 2
                        T.wait_flag('mte2', 'v', s + 1)
                        if wide:
                            T.tile.sub(e, x[s, :, :], b_top)
                            T.set_flag('v', 'mte2', s + 1)
                        else:
                            T.tile.cast(e, x[s, :, :], 'CAST_NONE', rows * block_N)
                            T.set_flag('v', 'mte2', s + 1)
                            T.pipe_barrier('v')
                            T.tile.sub(e, e, b_top)
                        T.pipe_barrier('v')
                        T.tile.exp(e, e)
                        T.pipe_barrier('v')
                        T.wait_flag('mte3', 'v', o + 1)
                        if wide:
                            T.tile.div(y[o, :, :], e, b_total)
                        else:
                            T.tile.div(e, e, b_total)
                            T.pipe_barrier('v')
                            T.tile.cast(y[o, :, :], e, 'CAST_RINT', rows * block_N)
                        T.set_flag('v', 'mte3', o + 1)
                        T.pipe_barrier('v')

                        T.wait_flag('v', 'mte3', o + 1)
                        T.copy(y[o, :, :], Y[row, n * block_N])
                        T.set_flag('mte3', 'v', o + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main
