"""Elementwise CANN-bench rows: tensors streamed through UB in flat tiles, two slots each way.

16-bit data is computed in float32. Sources of two-operand instructions lie in different bank groups.
"""

from __future__ import annotations

import math

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .registry import Modelled, Skip, models
from .rows import Row
from .tiles import FLOATS, REPEAT, SPARE, WIDTH, attributes, dtypes, place, shapes, span

# -logit(Phi(x)) / x as a polynomial of x * x: x / (1 + exp(x times it)) is x * Phi(x) within 1.2e-5 (four terms) and 3e-5 (three).
ERF4 = (-1.59538221e+00, -7.34584552e-02, 5.08998780e-04, 1.73326620e-05)
ERF3 = (-1.59501517e+00, -7.40119904e-02, 7.03185456e-04)
ERF_RANGE = 5.0
# 2 sqrt(2 / pi) and its product with 0.044715.
TANH = (1.5957691216057308, 0.07135481282553)
MISH_RANGE = 20.0  # tanh(softplus(x)) is 1 in float32 beyond


@T.macro
def quotient(d, x, p, q, exact):
    """x / p; where results are rounded to bfloat16 the reciprocal's error of at most 1e-3 does not show, and it is the shorter way."""
    if exact:
        T.tile.div(d, x, p)
    else:
        T.tile.reciprocal(q, p)
        T.pipe_barrier('v')
        T.tile.mul(d, x, q)


@T.macro
def sigmoid(d, x, p, one, exact):
    """1 / (1 + exp(-x))"""
    T.tile.mul(p, x, -1.0)
    T.pipe_barrier('v')
    T.tile.exp(p, p)
    T.pipe_barrier('v')
    T.tile.add(p, p, 1.0)
    T.pipe_barrier('v')
    if exact:
        T.tile.div(d, one, p)
    else:
        T.tile.reciprocal(d, p)


@T.macro
def gelu_tanh(d, x, p, q, r, exact):
    """x / (1 + exp(-x (a + b x x)))"""
    T.tile.mul(q, x, x)
    T.pipe_barrier('v')
    T.tile.mul(q, q, -TANH[1])
    T.pipe_barrier('v')
    T.tile.add(p, q, -TANH[0])
    T.pipe_barrier('v')
    T.tile.mul(q, p, x)
    T.pipe_barrier('v')
    T.tile.exp(q, q)
    T.pipe_barrier('v')
    T.tile.add(p, q, 1.0)
    T.pipe_barrier('v')
    quotient(d, x, p, r, exact)


@T.macro
def horner(out, other, u, c):
    """out := c[0] + c[1] u + ...; the two tiles take turns, so no product is written over its source."""
    if len(c) == 2:
        T.tile.mul(out, u, c[1])
    else:
        horner(other, out, u, c[1:])
        T.pipe_barrier('v')
        T.tile.mul(out, other, u)
    T.pipe_barrier('v')
    T.tile.add(out, out, c[0])


@T.macro
def gelu_erf(d, x, p, q, r, c, exact):
    """x Phi(x); the range is limited on x * x, which leaves the logit to grow with x beyond it."""
    T.tile.mul(q, x, x)
    T.pipe_barrier('v')
    T.tile.min(q, q, ERF_RANGE * ERF_RANGE)
    T.pipe_barrier('v')
    horner(r, p, q, c)
    T.pipe_barrier('v')
    T.tile.mul(q, r, x)
    T.pipe_barrier('v')
    T.tile.exp(q, q)
    T.pipe_barrier('v')
    T.tile.add(p, q, 1.0)
    T.pipe_barrier('v')
    quotient(d, x, p, r, exact)


@T.macro
def mish(d, x, p, q, r):
    """x n / (n + 2) with n = e (e + 2), e = exp(x): tanh(ln(1 + e)) without the logarithm."""
    T.tile.min(p, x, MISH_RANGE)
    T.pipe_barrier('v')
    T.tile.exp(p, p)
    T.pipe_barrier('v')
    T.tile.add(q, p, 2.0)
    T.pipe_barrier('v')
    T.tile.mul(r, p, q)
    T.pipe_barrier('v')
    T.tile.add(q, r, 2.0)
    T.pipe_barrier('v')
    T.tile.div(p, r, q)
    T.pipe_barrier('v')
    T.tile.mul(d, p, x)


@T.macro
def exp(d, x, p, scale, shift):
    """exp(scale x + shift)"""
    T.tile.mul(p, x, scale)
    T.pipe_barrier('v')
    T.tile.add(p, p, shift)
    T.pipe_barrier('v')
    T.tile.exp(d, p)


def unary_tile(n: int, dtype: str, cores: int, ub: int) -> int:
    """Elements per tile. An odd number of repeats: buffers one behind the other then differ in phase."""
    each = 28 if dtype == 'float32' else 24
    return span(n, (ub - SPARE) // each // REPEAT * REPEAT, 2 * cores)


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def unary(n, dtype, op, cores, tile, args=(), exact=True):
    """y = op(x) over n elements; `exact` divides, otherwise quotients of 16-bit data are products with a reciprocal."""
    wide = dtype == 'float32'
    workers = 2 * cores
    tiles = (n + tile - 1) // tile
    slot, full = tile * WIDTH[dtype], tile * 4
    # x, its float32 copy a, and q are of phase 0, p and r of phase 1; p and r lie at the two ends so as not to share a bank.
    at = place((full, 1), (2 * slot, 0), (2 * slot, 0), *((full, 0),) * (1 if wide else 2), (full, 1))

    @T.prim_func
    def main(X: T.Tensor((n,), dtype), Y: T.Tensor((n,), dtype)):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_ub((2, tile), dtype)
            y = T.alloc_ub((2, tile), dtype)
            p = T.alloc_ub((tile,), 'float')
            q = T.alloc_ub((tile,), 'float')
            r = T.alloc_ub((tile,), 'float')
            T.annotate_address({p: at[0], x: at[1], y: at[2], q: at[3], r: at[-1]})
            if not wide:
                a = T.alloc_ub((tile,), 'float')
                T.annotate_address({a: at[4]})
            with T.Scope('V'):
                if op == 'sigmoid' and exact:
                    T.tile.fill(r, 1.0)
                for s in T.serial(2):
                    T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('mte3', 'v', s + 1)

                for t in T.serial((tiles - (cid * 2 + vid) + workers - 1) // workers):
                    s = t % 2
                    first = (t * workers + cid * 2 + vid) * tile
                    T.wait_flag('v', 'mte2', s + 1)
                    T.copy(X[first:first + tile], x[s, :])
                    T.set_flag('mte2', 'v', s + 1)

                    T.wait_flag('mte2', 'v', s + 1)
                    if wide:
                        T.wait_flag('mte3', 'v', s + 1)
                        apply(op, args, y[s, :], x[s, :], p, q, r, True)
                        T.set_flag('v', 'mte2', s + 1)
                    else:
                        # No flag between the steps: A5 makes them one vector function.
                        T.wait_flag('mte3', 'v', s + 1)
                        T.tile.cast(a, x[s, :], 'CAST_NONE', tile)
                        T.pipe_barrier('v')
                        apply(op, args, q, a, p, q, r, exact)
                        T.pipe_barrier('v')
                        T.tile.cast(y[s, :], q, 'CAST_RINT', tile)
                        T.set_flag('v', 'mte2', s + 1)
                    T.set_flag('v', 'mte3', s + 1)
                    T.pipe_barrier('v')

                    T.wait_flag('v', 'mte3', s + 1)
                    T.copy(y[s, :], Y[first:first + tile])
                    T.set_flag('mte3', 'v', s + 1)

                for s in T.serial(2):
                    T.wait_flag('v', 'mte2', s + 1)
                    T.wait_flag('mte3', 'v', s + 1)

    return main


@T.macro
def apply(op, args, d, x, p, q, r, exact):
    """d := op(x); p, q and r are scratch, but r holds ones for the sigmoid."""
    if op == 'sigmoid':
        sigmoid(d, x, p, r, exact)
    elif op == 'gelu_tanh':
        gelu_tanh(d, x, p, q, r, exact)
    elif op == 'gelu_erf':
        gelu_erf(d, x, p, q, r, args, exact)
    elif op == 'mish':
        mish(d, x, p, q, r)
    else:
        exp(d, x, p, args[0], args[1])


def _unary(row: Row, op: str, args: tuple = ()) -> Modelled | Skip:
    (shape,), (dtype,) = shapes(row)[:1], dtypes(row)[:1]
    if dtype not in FLOATS:
        return Skip(f'the dialect has no {dtype} arithmetic for {op}')
    n, cores, ub = math.prod(shape), row.chip.cube_cores, row.chip.memories['UB'].bytes
    tile = unary_tile(n, dtype, cores, ub)
    # On A5 a reciprocal takes as long as a division.
    exact = dtype != 'bfloat16' or row.arch == 'a5'
    return Modelled(lambda: unary(n, dtype, op, cores, tile, args, exact), f'flat tiles of {tile}, two slots each way', 'bound')


@models('cann_sigmoid')
def sigmoid_row(row: Row) -> Modelled | Skip:
    return _unary(row, 'sigmoid')


@models('cann_mish')
def mish_row(row: Row) -> Modelled | Skip:
    return _unary(row, 'mish')


@models('cann_gelu')
def gelu_row(row: Row) -> Modelled | Skip:
    if attributes(row).get('approximate') == 'tanh':
        return _unary(row, 'gelu_tanh')
    return _unary(row, 'gelu_erf', ERF4 if dtypes(row)[0] == 'float32' else ERF3)


@models('cann_exp')
def exp_row(row: Row) -> Modelled | Skip:
    """base ^ (scale x + shift); base -1 stands for e."""
    found = attributes(row)
    base = float(found.get('base', -1.0))
    by = 1.0 if base == -1.0 else math.log(base)
    return _unary(row, 'exp', (by * float(found.get('scale', 1.0)), by * float(found.get('shift', 0.0))))
