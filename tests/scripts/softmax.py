import tilelang
import tilelang.language as T
import torch

torch.manual_seed(0)


@tilelang.jit(out_idx=[-1])
def softmax(M, N, block_M, dtype='float'):
    sub = block_M // 2

    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(M // block_M, is_npu=True) as (cid, vid):
            a = T.alloc_ub((sub, N), dtype)
            mx = T.alloc_ub((sub, 1), dtype)
            full = T.alloc_ub((sub, N), dtype)
            with T.Scope('V'):
                T.copy(A[cid * block_M + vid * sub, 0], a)
                T.barrier_all()
                T.reduce_max(a, mx, dim=-1)
                T.barrier_all()
                T.tile.broadcast(full, mx)
                T.barrier_all()
                T.tile.sub(a, a, full)
                T.barrier_all()
                T.tile.exp(a, a)
                T.barrier_all()
                T.reduce_sum(a, mx, dim=-1)
                T.barrier_all()
                T.tile.broadcast(full, mx)
                T.barrier_all()
                T.tile.div(a, a, full)
                T.barrier_all()
                T.copy(a, B[cid * block_M + vid * sub, 0])

    return main


a = torch.randn(64, 128).npu()
torch.testing.assert_close(softmax(64, 128, 16)(a), torch.softmax(a, dim=-1), rtol=1e-4, atol=1e-4)
print('softmax ok')
