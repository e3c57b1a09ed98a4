import tilelang
import torch
from tilelang import DataType, language as T
from tilelang.intrinsics import make_zn_layout


def matmul(M, N, K, block_M, block_N, block_K, K_L1, S1, S2, dtype='float16', accum_dtype='float'):
    m_num = M // block_M
    n_num = N // block_N
    assert DataType(dtype).bits == 16

    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(m_num * n_num, is_npu=True) as (cid, _):
            cid = T.use_swizzle(cid, M, N, K, block_M, block_N, off=3)
            bx = cid // n_num
            by = cid % n_num
            A_L1 = T.alloc_L1((S1, block_M, K_L1), dtype)
            B_L1 = T.alloc_L1((S1, K_L1, block_N), dtype)
            T.annotate_layout({A_L1: make_zn_layout(A_L1), B_L1: make_zn_layout(B_L1)})
            A_L0 = T.alloc_L0A((S2, block_M, block_K), dtype)
            B_L0 = T.alloc_L0B((S2, block_K, block_N), dtype)
            C_L0 = T.alloc_L0C((block_M, block_N), accum_dtype)

            with T.Scope('C'):
                for s in range(S1):
                    T.set_flag('mte1', 'mte2', s)
                for s in range(S2):
                    T.set_flag('m', 'mte1', s)
                loop_k = T.ceildiv(K, K_L1)
                loop_kk = T.ceildiv(K_L1, block_K)
                for k in T.serial(loop_k):
                    T.wait_flag('mte1', 'mte2', k % S1)
                    T.copy(A[bx * block_M, k * K_L1], A_L1[k % S1, :, :])
                    T.copy(B[k * K_L1, by * block_N], B_L1[k % S1, :, :])
                    T.set_flag('mte2', 'mte1', k % S1)
                    T.wait_flag('mte2', 'mte1', k % S1)
                    for kk in T.serial(loop_kk):
                        T.wait_flag('m', 'mte1', kk % S2)
                        T.copy(A_L1[k % S1, 0, kk * block_K], A_L0[kk % S2, :, :])
                        T.copy(B_L1[k % S1, kk * block_K, 0], B_L0[kk % S2, :, :])
                        T.set_flag('mte1', 'm', kk % S2)
                        T.wait_flag('mte1', 'm', kk % S2)
                        T.mma(A_L0[kk % S2, :, :], B_L0[kk % S2, :, :], C_L0, init=T.And(k == 0, kk == 0))
                        T.set_flag('m', 'mte1', kk % S2)
                    T.set_flag('mte1', 'mte2', k % S1)
                for s in range(S1):
                    T.wait_flag('mte1', 'mte2', s)
                for s in range(S2):
                    T.wait_flag('m', 'mte1', s)
                T.set_flag('m', 'fix', 0)
                T.wait_flag('m', 'fix', 0)
                T.copy(C_L0, C[bx * block_M, by * block_N])

    return main


func = tilelang.compile(matmul(256, 256, 256, 64, 128, 64, 128, 2, 2), out_idx=[-1], target='ascendc')
torch.manual_seed(0)
a = torch.randn(256, 256).half().npu()
b = torch.randn(256, 256).half().npu()
c = func(a, b)
torch.testing.assert_close(c, a @ b, rtol=1e-2, atol=1e-2)
print('Kernel Output Match!')
