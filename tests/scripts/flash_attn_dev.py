import tilelang
import tilelang.language as T
import torch

torch.set_default_device('npu')
CFG = {tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True, tilelang.PassConfigKey.TL_ASCEND_MEMORY_PLANNING: True,
       tilelang.PassConfigKey.TL_ASCEND_AUTO_CV_COMBINE: True, tilelang.PassConfigKey.TL_ASCEND_AUTO_CV_SYNC: True}


@tilelang.jit(out_idx=[3], pass_configs=CFG)
def attention(S, D, bM):
    scale = (1.0 / D) ** 0.5

    @T.prim_func
    def main(Q: T.Tensor((S, D), 'float16'), K: T.Tensor((S, D), 'float16'), V: T.Tensor((S, D), 'float16'), O: T.Tensor((S, D), 'float16')):
        with T.Kernel(S // bM, threads=2, is_npu=True) as cid:
            q = T.alloc_shared((bM, D), 'float16')
            k = T.alloc_shared((S, D), 'float16')
            v = T.alloc_shared((S, D), 'float16')
            s = T.alloc_fragment((bM, S), 'float')
            o = T.alloc_fragment((bM, D), 'float')
            x = T.alloc_shared((bM, S), 'float')
            m = T.alloc_shared((bM,), 'float')
            p = T.alloc_shared((bM, S), 'float16')
            p_l1 = T.alloc_shared((bM, S), 'float16')
            out = T.alloc_shared((bM, D), 'float')
            out16 = T.alloc_shared((bM, D), 'float16')
            T.copy(Q[cid * bM, 0], q)
            T.copy(K, k)
            T.gemm_v0(q, k, s, transpose_B=True, init=True)
            T.copy(s, x)
            T.tile.mul(x, x, scale)
            T.reduce_max(x, m, dim=-1)
            for i in range(bM):
                T.tile.sub(x[i, :], x[i, :], m[i])
            T.tile.exp(x, x)
            T.reduce_sum(x, m, dim=-1)
            for i in range(bM):
                T.tile.div(x[i, :], x[i, :], m[i])
            T.copy(x, p)
            T.copy(p, p_l1)
            T.copy(V, v)
            T.gemm_v0(p_l1, v, o, init=True)
            T.copy(o, out)
            T.copy(out, out16)
            T.copy(out16, O[cid * bM, 0])

    return main


def ref(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q.float()[None], k.float()[None], v.float()[None])[0].half()


q, k, v = (torch.randn(64, 32, dtype=torch.float16) for _ in range(3))
torch.testing.assert_close(attention(64, 32, 32)(q, k, v), ref(q, k, v), rtol=1e-2, atol=1e-2)
print('attention ok')
