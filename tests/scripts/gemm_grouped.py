"""Groups of rows of different length share one launch; offsets come from the host as int32."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def grouped(total, K, N, groups, tile):
    tiles = total // tile

    @T.prim_func
    def main(X: T.Tensor((total, K), 'float16'), W: T.Tensor((groups, K, N), 'float16'), Group: T.Tensor((tiles,), 'int32'),
             Y: T.Tensor((total, N), 'float16')):
        with T.Kernel(tiles, is_npu=True) as (cid, _):
            x = T.alloc_L1((tile, K), 'float16')
            w = T.alloc_L1((K, N), 'float16')
            y = T.alloc_L0C((tile, N), 'float')
            with T.Scope('C'):
                g = Group[cid]
                T.copy(X[cid * tile, 0], x)
                T.copy(W[g, 0, 0], w)
                T.gemm_v0(x, w, y, init=True)
                T.copy(y, Y[cid * tile, 0])

    return main


sizes, tile, K, N = [32, 64, 16], 16, 64, 32
total = sum(sizes)
owner = torch.repeat_interleave(torch.arange(len(sizes), dtype=torch.int32), torch.tensor([s // tile for s in sizes])).npu()
x, w = torch.randn(total, K).half().npu(), torch.randn(len(sizes), K, N).half().npu()
y = grouped(total, K, N, len(sizes), tile)(x, w, owner)
start = 0
for g, size in enumerate(sizes):
    torch.testing.assert_close(y[start:start + size], x[start:start + size] @ w[g], rtol=1e-2, atol=1e-2)
    start += size
print('grouped gemm ok')
