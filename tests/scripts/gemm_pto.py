import tilelang
import tilelang.language as T
import torch
from tilelang.utils.target import determine_platform

print('platform', determine_platform('auto'))


@tilelang.jit(out_idx=[-1], target='pto', pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def gemm(M, N, K, dtype='float16'):
    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(1, is_npu=True) as (cid, _):
            a = T.alloc_L1((M, K), dtype)
            b = T.alloc_L1((K, N), dtype)
            c = T.alloc_L0C((M, N), 'float')
            with T.Scope('C'):
                T.copy(A, a)
                T.copy(B, b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, C)

    return main


@tilelang.jit(out_idx=[-1], target='pto', pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def scale_rows(M, N):
    @T.prim_func
    def main(X: T.Tensor((M, N), 'float'), S: T.Tensor((M,), 'float'), Y: T.Tensor((M, N), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((M // 2, N), 'float')
            s = T.alloc_ub((M // 2,), 'float')
            with T.Scope('V'):
                T.copy(X[vid * (M // 2), 0], x)
                T.copy(S[vid * (M // 2)], s)
                T.barrier_all()
                T.tile.row_expand_mul(x, x, s)
                T.barrier_all()
                T.copy(x, Y[vid * (M // 2), 0])

    return main


a, b = torch.randn(64, 64).half().npu(), torch.randn(64, 64).half().npu()
torch.testing.assert_close(gemm(64, 64, 64)(a, b), a @ b, rtol=1e-2, atol=1e-2)
x, s = torch.randn(16, 64, device='npu'), torch.randn(16, device='npu')
torch.testing.assert_close(scale_rows(16, 64)(x, s), x * s[:, None])
print('pto ok')
