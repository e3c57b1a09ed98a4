"""Selected keys gathered row by row into UB, then through a workspace to the cube core."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[3], workspace_idx=[4])
def sparse_scores(H, D, S, topk):
    half = topk // 2

    @T.prim_func
    def main(Q: T.Tensor((S, H, D), 'float16'), KV: T.Tensor((S, D), 'float16'), Idx: T.Tensor((S, topk), 'int32'), P: T.Tensor((S, H, topk), 'float'),
             W: T.Tensor((S, topk, D), 'float16')):
        with T.Kernel(S, is_npu=True) as (cid, vid):
            q = T.alloc_L1((H, D), 'float16')
            k = T.alloc_L1((topk, D), 'float16')
            s = T.alloc_L0C((H, topk), 'float')
            idx = T.alloc_ub((topk,), 'int32')
            rows = T.alloc_ub((half, D), 'float16')
            with T.Scope('V'):
                T.copy(Idx[cid, 0], idx)
                T.set_flag('mte2', 's', 0)
                T.wait_flag('mte2', 's', 0)
                for i in range(half):
                    T.copy(KV[idx[vid * half + i], 0], rows[i, :])
                T.set_flag('mte2', 'mte3', 0)
                T.wait_flag('mte2', 'mte3', 0)
                T.copy(rows, W[cid, vid * half, 0])
                T.set_cross_flag('mte3', 1)
            with T.Scope('C'):
                T.copy(Q[cid, 0, 0], q)
                T.wait_cross_flag(1)
                T.copy(W[cid, 0, 0], k)
                T.barrier_all()
                T.gemm_v0(q, k, s, transpose_B=True, init=True)
                T.barrier_all()
                T.copy(s, P[cid, 0, 0])

    return main


S, H, D, topk = 4, 16, 32, 16
q, kv = torch.randn(S, H, D).half().npu(), torch.randn(S, D).half().npu()
idx = torch.randint(0, S, (S, topk), dtype=torch.int32).npu()
p = sparse_scores(H, D, S, topk)(q, kv, idx)
ref = torch.einsum('shd,std->sht', q.float(), kv.float()[idx.long()])
torch.testing.assert_close(p, ref, rtol=1e-3, atol=1e-3)
print('sparse ok')
