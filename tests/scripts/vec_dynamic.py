import tilelang
import tilelang.language as T
import torch

torch.npu.set_device(0)
pass_configs = {tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True}


@tilelang.jit(out_idx=[1], pass_configs=pass_configs)
def square(block):
    n = T.symbolic('n')

    @T.prim_func
    def main(A: T.Tensor((n,), 'float'), B: T.Tensor((n,), 'float'), factor: T.float32):
        with T.Kernel(T.ceildiv(n, block * 2), is_npu=True) as (cid, vid):
            a = T.alloc_ub((block,), 'float')
            with T.Scope('V'):
                start = (cid * 2 + vid) * block
                if start < n:
                    T.copy(A[start], a)
                    T.tile.mul(a, a, a)
                    T.tile.mul(a, a, factor)
                    T.copy(a, B[start])

    return main


kernel = square(128)
for n in (256, 700, 1000):
    x = torch.randn(n, device='npu:0')
    torch.testing.assert_close(kernel(x, 0.5), x * x * 0.5)
print('dynamic ok')
