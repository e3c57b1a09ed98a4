"""The splits of a sequence become one: out = sum of w * partial, w = exp(L - max L) over their sum.

A unit is eight heads of one sequence; `core` of `cores` vector cores takes every `cores`-th of them. Two forms with the same bits:

* bulk: L arrives by one load, the sum is rounded by the vector unit and leaves by one store;
* scalar: the scalar unit reads every L and rounds and stores every number of the sum by itself.
"""

from tiletwin import language as T

from .tile import DIM, HEADS

ROWS = HEADS // 2


@T.macro
def weigh(log_ub, log_b, log_top, weights):
    """exp(L - max L), and its sum in log_b."""
    T.reduce_max(log_ub, log_top, dim=0)
    T.pipe_barrier('v')
    T.tile.broadcast(log_b, log_top)
    T.pipe_barrier('v')
    T.tile.sub(weights, log_ub, log_b)
    T.pipe_barrier('v')
    T.tile.exp(weights, weights)
    T.pipe_barrier('v')
    T.reduce_sum(weights, log_top, dim=0)
    T.pipe_barrier('v')
    T.tile.broadcast(log_b, log_top)


@T.macro
def add_up(partialOut, b, head, turn, splits, weights, weight, log_b, part_ub, r_ub, o_ub):
    """o_ub = sum of w * partial; `turn` counts units, so that loads alternate between two buffers across them."""
    T.tile.fill(o_ub, 0.0)
    T.pipe_barrier('v')
    T.tile.div(weights, weights, log_b)
    for s in T.serial(splits):
        w = (turn * splits + s) % 2
        T.wait_flag('v', 'mte2', 2 + w)
        T.copy(partialOut[b, s, head, 0], part_ub[w, :, :])
        T.set_flag('mte2', 'v', 2 + w)
        T.wait_flag('mte2', 'v', 2 + w)
        T.pipe_barrier('v')
        T.tile.broadcast(r_ub, weight[s * ROWS:(s + 1) * ROWS], axis=1)
        T.pipe_barrier('v')
        T.tile.mul_add_dst(o_ub, part_ub[w, :, :], r_ub)
        T.set_flag('v', 'mte2', 2 + w)


@T.macro
def combine_bulk(partialOut, partialL, out, log_ub, log_b, log_top, weights, weight, part_ub, r_ub, o_ub, out_ub, Hq, units, splits, cores, core):
    for i in T.serial((units - core + cores - 1) // cores):
        unit = i * cores + core
        b_c = unit * ROWS // Hq
        head_c = unit * ROWS % Hq
        T.wait_flag('v', 'mte2', 0)
        T.copy(partialL[b_c, 0:splits, head_c:head_c + ROWS], log_ub)
        T.set_flag('mte2', 'v', 0)
        T.wait_flag('mte2', 'v', 0)
        weigh(log_ub, log_b, log_top, weights)
        T.set_flag('v', 'mte2', 0)
        T.wait_flag('mte3', 'v', 1)
        add_up(partialOut, b_c, head_c, i, splits, weights, weight, log_b, part_ub, r_ub, o_ub)
        T.pipe_barrier('v')
        T.tile.cast(out_ub, o_ub, 'CAST_RINT', ROWS * DIM)
        T.set_flag('v', 'mte3', 1)
        T.wait_flag('v', 'mte3', 1)
        T.copy(out_ub, out[b_c, head_c, 0])
        T.set_flag('mte3', 'v', 1)
    T.wait_flag('mte3', 'v', 1)


@T.macro
def combine_scalar(partialOut, partialL, out, log_ub, log_b, log_top, weights, weight, part_ub, r_ub, o_ub, Hq, units, splits, cores, core):
    T.wait_flag('mte3', 'v', 1)
    T.set_flag('v', 's', 0)
    T.set_flag('s', 'v', 1)
    for i in T.serial((units - core + cores - 1) // cores):
        unit = i * cores + core
        b_c = unit * ROWS // Hq
        head_c = unit * ROWS % Hq
        T.wait_flag('v', 's', 0)
        for s in T.serial(splits):
            for r in T.serial(ROWS):
                log_ub[s, r] = partialL[b_c, s, head_c + r]
        T.set_flag('s', 'v', 0)
        T.wait_flag('s', 'v', 0)
        weigh(log_ub, log_b, log_top, weights)
        T.set_flag('v', 's', 0)
        T.wait_flag('s', 'v', 1)
        add_up(partialOut, b_c, head_c, i, splits, weights, weight, log_b, part_ub, r_ub, o_ub)
        T.set_flag('v', 's', 1)
        T.wait_flag('v', 's', 1)
        for r in T.serial(ROWS):
            for d in T.serial(DIM):
                out[b_c, head_c + r, d] = T.cast(o_ub[r, d], 'float16')
        T.set_flag('s', 'v', 1)
    T.wait_flag('v', 's', 0)
    T.wait_flag('s', 'v', 1)
    T.tile.datacachecleanandinvalid_experiment(out, 'ENTIRE_DATA_CACHE', 'CACHELINE_OUT')
