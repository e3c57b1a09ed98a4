import tilelang
import tilelang.language as T
import torch


@tilelang.jit(pass_configs={'tl.ascend_auto_sync': True})
def splitk(M, N, K, parts):
    step = K // parts

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((K, N), 'float16'), C: T.Tensor((M, N), 'float')):
        with T.Kernel(parts, is_npu=True) as (cid, _):
            a = T.alloc_L1((M, step), 'float16')
            b = T.alloc_L1((step, N), 'float16')
            c = T.alloc_L0C((M, N), 'float')
            with T.Scope('C'):
                T.copy(A[0, cid * step], a)
                T.copy(B[cid * step, 0], b)
                T.gemm_v0(a, b, c, init=True)
                T.tile.atomic_add(C[0:M, 0:N], c)

    return main


M, N, K = 64, 64, 256
a, b = torch.randn(M, K).half().npu(), torch.randn(K, N).half().npu()
c = torch.zeros(M, N, device='npu')
splitk(M, N, K, 4)(a, b, c)
torch.testing.assert_close(c, a.float() @ b.float(), rtol=1e-3, atol=1e-3)
print('atomic ok')
