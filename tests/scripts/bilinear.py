import warnings

import tilelang
import tilelang.language as T
import torch

warnings.simplefilter('ignore', DeprecationWarning)


@tilelang.jit(out_idx=[-1])
def interpolate(N):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float16'), O: T.Tensor((16,), 'uint32'), W: T.Tensor((16,), 'float16'), Y: T.Tensor((128,), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float16')
            o = T.alloc_ub((16,), 'uint32')
            w = T.alloc_ub((16,), 'float16')
            y = T.alloc_ub((128,), 'float16')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.copy(O, o)
                    T.copy(W, w)
                    T.barrier_all()
                    T.tile.bilinear_interpolation(y, x, o, w, 128, 2, False, 1, 128, 1)
                    T.barrier_all()
                    T.copy(y, Y)

    return main


x = torch.randn(256, dtype=torch.float16, device='npu')
low, high = torch.randperm(15)[:8].npu(), torch.randperm(15)[:8].npu() + 1
offsets = (torch.cat([low, high]) * 32).to(torch.int32).view(torch.uint32)
w = torch.zeros(16, dtype=torch.float16, device='npu')
w[0], w[1] = 0.25, 0.75
y = interpolate(256)(x, offsets, w)
rows = x.view(16, 16)
torch.testing.assert_close(y.view(8, 16), rows[low] * 0.25 + rows[high] * 0.75, rtol=1e-2, atol=1e-2)
print('bilinear ok')
