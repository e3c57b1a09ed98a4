import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=-1)
def bmm(B, M, N, K, dtype='float16'):
    @T.prim_func
    def main(X: T.Tensor((B, M, K), dtype), Y: T.Tensor([B, K, N], dtype), Z: T.Tensor((B, M, N), dtype)):
        with T.Kernel(B, is_npu=True) as (cid, _):
            x = T.alloc_L1((M, K), dtype)
            y = T.alloc_L1((K, N), dtype)
            z = T.alloc_L0C((M, N), 'float')
            with T.Scope('C'):
                T.copy(X[cid, 0, 0], x)
                T.copy(Y[cid, :, :], y)
                T.gemm_v0(x, y, z, init=True)
                T.copy(z, Z[cid, :, :])

    return main


x, y = torch.randn(3, 32, 64).half().npu(), torch.randn(3, 64, 48).half().npu()
torch.testing.assert_close(bmm(3, 32, 48, 64)(x, y), torch.bmm(x, y), rtol=1e-2, atol=1e-2)
print('Batch gemm test passed!')
