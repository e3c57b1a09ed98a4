import tilelang
import tilelang.language as T
import torch

tilelang.disable_cache()
torch.set_default_device('npu')
torch.manual_seed(42)

pass_configs = {
    tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True,
    tilelang.PassConfigKey.TL_ASCEND_MEMORY_PLANNING: True,
    tilelang.PassConfigKey.TL_ASCEND_AUTO_CV_COMBINE: True,
    tilelang.PassConfigKey.TL_ASCEND_AUTO_CV_SYNC: True,
}


@tilelang.jit(out_idx=[2], pass_configs=pass_configs)
def gemm(M, N, K, block_M, block_N, block_K, dtype='float16', accum_dtype='float'):
    n_num = T.ceildiv(N, block_N)
    m_num = T.ceildiv(M, block_M)

    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(m_num * n_num, is_npu=True) as (cid, _):
            bx = cid // n_num
            by = cid % n_num
            A_L1 = T.alloc_shared((block_M, block_K), dtype)
            B_L1 = T.alloc_shared((block_K, block_N), dtype)
            C_L0 = T.alloc_fragment((block_M, block_N), accum_dtype)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                T.copy(A[bx * block_M, k * block_K], A_L1)
                T.copy(B[k * block_K, by * block_N], B_L1)
                T.gemm_v0(A_L1, B_L1, C_L0, init=(k == 0))
            T.copy(C_L0, C[bx * block_M, by * block_N])

    return main


def run_case(M, N, K):
    kernel = gemm(M, N, K, 64, 128, 64)
    a = torch.randn(M, K, dtype=torch.float16)
    b = torch.randn(K, N, dtype=torch.float16)
    torch.npu.synchronize()
    c = kernel(a, b)
    torch.npu.synchronize()
    torch.testing.assert_close(c.cpu(), (a @ b).cpu(), rtol=1e-2, atol=1e-2)


if __name__ == '__main__':
    for shape in [(128, 256, 192), (64, 128, 256)]:
        run_case(*shape)
    print('\033[92mAll check passed!\033[0m')
