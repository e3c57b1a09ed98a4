"""Names as scripts use them: macros with buffers, cid rebound, loop variables used again, regions with a name."""
import tilelang
import tilelang.language as T
import torch

CFG = {'tl.ascend_auto_sync': True}


@T.macro
def add_scaled(dst, src, factor, rows):
    for i in T.serial(rows):
        T.tile.axpy(dst[i, :], src[i, :], factor)


@T.macro
def load(src, dst, row):
    T.copy(src[row, 0], dst)


@tilelang.jit(out_idx=[-1], pass_configs=CFG)
def kernel(M, N):
    @T.prim_func
    def main(A: T.Tensor((M, N), 'float'), B: T.Tensor((M, N), 'float'), C: T.Tensor((M, N), 'float')):
        with T.Kernel(M // 16, is_npu=True) as (cid, vid):
            cid = cid * 2 + vid
            a = T.alloc_ub((8, N), 'float')
            b = T.alloc_ub((8, N), 'float')
            with T.Scope('V'):
                for i in range(1):
                    load(A, a, cid * 8)
                    load(B, b, cid * 8)
                    for i in range(2):
                        add_scaled(a, b, 0.5, 8)
                    for i, j in T.Parallel(8, N):
                        a[i, j] = a[i, j] * 2.0
                    target = C[cid * 8:cid * 8 + 8, 0:N]
                    T.copy(a, target)

    return main


a, b = torch.randn(32, 64).npu(), torch.randn(32, 64).npu()
torch.testing.assert_close(kernel(32, 64)(a, b), 2 * (a + b))
print('scopes ok')
