import tilelang
import tilelang.language as T
import torch

tilelang.cache.clear_cache()


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True, 'tl.ascend_memory_planning': True})
def matmul(M, N, K, block_M, block_N, block_K, core_num):
    m_num = M // block_M
    n_num = N // block_N

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((N, K), 'float16'), C: T.Tensor((M, N), 'float')):
        with T.Kernel(core_num, is_npu=True) as (cid, _):
            A_L1 = T.alloc_L1((block_M, block_K), 'float16')
            B_L1 = T.alloc_L1((block_N, block_K), 'float16')
            C_L0 = T.alloc_L0C((block_M, block_N), 'float')
            with T.Scope('C'):
                for bx, by in T.Persistent([m_num, n_num], core_num, cid):
                    for k in T.serial(T.ceildiv(K, block_K)):
                        T.copy(A[bx * block_M, k * block_K], A_L1)
                        T.copy(B[by * block_N, k * block_K], B_L1)
                        T.gemm_v0(A_L1, B_L1, C_L0, transpose_B=True, init=(k == 0))
                    T.copy(C_L0, C[bx * block_M, by * block_N])

    return main


cores = 4
func = matmul(256, 256, 128, 64, 64, 64, cores)
a, b = torch.randn(256, 128).half().npu(), torch.randn(256, 128).half().npu()
c = func(a, b)
torch.testing.assert_close(c, a.float() @ b.float().T, rtol=1e-3, atol=1e-3)
print('Kernel Output Match!')
