"""CANN-bench rows of group_norm: a group is contiguous in GM; one pass over it for the sums, a second, which finds it in L2, for the results."""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .rows import Row
from .tiles import FLOATS, WIDTH, attributes, dtypes, place, shapes, up

SHORTEST = 512  # elements per channel from which one channel at a time keeps the vector unit busy


@tiletwin.jit(out_idx=[3], pass_configs=EXPERT)
def group_norm(groups, norms, channels, inner, dtype, eps, cores, chunk):
    """x of (groups, channels, inner), normalised per group; gamma and beta of (norms, channels) belong to group % norms."""
    wide = dtype == 'float32'
    workers, size = 2 * cores, channels * inner
    parts, rest = math.ceil(size / chunk), size - (math.ceil(size / chunk) - 1) * chunk
    pieces = math.ceil(inner / chunk)
    piece = up(math.ceil(inner / pieces), 32)
    last = inner - (pieces - 1) * piece
    lanes = up(channels, 16)
    slot, full = chunk * WIDTH[dtype], chunk * 4
    # g and b in the first 64 KiB, a and d behind the slots: no result lies in the bank of a source.
    at = place((full, 1), (full, 0), (2 * slot, 0), (2 * slot, 0), (256 if wide else full, 0), (full, 1),
               *((lanes * 4, 0),) * 5, *((lanes * 32, 0),) * 2, (lanes * 2, 0), (lanes * 2, 0), *((32, 0),) * 4)

    @T.macro
    def fetch(X, first, n, s, x):
        T.wait_flag('v', 'mte2', s + 1)
        T.copy(X[first:first + n], x[s, 0:n])
        T.set_flag('mte2', 'v', s + 1)
        T.wait_flag('mte2', 'v', s + 1)

    @T.macro
    def count(X, first, n, s, x, a, total, squares):
        fetch(X, first, n, s, x)
        if wide:
            T.tile.add(total[0:n], total[0:n], x[s, 0:n])
            T.tile.mul_add_dst(squares[0:n], x[s, 0:n], x[s, 0:n])
            T.set_flag('v', 'mte2', s + 1)
        else:
            T.tile.cast(a, x[s, :], 'CAST_NONE', n)
            T.set_flag('v', 'mte2', s + 1)
            T.pipe_barrier('v')
            T.tile.add(total[0:n], total[0:n], a[0:n])
            T.tile.mul_add_dst(squares[0:n], a[0:n], a[0:n])
        T.pipe_barrier('v')

    @T.macro
    def finish(X, Y, first, n, s, r, x, y, a, d, g, b):
        fetch(X, first, n, s, x)
        T.wait_flag('mte3', 'v', r + 1)
        if wide:
            T.tile.mul(d[0:n], x[s, 0:n], g[0:n])
            T.pipe_barrier('v')
            T.tile.add(y[r, 0:n], d[0:n], b[0:n])
            T.set_flag('v', 'mte2', s + 1)
        else:
            T.tile.cast(a, x[s, :], 'CAST_NONE', n)
            T.set_flag('v', 'mte2', s + 1)
            T.pipe_barrier('v')
            T.tile.mul(d[0:n], a[0:n], g[0:n])
            T.pipe_barrier('v')
            T.tile.add(a[0:n], d[0:n], b[0:n])
            T.pipe_barrier('v')
            T.tile.cast(y[r, :], a, 'CAST_RINT', n)
        T.set_flag('v', 'mte3', r + 1)
        T.pipe_barrier('v')
        T.wait_flag('v', 'mte3', r + 1)
        T.copy(y[r, 0:n], Y[first:first + n])
        T.set_flag('mte3', 'v', r + 1)

    @T.prim_func
    def main(X: T.Tensor((groups * size,), dtype), G: T.Tensor((norms * channels,), dtype), B: T.Tensor((norms * channels,), dtype),
             Y: T.Tensor((groups * size,), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            # total and squares in the first pass, factor and offset of a channel in the second.
            g = T.alloc_ub((chunk,), 'float')
            x = T.alloc_ub((2, chunk), dtype)
            y = T.alloc_ub((2, chunk), dtype)
            b = T.alloc_ub((chunk,), 'float')
            a = T.alloc_ub((64,) if wide else (chunk,), 'float')
            d = T.alloc_ub((chunk,), 'float')
            gamma = T.alloc_ub((lanes,), 'float')
            beta = T.alloc_ub((lanes,), 'float')
            mean_of = T.alloc_ub((lanes,), 'float')
            scale_of = T.alloc_ub((lanes,), 'float')
            shift_of = T.alloc_ub((lanes,), 'float')
            scales = T.alloc_ub((lanes, 8), 'float')
            shifts = T.alloc_ub((lanes, 8), 'float')
            gamma_in = gamma if wide else T.alloc_ub((lanes,), dtype)
            beta_in = beta if wide else T.alloc_ub((lanes,), dtype)
            mean = T.alloc_ub((1,), 'float')
            var = T.alloc_ub((1,), 'float')
            square = T.alloc_ub((1,), 'float')
            one = T.alloc_ub((1,), 'float')
            T.annotate_address({g: at[0], b: at[1], x: at[2], y: at[3], gamma: at[6], beta: at[7], mean_of: at[8], scale_of: at[9], shift_of: at[10],
                                scales: at[11], shifts: at[12], mean: at[15], var: at[16], square: at[17], one: at[18], a: at[4], d: at[5]})
            if not wide:
                T.annotate_address({gamma_in: at[13], beta_in: at[14]})
            g_row, b_row = T.reshape(g, (1, chunk)), T.reshape(b, (1, chunk))
            scale_column, shift_column = T.reshape(scale_of, (lanes, 1)), T.reshape(shift_of, (lanes, 1))
            with T.Scope('V'):
                T.tile.fill(one, 1.0)
                T.tile.fill(gamma_in, 0.0)
                T.tile.fill(beta_in, 0.0)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)
                T.set_flag('v', 'mte2', 3)

                for t in T.serial((groups - (cid * 2 + vid) + workers - 1) // workers):
                    group = t * workers + cid * 2 + vid
                    norm = group % norms * channels
                    T.wait_flag('v', 'mte2', 3)
                    T.copy(G[norm:norm + channels], gamma_in[0:channels])
                    T.copy(B[norm:norm + channels], beta_in[0:channels])
                    T.set_flag('mte2', 'v', 3)
                    T.tile.fill(g, 0.0)
                    T.tile.fill(b, 0.0)
                    T.pipe_barrier('v')
                    for c in T.serial(parts - 1):
                        count(X, group * size + c * chunk, chunk, c % 2, x, a, g, b)
                    count(X, group * size + (parts - 1) * chunk, rest, (parts - 1) % 2, x, a, g, b)
                    T.reduce_sum(g, mean, dim=-1)
                    T.reduce_sum(b, var, dim=-1)
                    T.pipe_barrier('v')
                    T.tile.mul(mean, mean, 1.0 / size)
                    T.tile.mul(var, var, 1.0 / size)
                    T.pipe_barrier('v')
                    T.tile.mul(square, mean, mean)
                    T.pipe_barrier('v')
                    T.tile.sub(var, var, square)
                    T.pipe_barrier('v')
                    T.tile.max(var, var, 0.0)
                    T.pipe_barrier('v')
                    T.tile.add(var, var, eps)
                    T.pipe_barrier('v')
                    T.tile.sqrt(var, var)
                    T.pipe_barrier('v')
                    T.tile.div(var, one, var)
                    T.pipe_barrier('v')
                    # y = x scale + shift with scale = gamma / deviation, shift = beta - mean scale.
                    T.tile.broadcast(scale_of, var)
                    T.tile.broadcast(mean_of, mean)
                    T.wait_flag('mte2', 'v', 3)
                    if not wide:
                        T.tile.cast(gamma, gamma_in, 'CAST_NONE', lanes)
                        T.tile.cast(beta, beta_in, 'CAST_NONE', lanes)
                    T.pipe_barrier('v')
                    T.tile.mul(scale_of, scale_of, gamma)
                    T.pipe_barrier('v')
                    T.tile.mul(shift_of, mean_of, scale_of)
                    T.pipe_barrier('v')
                    T.tile.sub(shift_of, beta, shift_of)
                    T.pipe_barrier('v')
                    T.tile.broadcast(scales, scale_column)
                    T.tile.broadcast(shifts, shift_column)
                    T.set_flag('v', 'mte2', 3)
                    T.pipe_barrier('v')
                    for k in T.serial(channels):
                        T.tile.broadcast(g_row, scales[k:k + 1, 0:1])
                        T.tile.broadcast(b_row, shifts[k:k + 1, 0:1])
                        T.pipe_barrier('v')
                        for c in T.serial(pieces - 1):
                            finish(X, Y, (group * channels + k) * inner + c * piece, piece, (parts + k * pieces + c) % 2,
                                   (k * pieces + c) % 2, x, y, a, d, g, b)
                        finish(X, Y, (group * channels + k) * inner + (pieces - 1) * piece, last, (parts + k * pieces + pieces - 1) % 2,
                               (k * pieces + pieces - 1) % 2, x, y, a, d, g, b)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)
                T.wait_flag('v', 'mte2', 3)

    return main


@models('cann_group_norm')
def group_norm_row(row: Row) -> Modelled | Skip:
    shape, dtype = shapes(row)[0], dtypes(row)[0]
    if dtype not in FLOATS:
        return Skip(f'the dialect has no {dtype} arithmetic')
    found = attributes(row)
    norms, eps = int(found.get('num_groups', 1)), float(found.get('epsilon', 1e-5))
    N, C, inner = shape[0], shape[1], math.prod(shape[2:])
    if inner < SHORTEST:
        return Skip(f'{inner} elements per channel: the kernel works on one channel at a time')
    cores, ub = row.chip.cube_cores, row.chip.memories['UB'].bytes
    channels = C // norms
    cores = min(cores, math.ceil(N * norms / 2))
    left = ub - 20 * 512 - 100 * up(channels, 16)  # every small buffer starts at its phase
    chunk = left // (4 * WIDTH[dtype] + (16 if dtype == 'float32' else 20)) // 128 * 128
    return Modelled(lambda: group_norm(N * norms, norms, channels, inner, dtype, eps, cores, min(chunk, up(channels * inner, 128))),
                    f'one group per core, two passes in chunks of {chunk}', 'bound')
