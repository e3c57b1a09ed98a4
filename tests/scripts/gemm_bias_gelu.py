"""Cube and vector cores in one developer kernel; the halves of the tile are split by the compiler."""
import tilelang
import tilelang.language as T
import torch

torch.set_default_device('npu')
K_ = tilelang.PassConfigKey
CONFIGS = {K_.TL_ASCEND_AUTO_SYNC: True, K_.TL_ASCEND_MEMORY_PLANNING: True, K_.TL_ASCEND_AUTO_CV_COMBINE: True, K_.TL_ASCEND_AUTO_CV_SYNC: True,
           K_.TIR_MERGE_STATIC_SMEM: True}


@tilelang.jit(out_idx=[3], pass_configs=CONFIGS)
def linear_gelu(M, N, K, bM, bN, bK):
    n_num = N // bN

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), W: T.Tensor((K, N), 'float16'), Bias: T.Tensor((M, N), 'float'), Y: T.Tensor((M, N), 'float')):
        with T.Kernel((M // bM) * n_num, threads=2, is_npu=True) as (cid):
            bx = cid // n_num
            by = cid % n_num
            a = T.alloc_shared((bM, bK), 'float16')
            w = T.alloc_shared((bK, bN), 'float16')
            c = T.alloc_fragment((bM, bN), 'float')
            x = T.alloc_shared((bM, bN), 'float')
            bias = T.alloc_shared((bM, bN), 'float')
            s = T.alloc_shared((bM, bN), 'float')
            for k in T.serial(K // bK):
                T.copy(A[bx * bM, k * bK], a)
                T.copy(W[k * bK, by * bN], w)
                T.gemm_v0(a, w, c, init=(k == 0))
            T.copy(c, x)
            T.copy(Bias[bx * bM, by * bN], bias)
            T.tile.add(x, x, bias)
            T.tile.mul(s, x, -1.702)
            T.tile.exp(s, s)
            T.tile.add(s, s, 1.0)
            T.tile.div(x, x, s)
            T.copy(x, Y[bx * bM, by * bN])

    return main


M, N, K = 64, 64, 64
a, w, bias = torch.randn(M, K).half(), torch.randn(K, N).half(), torch.randn(M, N)
y = linear_gelu(M, N, K, 32, 32, 32)(a, w, bias)
z = a.float() @ w.float() + bias
torch.testing.assert_close(y, z * torch.sigmoid(1.702 * z), rtol=1e-3, atol=1e-3)
print('Kernel Output Match!')
