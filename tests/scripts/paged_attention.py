"""One query a sequence; keys and values in pages found through a block table. Vector cores only."""
import tilelang
import tilelang.language as T
import torch

torch.set_default_device('npu')


@tilelang.jit(out_idx=[4], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def paged(B, D, page, pages, total):
    S = page * pages

    @T.prim_func
    def main(Q: T.Tensor((B, D), 'float'), Kc: T.Tensor((total, page, D), 'float'), Vc: T.Tensor((total, page, D), 'float'),
             Table: T.Tensor((B, pages), 'int32'), O: T.Tensor((B, D), 'float')):
        with T.Kernel(B // 2, is_npu=True) as (cid, vid):
            q = T.alloc_ub((1, D), 'float')
            wide = T.alloc_ub((page, D), 'float')
            k = T.alloc_ub((page, D), 'float')
            s = T.alloc_ub((S,), 'float')
            m = T.alloc_ub((8,), 'float')
            acc = T.alloc_ub((1, D), 'float')
            b = cid * 2 + vid
            with T.Scope('V'):
                T.copy(Q[b, 0], q)
                T.tile.broadcast(wide, q)
                T.tile.fill(m, 0.0)
                for p in T.serial(pages):
                    block = Table[b, p]
                    T.copy(Kc[block, 0, 0], k)
                    T.tile.mul(k, k, wide)
                    T.barrier_all()
                    T.reduce_sum(k, s[p * page:(p + 1) * page], dim=-1)
                    T.barrier_all()
                T.tile.mul(s, s, D ** -0.5)
                T.reduce_max(s, m[0:1], dim=-1)
                T.barrier_all()
                T.tile.sub(s, s, m[0])
                T.tile.exp(s, s)
                T.reduce_sum(s, m[0:1], dim=-1)
                T.barrier_all()
                T.tile.div(s, s, m[0])
                T.tile.fill(acc, 0.0)
                for p in T.serial(pages):
                    block = Table[b, p]
                    T.copy(Vc[block, 0, 0], k)
                    T.barrier_all()
                    for r in T.serial(page):
                        T.tile.axpy(acc[0, :], k[r, :], s[p * page + r])
                    T.barrier_all()
                T.copy(acc, O[b, 0])

    return main


B, D, page, pages, total = 4, 64, 8, 4, 32
q, kc, vc = torch.randn(B, D), torch.randn(total, page, D), torch.randn(total, page, D)
table = torch.randperm(total)[:B * pages].view(B, pages).int()
o = paged(B, D, page, pages, total)(q, kc, vc, table)
k, v = kc[table.long()].view(B, -1, D), vc[table.long()].view(B, -1, D)
ref = torch.einsum('bs,bsd->bd', (torch.einsum('bd,bsd->bs', q, k) * D ** -0.5).softmax(-1), v)
torch.testing.assert_close(o, ref, rtol=1e-3, atol=1e-3)
print('paged ok')
