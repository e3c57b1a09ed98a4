"""Kernels whose printed Programs are kept in golden/."""

import tiletwin.language as T
from tiletwin.intrinsics import make_nz_layout


def gemm_expert():
    M, N, K, BM, BN, BK = 256, 256, 128, 128, 128, 64

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((K, N), 'float16'), C: T.Tensor((M, N), 'float16')):
        with T.Kernel((M // BM) * (N // BN), is_npu=True) as (cid, vid):
            bx, by = cid // (N // BN), cid % (N // BN)
            a = T.alloc_L1((2, BM, BK), 'float16')
            b = T.alloc_L1((2, BK, BN), 'float16')
            c = T.alloc_L0C((BM, BN), 'float32')
            T.annotate_layout({b: make_nz_layout(b)})
            T.annotate_address({a: 0})
            with T.Scope('C'):
                T.init_flag({'MTE1': {'MTE2': [0, 1]}})
                for k in T.serial(K // BK):
                    T.wait_flag('mte1', 'mte2', k % 2)
                    T.copy(A[bx * BM, k * BK], a[k % 2, :, :])
                    T.copy(B[k * BK, by * BN], b[k % 2, :, :])
                    T.gemm_v0(a[k % 2, :, :], b[k % 2, :, :], c, init=(k == 0))
                    T.set_flag('mte1', 'mte2', k % 2)
                T.clear_flag({'MTE1': {'MTE2': [0, 1]}})
                T.copy(c, C[bx * BM, by * BN], enable_relu=True)

    return main


def softmax_rows():
    M = T.symbolic('m')

    @T.prim_func
    def main(X: T.Tensor((M, 64), 'float32'), Y: T.Tensor((M, 64), 'float32'), scale: T.float32):
        with T.Kernel(T.ceildiv(M, 32), threads=2, is_npu=True) as cid:
            x = T.alloc_ub((32, 64), 'float32')
            m = T.alloc_ub((32, 1), 'float32')
            mask = T.alloc_ub((256,), 'uint8')
            T.copy(X[cid * 32, 0], x, pad_value=-T.infinity('float32'))
            T.tile.mul(x, x, scale)
            T.reduce_max(x, m, dim=-1)
            for i in range(32):
                T.tile.sub(x[i, :], x[i, :], m[i, 0])
            T.tile.exp(x, x)
            T.reduce_sum(x, m, dim=-1, real_shape=[32, 64])
            T.tile.compare(mask, x, 0.0, 'GT')
            T.tile.select(x, mask, x, 1.0, 'VSEL_TENSOR_SCALAR_MODE')
            T.copy(x, Y[cid * 32, 0])

    return main


def control_flow():
    @T.macro
    def bump(counter, by):
        twice = by * 2
        counter[0] = counter[0] + twice

    @T.prim_func
    def main(I: T.Tensor((64,), 'int32'), n: T.int32):
        with T.Kernel(4, threads=1, is_npu=True) as cid:
            u = T.alloc_ub((8, 64), 'float32')
            v = T.view(u, (1024,), 'float16')
            c = T.alloc_ub((8,), 'int32')
            k = T.alloc_var('int32', init=1)
            t = T.use_swizzle(cid, 256, 256, 64, 128, 128, off=2)
            T.tile.fill(v, 0.0)
            for i, j in T.Parallel(8, 64):
                u[i, j] = T.if_then_else(i > j, T.exp(u[i, j]), 0.0)
            while k < n:
                k += 1
                if k == 7 and n > 3 or I[k] % 2 == 1:
                    T.loop_break()
                elif not k > t:
                    bump(I, k)
                else:
                    T.printf('%d\n', k)
            for w in T.Pipelined(n // 4, num_stages=2, cross_interval=2):
                T.tile.atomic_add(I[w * 8], c)

    return main


def persistent():
    @T.prim_func
    def main(A: T.Tensor((8, 16, 64), 'float32')):
        with T.Kernel(4, is_npu=True) as (core, sub):
            tiles = [T.alloc_ub((64,), 'float32') for _ in range(2)]
            for i, j in T.Persistent([8, 16], 4, core):
                for tile in tiles:
                    T.copy(A[i, j, :], tile)
                    T.set_cross_flag('MTE2', 3, mode=1)
                T.wait_cross_flag(3)

    return main


KERNELS = {k.__name__: k for k in (gemm_expert, softmax_rows, control_flow, persistent)}
