"""Rows of a table by index; the index is read by the scalar unit."""
import tilelang
import tilelang.language as T
import torch
import torch.nn.functional as F


@tilelang.jit(out_idx=[-1], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def embedding(V, D, tokens, per_core):
    @T.prim_func
    def main(Table: T.Tensor((V, D), 'float16'), Ids: T.Tensor((tokens,), 'int32'), Out: T.Tensor((tokens, D), 'float16')):
        with T.Kernel(tokens // (2 * per_core), is_npu=True) as (cid, vid):
            ids = T.alloc_ub((per_core,), 'int32')
            rows = T.alloc_ub((per_core, D), 'float16')
            base = (cid * 2 + vid) * per_core
            with T.Scope('V'):
                T.copy(Ids[base], ids)
                T.barrier_all()
                for i in T.serial(per_core):
                    T.copy(Table[ids[i], 0], rows[i, :])
                T.barrier_all()
                T.copy(rows, Out[base, 0])

    return main


table = torch.randn(100, 64).half().npu()
ids = torch.randint(0, 100, (32,), dtype=torch.int32).npu()
out = embedding(100, 64, 32, 8)(table, ids)
torch.testing.assert_close(out, F.embedding(ids, table))
print('embedding ok')
