import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def transpose(M, N, dtype='float16'):
    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor((N, M), dtype)):
        with T.Kernel((M // 16) * (N // 16) // 2, is_npu=True) as (cid, vid):
            a = T.alloc_ub((16, 16), dtype)
            b = T.alloc_ub((16, 16), dtype)
            tile = cid * 2 + vid
            with T.Scope('V'):
                T.copy(A[tile // (N // 16) * 16, tile % (N // 16) * 16], a)
                T.barrier_all()
                T.tile.transpose(b, a)
                T.barrier_all()
                T.copy(b, B[tile % (N // 16) * 16, tile // (N // 16) * 16])

    return main


a = torch.randn(32, 64).half().npu()
assert torch.equal(transpose(32, 64)(a), a.T.contiguous())
print('transpose ok')
