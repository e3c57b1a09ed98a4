import tilelang
import tilelang.language as T
import torch
import warnings

warnings.simplefilter('ignore', DeprecationWarning)


@tilelang.jit(out_idx=[2, 3])
def counted(N, n):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), B: T.Tensor((N,), 'float'), Y: T.Tensor((N,), 'float'), S: T.Tensor((24,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            b = T.alloc_ub((N,), 'float')
            y = T.alloc_ub((N,), 'float')
            s = T.alloc_ub((8,), 'float')
            t = T.alloc_ub((8,), 'float')
            u = T.alloc_ub((8,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(A, a)
                    T.copy(B, b)
                    T.tile.fill(y, 0.0)
                    T.tile.fill(s, 0.0)
                    T.tile.fill(t, 0.0)
                    T.tile.fill(u, 0.0)
                    T.barrier_all()
                    T.tile.sub_experiment(y, a, b, n)
                    T.barrier_all()
                    T.tile.abs_experiment(y, y, n)
                    T.barrier_all()
                    T.tile.mins_experiment(y, y, 1.0, n)
                    T.barrier_all()
                    T.tile.reduce_sum_experiment(s, a, n)
                    T.tile.reduce_sum_mask_experiment(t, a, 64, N // 64, 8)
                    T.tile.sum_experiment(u, a, [N // 64, 64, 10])
                    T.barrier_all()
                    T.copy(y, Y)
                    T.copy(s, S[0])
                    T.copy(t, S[8])
                    T.copy(u, S[16])

    return main


@tilelang.jit(out_idx=[2, 3, 4])
def expand(R):
    @T.prim_func
    def main(A: T.Tensor((R, 64), 'float'), V: T.Tensor((R,), 'float'), Mul: T.Tensor((R, 64), 'float'), Sub: T.Tensor((R, 64), 'float'),
             Div: T.Tensor((R, 64), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((R, 64), 'float')
            v = T.alloc_ub((R,), 'float')
            m = T.alloc_ub((R, 64), 'float')
            s = T.alloc_ub((R, 64), 'float')
            d = T.alloc_ub((R, 64), 'float')
            tmp = T.alloc_ub((R * 8,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(A, a)
                    T.copy(V, v)
                    T.barrier_all()
                    T.tile.row_expand_mul_experiment(m, a, v, tmp)
                    T.barrier_all()
                    T.tile.row_expand_sub_experiment(s, a, v, tmp)
                    T.barrier_all()
                    T.tile.row_expand_div_experiment(d, a, v, tmp)
                    T.barrier_all()
                    T.copy(m, Mul)
                    T.copy(s, Sub)
                    T.copy(d, Div)

    return main


@tilelang.jit(out_idx=[2, 3])
def blocks(n):
    @T.prim_func
    def main(X: T.Tensor((n,), 'float'), P: T.Tensor((64,), 'uint8'), Y: T.Tensor((n * 8,), 'float'), Z: T.Tensor((128,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((n,), 'float')
            y = T.alloc_ub((n * 8,), 'float')
            p = T.alloc_ub((64,), 'uint8')
            z = T.alloc_ub((128,), 'float')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.copy(P, p)
                    T.tile.fill(z, 0.0)
                    T.barrier_all()
                    T.tile.brcb_experiment(y, x, n // 8, 1, 8)
                    T.barrier_all()
                    T.tile.gathermask_experiment(z, y, p, 'false', 0, [1, 2, 8, 1], 0)
                    T.barrier_all()
                    T.copy(y, Y)
                    T.copy(z, Z)

    return main


a, b = torch.randn(256, device='npu'), torch.randn(256, device='npu')
y, s = counted(256, 100)(a, b)
torch.testing.assert_close(y[:100], (a - b).abs().clamp(max=1.0)[:100])
torch.testing.assert_close(s[0], a[:100].sum(), rtol=1e-4, atol=1e-4)
torch.testing.assert_close(s[8], a.sum(), rtol=1e-4, atol=1e-4)
torch.testing.assert_close(s[16:20], a.view(4, 64)[:, :10].sum(1), rtol=1e-4, atol=1e-4)
x, v = torch.randn(8, 64, device='npu'), torch.rand(8, device='npu') + 0.5
for got, want in zip(expand(8)(x, v), (x * v[:, None], x - v[:, None], x / v[:, None])):
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
x = torch.randn(16, device='npu')
pattern = torch.zeros(64, dtype=torch.uint8, device='npu')
pattern[0:8] = 0b01010101
pattern[32:40] = 0b00001111
y, z = blocks(16)(x, pattern)
torch.testing.assert_close(y, x.repeat_interleave(8))
print('experiments ok')
