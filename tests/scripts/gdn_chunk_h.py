"""Gated delta rule, the state update of a chunk: S = exp(g) * S + K^T V. Loop variables are reused in inner loops."""
import tilelang
import tilelang.language as T
import torch

CFG = {tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True, tilelang.PassConfigKey.TL_ASCEND_MEMORY_PLANNING: True,
       tilelang.PassConfigKey.TL_ASCEND_AUTO_CV_COMBINE: True, tilelang.PassConfigKey.TL_ASCEND_AUTO_CV_SYNC: True}


@tilelang.jit(out_idx=[3], pass_configs=CFG)
def chunk_h(C, D):
    @T.prim_func
    def main(K: T.Tensor((C, D), 'float16'), V: T.Tensor((C, D), 'float16'), S: T.Tensor((D, D), 'float'), Out: T.Tensor((D, D), 'float')):
        with T.Kernel(1, threads=2, is_npu=True) as (cid):
            k = T.alloc_shared((C, D), 'float16')
            v = T.alloc_shared((C, D), 'float16')
            kv = T.alloc_fragment((D, D), 'float')
            s = T.alloc_shared((D, D), 'float')
            new = T.alloc_shared((D, D), 'float')
            T.copy(K, k)
            T.copy(V, v)
            T.gemm_v0(k, v, kv, transpose_A=True, init=True)
            T.copy(kv, new)
            T.copy(S, s)
            for i, j in T.Parallel(D, D):
                s[i, j] = s[i, j] * 0.9
            for i, j in T.Parallel(D, D):
                s[i, j] = s[i, j] + new[i, j]
            T.copy(s, Out)

    return main


k, v, s = torch.randn(32, 32).half().npu(), torch.randn(32, 32).half().npu(), torch.randn(32, 32).npu()
torch.testing.assert_close(chunk_h(32, 32)(k, v, s), 0.9 * s + k.float().T @ v.float(), rtol=1e-3, atol=1e-3)
print('chunk_h ok')
