import tilelang
import tilelang.language as T
import torch

torch.set_default_device('npu')


@tilelang.jit(out_idx=[-1], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True, tilelang.PassConfigKey.TL_ASCEND_MEMORY_PLANNING: True})
def swiglu(M, N, dtype='float16'):
    half = N // 2

    @T.prim_func
    def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, half), dtype)):
        with T.Kernel(M // 2, is_npu=True) as (cid, vid):
            row = cid * 2 + vid
            gate = T.alloc_ub((1, half), dtype)
            up = T.alloc_ub((1, half), dtype)
            g32 = T.alloc_ub((1, half), 'float')
            u32 = T.alloc_ub((1, half), 'float')
            s32 = T.alloc_ub((1, half), 'float')
            with T.Scope('V'):
                T.copy(X[row, 0], gate)
                T.copy(X[row, half], up)
                T.copy(gate, g32)
                T.copy(up, u32)
                T.tile.silu(s32, g32)
                T.tile.mul(s32, s32, u32)
                T.copy(s32, gate)
                T.copy(gate, Y[row, 0])

    return main


x = torch.randn(16, 256).half()
g, u = x.float().chunk(2, dim=-1)
torch.testing.assert_close(swiglu(16, 256)(x), (torch.nn.functional.silu(g) * u).half(), rtol=1e-3, atol=1e-3)
print('swiglu ok')
