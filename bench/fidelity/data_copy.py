"""Reference loads with the schedules of the data_copy rows: every core reads its tiles of X[M, N] one after the other and keeps nothing.

A ring of buffers fills the memory. Half of it is loaded while the other half lands, and flags give a half free for its next round; nothing
else stands between two loads.
"""

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T

UB_BYTES = 196352
L1_BYTES = 524032


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def to_ub(M, N, rows, cols, blocks=24, slices=1, times=1, dtype='float16'):
    """GM -> UB on 2 x `blocks` vector cores: `slices` strips of N, each read `times` times over. Returns the last tile of every core."""
    es = 4 if dtype == 'float32' else 2
    half = max(1, min(512, UB_BYTES // (2 * rows * cols * es)))
    halves = 2 if 2 * half * rows * cols * es <= UB_BYTES else 1
    ring = half * halves
    across = -(-N // cols) // slices
    tiles = -(-M // rows) * across
    cores = 2 * blocks
    mine = -(-tiles // cores)

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), LAST: T.Tensor((cores * rows, cols), dtype)):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            tile = T.alloc_ub((ring * rows, cols), dtype)
            with T.Scope('V'):
                core = cid * 2 + vid
                count = T.max(T.min(mine, tiles - core * mine), 0)
                for e in T.serial(halves):
                    T.set_flag('v', 'mte2', e)
                for q in T.serial(slices * times):
                    for i in T.serial(count):
                        n = q * count + i
                        at = n % ring
                        row = (core * mine + i) // across * rows
                        col = (q // times * across + (core * mine + i) % across) * cols
                        if n % half == 0:
                            T.wait_flag('v', 'mte2', n // half % halves)
                        T.copy(X[row, col], tile[at * rows:(at + 1) * rows, :])
                        if T.Or(n % half == half - 1, n == slices * times * count - 1):
                            T.set_flag('mte2', 'v', n // half % halves)
                            T.wait_flag('mte2', 'v', n // half % halves)
                            T.set_flag('v', 'mte2', n // half % halves)
                for e in T.serial(halves):
                    T.wait_flag('v', 'mte2', e)
                if count > 0:
                    T.set_flag('mte2', 'mte3', 0)
                    T.wait_flag('mte2', 'mte3', 0)
                    final = (slices * times * count - 1) % ring
                    T.copy(tile[final * rows:(final + 1) * rows, :], LAST[core * rows, 0])

    return main


@tiletwin.jit(pass_configs=EXPERT)
def to_l1(M, N, rows, cols, blocks=24, slices=1, times=1, dtype='float16'):
    """GM -> L1 as zN tiles (nd2nz) on `blocks` cube cores. L1 has no way back to GM: the loads are all there is."""
    es = 4 if dtype == 'float32' else 2
    half = max(1, min(32, L1_BYTES // (2 * rows * cols * es)))
    halves = 2 if 2 * half * rows * cols * es <= L1_BYTES else 1
    ring = half * halves
    across = -(-N // cols) // slices
    tiles = -(-M // rows) * across
    mine = -(-tiles // blocks)

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype)):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            tile = T.alloc_L1((ring, rows, cols), dtype)
            with T.Scope('C'):
                count = T.max(T.min(mine, tiles - cid * mine), 0)
                for e in T.serial(halves):
                    T.set_flag('mte1', 'mte2', e)
                for q in T.serial(slices * times):
                    for i in T.serial(count):
                        n = q * count + i
                        at = n % ring
                        row = (cid * mine + i) // across * rows
                        col = (q // times * across + (cid * mine + i) % across) * cols
                        if n % half == 0:
                            T.wait_flag('mte1', 'mte2', n // half % halves)
                        T.copy(X[row, col], tile[at, :, :])
                        if T.Or(n % half == half - 1, n == slices * times * count - 1):
                            T.set_flag('mte2', 'mte1', n // half % halves)
                            T.wait_flag('mte2', 'mte1', n // half % halves)
                            T.set_flag('mte1', 'mte2', n // half % halves)
                for e in T.serial(halves):
                    T.wait_flag('mte1', 'mte2', e)

    return main


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def shared_to_ub(M, N, rows, blocks=24, rotated=False, dtype='float16'):
    """Every vector core reads all of X[M, N] in tiles of whole rows: all in one order, or each beginning somewhere else."""
    tiles = M // rows
    cores = 2 * blocks

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), LAST: T.Tensor((cores * rows, N), dtype)):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            tile = T.alloc_ub((rows, N), dtype)
            with T.Scope('V'):
                core = cid * 2 + vid
                for i in T.serial(tiles):
                    if i > 0:
                        T.pipe_barrier('mte2')
                    if rotated:
                        T.copy(X[(i + core * tiles // cores) % tiles * rows, 0], tile)
                    else:
                        T.copy(X[i * rows, 0], tile)
                T.set_flag('mte2', 'mte3', 0)
                T.wait_flag('mte2', 'mte3', 0)
                T.copy(tile, LAST[core * rows, 0])

    return main


@tiletwin.jit(pass_configs=EXPERT)
def shared_to_l1(M, N, rows, blocks=24, dtype='float16'):
    """Every cube core reads all of X[M, N] in tiles of whole rows, all in one order."""
    @T.prim_func
    def main(X: T.Tensor((M, N), dtype)):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            tile = T.alloc_L1((rows, N), dtype)
            with T.Scope('C'):
                for i in T.serial(M // rows):
                    if i > 0:
                        T.pipe_barrier('mte2')
                    T.copy(X[i * rows, 0], tile)

    return main
