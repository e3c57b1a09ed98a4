"""Row operations in mainline's Ascend dialect.

A row belongs to one warp of 32 threads: a reduction over more warps than one row has reads another row's result in the shipped template.
"""

from typing import Any

import tilelang.ascend.language as T

WARP = 32


@T.macro
def in_registers(x, rows, width, N):
    # A copy brings N values of a row; what lies behind them in the tile is not written.
    e = T.alloc_fragment((rows, width), 'float32')
    top = T.alloc_fragment((rows,), 'float32')
    total = T.alloc_fragment((rows,), 'float32')
    for i, j in T.Parallel(rows, width):
        e[i, j] = T.if_then_else(j < N, T.cast(x[i, j], 'float32'), T.min_value('float32'))
    T.reduce_max(e, top, dim=1)
    for i, j in T.Parallel(rows, width):
        e[i, j] = T.exp(e[i, j] - top[i])
    T.reduce_sum(e, total, dim=1)
    for i, j in T.Parallel(rows, width):
        x[i, j] = T.cast(e[i, j] / total[i], x.dtype)


def softmax(M: int, N: int, dtype: str, rows: int, manual: bool) -> Any:
    """Whole rows in registers: N fits one tile."""
    # A thread holds whole pairs of a row.
    width = -(-N // (2 * WARP)) * 2 * WARP

    @T.prim_func
    def automatic(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(-(-M // rows)) as block:
            x = T.alloc_shared((rows, width), dtype)
            T.copy(X[block * rows:(block + 1) * rows, 0:width], x)
            with T.SimtVF(threads=WARP):
                in_registers(x, rows, width, N)
            T.copy(x, Y[block * rows:(block + 1) * rows, 0:width])

    @T.prim_func
    def by_hand(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(-(-M // rows)) as block:
            x = T.alloc_shared((rows, width), dtype)
            T.copy(X[block * rows:(block + 1) * rows, 0:width], x)
            T.ascend_set_flag('MTE2_V', 0)
            T.ascend_wait_flag('MTE2_V', 0)
            with T.SimtVF(threads=WARP):
                in_registers(x, rows, width, N)
            T.ascend_set_flag('V_MTE3', 0)
            T.ascend_wait_flag('V_MTE3', 0)
            T.copy(x, Y[block * rows:(block + 1) * rows, 0:width])

    return by_hand if manual else automatic
