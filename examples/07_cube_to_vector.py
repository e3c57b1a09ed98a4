"""From the cube core to its vector cores: Z = |X @ Y| + 1, tile by tile through a workspace.

On A2 and A3 a product reaches the vector cores through GM only. The workspace has two slots, and two cross-core flags say what a slot
is: READY when the cube core has written it (pipe FIX), FREE when both vector cores have read it (pipe MTE2). Each vector core takes
half of the rows. Delete the four lines about FREE and the cube core runs ahead: the report names the slot that is overwritten.

    tiletwin check examples/07_cube_to_vector.py
    tiletwin trace examples/07_cube_to_vector.py -o trace.json
"""

import torch

import tiletwin
from tiletwin import language as T

BM, BN, K = 64, 128, 128
READY, FREE = 0, 1


@tiletwin.jit(out_idx=[2], workspace_idx=[3])
def abs_add1(M, N, cores=2):
    tiles = M // BM * (N // BN) // cores
    half = BM // 2

    @T.prim_func
    def main(
        X: T.Tensor((M, K), 'float16'),
        Y: T.Tensor((K, N), 'float16'),
        Z: T.Tensor((M, N), 'float32'),
        workspace: T.Tensor((cores, 2, BM, BN), 'float32'),
    ):
        with T.Kernel(cores, is_npu=True) as (cid, vid):
            x = T.alloc_L1((BM, K), 'float16')
            y = T.alloc_L1((K, BN), 'float16')
            product = T.alloc_L0C((BM, BN), 'float')
            z = T.alloc_ub((half, BN), 'float')
            with T.Scope('C'):
                for t in T.serial(tiles):
                    tile = t * cores + cid
                    T.copy(X[tile // (N // BN) * BM, 0], x)
                    T.copy(Y[0, tile % (N // BN) * BN], y)
                    T.gemm_v0(x, y, product, init=True)  # waits for the loads itself
                    if t >= 2:
                        T.wait_cross_flag(FREE)
                    T.copy(product, workspace[cid, t % 2, 0, 0])
                    T.set_cross_flag('FIX', READY)

            with T.Scope('V'):
                T.set_flag('mte3', 'mte2', 0)
                for t in T.serial(tiles):
                    tile = t * cores + cid
                    T.wait_cross_flag(READY)
                    T.wait_flag('mte3', 'mte2', 0)
                    T.copy(workspace[cid, t % 2, vid * half, 0], z)
                    if t + 2 < tiles:
                        T.set_cross_flag('MTE2', FREE)
                    T.set_flag('mte2', 'v', 0)

                    T.wait_flag('mte2', 'v', 0)
                    T.tile.abs(z, z)
                    T.pipe_barrier('v')
                    T.tile.add(z, z, 1.0)
                    T.set_flag('v', 'mte3', 0)

                    T.wait_flag('v', 'mte3', 0)
                    T.copy(z, Z[tile // (N // BN) * BM + vid * half, tile % (N // BN) * BN])
                    T.set_flag('mte3', 'mte2', 0)
                T.wait_flag('mte3', 'mte2', 0)

    return main


if __name__ == '__main__':
    x, y = torch.randn(256, K).half(), torch.randn(K, 512).half()
    launches = []
    with tiletwin.observe(launches.append):
        z = abs_add1(256, 512)(x, y)
    torch.testing.assert_close(z, (x.float() @ y.float()).abs() + 1, rtol=1e-3, atol=1e-3)
    (launch,) = launches
    print(f'|X @ Y| + 1 is right; verdict {launch.verdict.level}, {launch.microseconds:.1f} us modelled')
    for (core, pipe), busy in sorted(launch.timeline.busy.items()):
        print(f'  {core:5}{pipe:5}{100 * busy / launch.timeline.cycles:5.1f} % busy')
