"""int8 weights times a scale, then a float16 product; both kinds of core, by hand."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[3], workspace_idx=[4])
def w8_gemm(M, N, K):
    half = N // 2

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), W: T.Tensor((N, K), 'int8'), S: T.Tensor((1,), 'float16'), C: T.Tensor((M, N), 'float16'),
             Ws: T.Tensor((1, N, K), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            w = T.alloc_ub((half, K), 'int8')
            wh = T.alloc_ub((half, K), 'float16')
            a1 = T.alloc_L1((M, K), 'float16')
            w1 = T.alloc_L1((N, K), 'float16')
            c = T.alloc_L0C((M, N), 'float')
            with T.Scope('V'):
                T.copy(W[vid * half, 0], w)
                T.barrier_all()
                T.tile.cast(wh, w, 'CAST_NONE', half * K)
                T.barrier_all()
                scale = S[0]
                T.tile.mul(wh, wh, scale)
                T.barrier_all()
                T.copy(wh, Ws[cid, vid * half, 0])
                T.set_cross_flag('MTE3', 0)
            with T.Scope('C'):
                T.copy(A, a1)
                T.wait_cross_flag(0)
                T.copy(Ws[cid, 0, 0], w1)
                T.barrier_all()
                T.gemm_v0(a1, w1, c, transpose_B=True, init=True)
                T.barrier_all()
                T.copy(c, C)

    return main


a = torch.randn(32, 64).half().npu()
w = torch.randint(-10, 10, (32, 64), dtype=torch.int8).npu()
s = torch.tensor([0.125], dtype=torch.float16).npu()
torch.testing.assert_close(w8_gemm(32, 32, 64)(a, w, s), a @ (w.half() * s).T, rtol=1e-2, atol=1e-2)
print('dequant gemm ok')
