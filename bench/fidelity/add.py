"""Reference vector additions with the schedules of the Add rows: Z = X + Y over one long run, dealt out over the vector cores in tiles.

Buffers lie one behind the other in UB, so the tile size decides whether the sources of the addition meet in one bank group: tiles of 4096 and
16384 halves do, 16256 halves do not (hardware 2.3).
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def add_one_core(total, tile, dtype='float16'):
    """One vector core, one buffer per operand: the store of a tile runs under the loads of the next."""
    @T.prim_func
    def main(X: T.Tensor((total,), dtype), Y: T.Tensor((total,), dtype), Z: T.Tensor((total,), dtype)):
        with T.Kernel(1, threads=1, is_npu=True) as cid:
            x = T.alloc_ub((tile,), dtype)
            y = T.alloc_ub((tile,), dtype)
            z = T.alloc_ub((tile,), dtype)
            with T.Scope('V'):
                T.set_flag('v', 'mte2', 0)
                T.set_flag('mte3', 'v', 0)
                for i in T.serial(total // tile):
                    T.wait_flag('v', 'mte2', 0)
                    T.copy(X[cid + i * tile], x)
                    T.copy(Y[cid + i * tile], y)
                    T.set_flag('mte2', 'v', 0)
                    T.wait_flag('mte2', 'v', 0)
                    T.wait_flag('mte3', 'v', 0)
                    T.tile.add(z, x, y)
                    T.set_flag('v', 'mte2', 0)
                    T.set_flag('v', 'mte3', 0)
                    T.wait_flag('v', 'mte3', 0)
                    T.copy(z, Z[cid + i * tile])
                    T.set_flag('mte3', 'v', 0)
                T.wait_flag('v', 'mte2', 0)
                T.wait_flag('mte3', 'v', 0)

    return main


@tiletwin.jit(out_idx=[2], pass_configs=EXPERT)
def add(total, tile, slots=1, blocks=24, dtype='float16'):
    """`slots` sets of buffers x, y, z on 2 x `blocks` vector cores. With one set nothing overlaps: the next load waits for the store."""
    cores = 2 * blocks
    tiles = -(-total // tile)
    mine = -(-tiles // cores)

    @T.prim_func
    def main(X: T.Tensor((total,), dtype), Y: T.Tensor((total,), dtype), Z: T.Tensor((total,), dtype)):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            xyz = T.alloc_ub((3 * slots, tile), dtype)
            with T.Scope('V'):
                first = (cid * 2 + vid) * mine
                for e in T.serial(slots):
                    T.set_flag('mte3', 'mte2', e)
                for i in T.serial(T.max(T.min(mine, tiles - first), 0)):
                    u = i % slots
                    start = (first + i) * tile
                    T.wait_flag('mte3', 'mte2', u)
                    T.copy(X[start], xyz[3 * u, :])
                    T.copy(Y[start], xyz[3 * u + 1, :])
                    T.set_flag('mte2', 'v', u)
                    T.wait_flag('mte2', 'v', u)
                    T.tile.add(xyz[3 * u + 2, :], xyz[3 * u, :], xyz[3 * u + 1, :])
                    T.set_flag('v', 'mte3', u)
                    T.wait_flag('v', 'mte3', u)
                    T.copy(xyz[3 * u + 2, :], Z[start])
                    T.set_flag('mte3', 'mte2', u)
                for e in T.serial(slots):
                    T.wait_flag('mte3', 'mte2', e)

    return main


@tiletwin.jit(out_idx=[0], pass_configs=EXPERT)
def add_again(count, times, x_at, y_at, z_at, dtype='float32'):
    """One addition `times` times over, its operands at these addresses of UB: the banks decide how long it takes. Returns 1 + 2."""
    @T.prim_func
    def main(Z: T.Tensor((count,), dtype)):
        with T.Kernel(1, threads=1, is_npu=True) as cid:
            x = T.alloc_ub((count,), dtype)
            y = T.alloc_ub((count,), dtype)
            z = T.alloc_ub((count,), dtype)
            T.annotate_address({x: x_at, y: y_at, z: z_at})
            with T.Scope('V'):
                T.tile.fill(x, 1.0)
                T.tile.fill(y, 2.0)
                for _ in T.serial(times):
                    T.pipe_barrier('v')
                    T.tile.add(z, x, y)
                T.set_flag('v', 'mte3', 0)
                T.wait_flag('v', 'mte3', 0)
                T.copy(z, Z[cid])

    return main
