"""What the device runtime lets pass: declared larger than passed, one tensor twice, `.value` of a ceildiv, int32 indices on the host."""
import tilelang
import tilelang.language as T
import torch

CFG = {tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True}
MAX_ROWS = 128


@tilelang.jit(pass_configs=CFG)
def scale_rows(N, rows, block):
    blocks = T.ceildiv(rows, block).value

    @T.prim_func
    def main(A: T.Tensor((MAX_ROWS, N), 'float'), B: T.Tensor((MAX_ROWS, N), 'float')):
        with T.Kernel(blocks, is_npu=True) as (cid, vid):
            a = T.alloc_ub((block // 2, N), 'float')
            with T.Scope('V'):
                T.copy(A[cid * block + vid * (block // 2), 0], a)
                T.tile.mul(a, a, 3.0)
                T.copy(a, B[cid * block + vid * (block // 2), 0])

    return main


rows, N = 32, 64
kernel = scale_rows(N, rows, 16)
a, b = torch.randn(rows, N).npu(), torch.zeros(rows, N).npu()
kernel(a, b)
torch.testing.assert_close(b, a * 3)
before = a.clone()
kernel(a, a)
torch.testing.assert_close(a, before * 3)
kernel(torch.randn(2, 16, N).npu(), b.view(-1))
one_hot = torch.nn.functional.one_hot(torch.tensor([0, 2, 1], dtype=torch.int32).npu(), 3)
assert one_hot.shape == (3, 3)
src, index = torch.randn(4, 8).npu(), torch.zeros(4, 2, dtype=torch.int32).npu()
torch.testing.assert_close(torch.gather(src, 1, index), src[:, :1].expand(4, 2))
src.scatter_(1, index, 0.0)
loss = torch.nn.functional.cross_entropy(torch.randn(4, 5).npu(), torch.tensor([0, 1, 2, 3], dtype=torch.int32).npu())
assert loss.item() > 0
half = torch.randn(32, 300).half().npu()
assert torch.equal(half @ half.T, (half.float() @ half.float().T).half())
print('quirks ok')
