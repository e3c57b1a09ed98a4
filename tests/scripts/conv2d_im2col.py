import tilelang
import tilelang.language as T
import torch
import torch.nn.functional as F


@tilelang.jit(out_idx=[-1])
def conv_gemm(P, C, O, bP, dtype='float16'):
    @T.prim_func
    def main(Cols: T.Tensor((P, C), dtype), W: T.Tensor((O, C), dtype), Y: T.Tensor((P, O), dtype)):
        with T.Kernel(T.ceildiv(P, bP), is_npu=True) as (cid, _):
            cols = T.alloc_L1((bP, C), dtype)
            w = T.alloc_L1((O, C), dtype)
            y = T.alloc_L0C((bP, O), 'float')
            with T.Scope('C'):
                T.copy(Cols[cid * bP, 0], cols)
                T.copy(W, w)
                T.gemm_v0(cols, w, y, transpose_B=True, init=True)
                T.copy(y, Y[cid * bP, 0])

    return main


x = torch.randn(1, 16, 10, 10).half().npu()
weight = torch.randn(32, 16, 3, 3).half().npu()
cols = F.unfold(x, 3).transpose(1, 2)[0].contiguous()
y = conv_gemm(cols.shape[0], cols.shape[1], 32, 32)(cols, weight.reshape(32, -1))
ref = F.conv2d(x, weight)
torch.testing.assert_close(y.T.reshape(1, 32, 8, 8), ref, rtol=1e-2, atol=5e-2)
print('conv2d ok')
