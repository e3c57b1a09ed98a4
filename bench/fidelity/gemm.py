"""Reference matrix products with the schedules of the published rows: C[M, N] = A[M, K] @ B[K, N].

Panels of K wait in L1 for MTE1, operands double-buffered in L0A and L0B. The accumulator has one buffer where it fills L0C. Tiles of C belong
to the cores in one of two ways: the cores form a grid and each walks a rectangle row by row, there and
back, or the tiles go round the cores in the
order of a block swizzle.
"""

from dataclasses import dataclass

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

from .elementwise import gelu_tanh


GELU_ROWS = 16  # of a tile in UB at a time


@dataclass(frozen=True)
class Schedule:
    """A tiling. The panels of A and of B have `slots` places in L1; with one, MTE2 waits until MTE1 has read what it loaded."""

    block: tuple[int, int, int] = (128, 256, 64)  # M, N, K of one product
    steps_a: int = 4  # steps of K in a panel of A
    steps_b: int = 4
    slots: int = 2
    slots_b: int = 2  # of B: up to 3
    grid: tuple[int, int] = (4, 6)  # cores along M and N; (0, n): tiles go round n cores
    swizzle: int = 1  # rows of tiles in one snake of the round
    along_n: bool = False  # snakes of columns instead
    accumulators: int = 1

    @property
    def text(self) -> str:
        """For a schedule of ours."""
        return f'ours: {"x".join(map(str, self.block))} products, panels of {self.steps_a} steps'


def gemm(M, N, K, plan=Schedule(), in_dtype='float16', out_dtype='float32', acc_dtype='float', gelu=False):
    """The compiled kernel for one shape: `kernel(A, B) -> C`. With `gelu` the vector cores follow the cube core: they read each finished
    float16 tile of C back from GM and put its Gelu in its place."""
    bm, bn, bk = plan.block
    k_steps = -(-K // bk)
    steps_a, steps_b = min(plan.steps_a, k_steps), min(plan.steps_b, k_steps)
    if max(steps_a, steps_b) % min(steps_a, steps_b):
        raise ValueError(f'panels of {steps_a} and {steps_b} steps do not end together')
    if gelu and (M % bm or N % plan.block[1] or bm % (2 * GELU_ROWS) or out_dtype != 'float16'):
        raise ValueError('Gelu follows whole tiles of float16')
    return _gemm(M, N, K, bm, bn, bk, steps_a, steps_b, plan.slots, plan.slots_b, *plan.grid, plan.swizzle, plan.along_n, plan.accumulators, in_dtype,
                 out_dtype, acc_dtype, gelu)


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def _gemm(M, N, K, bm, bn, bk, steps_a, steps_b, slots, slots_b, grid_m, grid_n, swizzle, along_n, accumulators, in_dtype, out_dtype, acc_dtype,
          gelu):
    m_tiles = -(-M // bm)
    n_tiles = -(-N // bn)
    k_steps = -(-K // bk)
    cores = grid_m * grid_n or min(grid_n, m_tiles * n_tiles)
    m_share = -(-m_tiles // max(grid_m, 1))
    n_share = -(-n_tiles // grid_n)
    # The snakes run across `long` tiles, `swizzle` of the other side at a time.
    wide, long = (n_tiles, m_tiles) if along_n else (m_tiles, n_tiles)
    panels_a = -(-k_steps // steps_a)
    panels_b = -(-k_steps // steps_b)
    wide_a = steps_a * bk
    wide_b = steps_b * bk

    @T.prim_func
    def main(
        A: T.Tensor((M, K), in_dtype),
        B: T.Tensor((K, N), in_dtype),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            # A load into a whole L1 buffer zeroes what the tensor does not cover; a load into a slot of one would not.
            a_ping = T.alloc_L1((bm, wide_a), in_dtype)
            a_pong = T.alloc_L1((bm, wide_a) if slots == 2 else (16, 16), in_dtype)
            b_ping = T.alloc_L1((wide_b, bn), in_dtype)
            b_pong = T.alloc_L1((wide_b, bn) if slots_b > 1 else (16, 16), in_dtype)
            b_third = T.alloc_L1((wide_b, bn) if slots_b > 2 else (16, 16), in_dtype)
            a_l0 = T.alloc_L0A((2, bm, bk), in_dtype)
            b_l0 = T.alloc_L0B((2, bk, bn), in_dtype)
            c_l0 = T.alloc_L0C((accumulators, bm, bn), acc_dtype)
            m_first = cid // grid_n * m_share
            n_first = cid % grid_n * n_share
            n_count = T.max(T.min(n_share, n_tiles - n_first), 0)
            grid_tiles = T.max(T.min(m_share, m_tiles - m_first), 0) * n_count
            tiles = grid_tiles if grid_m else (m_tiles * n_tiles - cid + cores - 1) // cores
            with T.Scope('C'):
                for e in T.serial(2):
                    T.set_flag('m', 'mte1', e)
                for e in T.serial(slots):
                    T.set_flag('mte1', 'mte2', e)
                for e in T.serial(slots_b):
                    T.set_flag('mte1', 'mte2', 2 + e)
                for e in T.serial(accumulators):
                    T.set_flag('fix', 'm', e)

                for t in T.serial(tiles):
                    order = t * cores + cid
                    snake = order // (swizzle * long)
                    deep = T.min(swizzle, wide - snake * swizzle)
                    place = order % (swizzle * long)
                    across = snake * swizzle + place % deep
                    ahead = place // deep
                    turned = T.if_then_else(snake % 2 == 1, long - 1 - ahead, ahead)
                    back = T.if_then_else(t // n_count % 2 == 1, n_count - 1 - t % n_count, t % n_count)
                    m = m_first + t // n_count if grid_m else turned if along_n else across
                    n = n_first + back if grid_m else across if along_n else turned
                    row = m * bm
                    col = n * bn
                    T.wait_flag('fix', 'm', t % accumulators)
                    for k in T.serial(k_steps):
                        u = (t * panels_a + k // steps_a) % slots
                        v = (t * panels_b + k // steps_b) % slots_b
                        half = (t * k_steps + k) % 2
                        if k % steps_a == 0:
                            T.wait_flag('mte1', 'mte2', u)
                            if u == 0:
                                T.copy(A[row, k * bk], a_ping)
                            else:
                                T.copy(A[row, k * bk], a_pong)
                            T.set_flag('mte2', 'mte1', u)
                            T.wait_flag('mte2', 'mte1', u)
                        if k % steps_b == 0:
                            T.wait_flag('mte1', 'mte2', 2 + v)
                            if v == 0:
                                T.copy(B[k * bk, col], b_ping)
                            if slots_b > 1:
                                if v == 1:
                                    T.copy(B[k * bk, col], b_pong)
                            if slots_b > 2:
                                if v == 2:
                                    T.copy(B[k * bk, col], b_third)
                            T.set_flag('mte2', 'mte1', 2 + v)
                            T.wait_flag('mte2', 'mte1', 2 + v)
                        ka = k % steps_a * bk
                        kb = k % steps_b * bk
                        T.wait_flag('m', 'mte1', half)
                        if u == 0:
                            T.copy(a_ping[:, ka:ka + bk], a_l0[half, :, :])
                        else:
                            T.copy(a_pong[:, ka:ka + bk], a_l0[half, :, :])
                        if v == 0:
                            T.copy(b_ping[kb:kb + bk, :], b_l0[half, :, :])
                        if slots_b > 1:
                            if v == 1:
                                T.copy(b_pong[kb:kb + bk, :], b_l0[half, :, :])
                        if slots_b > 2:
                            if v == 2:
                                T.copy(b_third[kb:kb + bk, :], b_l0[half, :, :])
                        if T.Or(k % steps_a == steps_a - 1, k == k_steps - 1):
                            T.set_flag('mte1', 'mte2', u)
                        if T.Or(k % steps_b == steps_b - 1, k == k_steps - 1):
                            T.set_flag('mte1', 'mte2', 2 + v)
                        T.set_flag('mte1', 'm', half)
                        T.wait_flag('mte1', 'm', half)
                        T.mma(a_l0[half, :, :], b_l0[half, :, :], c_l0[t % accumulators, :, :], init=(k == 0))
                        T.set_flag('m', 'mte1', half)
                    T.set_flag('m', 'fix', t % accumulators)
                    T.wait_flag('m', 'fix', t % accumulators)
                    T.copy(c_l0[t % accumulators, :, :], C[row, col])
                    if gelu:
                        T.set_cross_flag('FIX', 0)
                    T.set_flag('fix', 'm', t % accumulators)

                for e in T.serial(2):
                    T.wait_flag('m', 'mte1', e)
                for e in T.serial(slots):
                    T.wait_flag('mte1', 'mte2', e)
                for e in T.serial(slots_b):
                    T.wait_flag('mte1', 'mte2', 2 + e)
                for e in T.serial(accumulators):
                    T.wait_flag('fix', 'm', e)

            if gelu:
                c_ub = T.alloc_ub((GELU_ROWS, bn), out_dtype)
                x = T.alloc_ub((GELU_ROWS, bn), 'float')
                p = T.alloc_ub((GELU_ROWS, bn), 'float')
                q = T.alloc_ub((GELU_ROWS, bn), 'float')
                r = T.alloc_ub((GELU_ROWS, bn), 'float')
                with T.Scope('V'):
                    T.set_flag('mte3', 'mte2', 0)
                    for t in T.serial(tiles):
                        back_v = T.if_then_else(t // n_count % 2 == 1, n_count - 1 - t % n_count, t % n_count)
                        T.wait_cross_flag(0, 'mte2')
                        for i in T.serial(bm // 2 // GELU_ROWS):
                            row_v = (m_first + t // n_count) * bm + vid * (bm // 2) + i * GELU_ROWS
                            col_v = (n_first + back_v) * bn
                            T.wait_flag('mte3', 'mte2', 0)
                            T.copy(C[row_v, col_v], c_ub)
                            T.set_flag('mte2', 'v', 0)
                            T.wait_flag('mte2', 'v', 0)
                            T.tile.cast(x, c_ub, 'CAST_NONE', GELU_ROWS * bn)
                            T.pipe_barrier('v')
                            gelu_tanh(q, x, p, q, r, True)
                            T.pipe_barrier('v')
                            T.tile.cast(c_ub, q, 'CAST_RINT', GELU_ROWS * bn)
                            T.set_flag('v', 'mte3', 0)
                            T.pipe_barrier('v')
                            T.wait_flag('v', 'mte3', 0)
                            T.copy(c_ub, C[row_v, col_v])
                            T.set_flag('mte3', 'mte2', 0)
                    T.wait_flag('mte3', 'mte2', 0)

    return main
