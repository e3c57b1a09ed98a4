"""Row lengths rounded up on the host; a dtype given as the dialect's own object; the reduce functions by their module."""
import tilelang
import tilelang.language as T
import tilelang.language.reduce_ascend as reduce_ascend
import torch


@tilelang.jit(out_idx=[-1], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def row_min(M, N, dtype=T.float16):
    width = tilelang.math.next_power_of_2(N)

    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor((M,), dtype)):
        with T.Kernel(tilelang.cdiv(M, 32), is_npu=True) as (cid, vid):
            a = T.alloc_ub((16, width), dtype)
            b = T.alloc_ub((16,), dtype)
            with T.Scope('V'):
                T.copy(A[cid * 32 + vid * 16, 0], a, pad_value=65504.0)
                reduce_ascend.reduce_min(a, b, dim=-1)
                T.copy(b, B[cid * 32 + vid * 16])

    return main


a = torch.randn(64, 100, dtype=torch.float16, device='npu')
torch.testing.assert_close(row_min(64, 100)(a), a.amin(-1))
print('pad ok')
