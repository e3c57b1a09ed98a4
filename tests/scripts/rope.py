import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def rope(S, H, D, dtype='float'):
    half = D // 2

    @T.prim_func
    def main(X: T.Tensor((S, H, D), dtype), Cos: T.Tensor((S, half), dtype), Sin: T.Tensor((S, half), dtype), Y: T.Tensor((S, H, D), dtype)):
        with T.Kernel(S // 2, is_npu=True) as (cid, vid):
            lo = T.alloc_ub((H, half), dtype)
            hi = T.alloc_ub((H, half), dtype)
            c = T.alloc_ub((1, half), dtype)
            s = T.alloc_ub((1, half), dtype)
            cw = T.alloc_ub((H, half), dtype)
            sw = T.alloc_ub((H, half), dtype)
            t = T.alloc_ub((H, half), dtype)
            u = T.alloc_ub((H, half), dtype)
            pos = cid * 2 + vid
            with T.Scope('V'):
                T.copy(X[pos, 0, 0], lo)
                T.copy(X[pos, 0, half], hi)
                T.copy(Cos[pos, 0], c)
                T.copy(Sin[pos, 0], s)
                T.tile.broadcast(cw, c)
                T.tile.broadcast(sw, s)
                T.tile.mul(t, lo, cw)
                T.tile.mul(u, hi, sw)
                T.tile.sub(t, t, u)
                T.copy(t, Y[pos, 0, 0])
                T.tile.mul(t, hi, cw)
                T.tile.mul(u, lo, sw)
                T.tile.add(t, t, u)
                T.copy(t, Y[pos, 0, half])

    return main


S, H, D = 16, 4, 64
x = torch.randn(S, H, D).npu()
angle = torch.arange(S)[:, None] / 10000 ** (torch.arange(D // 2) / (D // 2))
cos, sin = angle.cos().npu(), angle.sin().npu()
y = rope(S, H, D)(x, cos, sin)
a, b = x.chunk(2, -1)
ref = torch.cat([a * cos[:, None] - b * sin[:, None], b * cos[:, None] + a * sin[:, None]], -1)
torch.testing.assert_close(y, ref, rtol=1e-4, atol=1e-4)
print('rope ok')
