import tilelang
import tilelang.language as T
import torch
import torch.nn.functional as F

CFG = {tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True, tilelang.PassConfigKey.TL_ASCEND_MEMORY_PLANNING: True}


def unary(op):
    @tilelang.jit(out_idx=[-1], pass_configs=CFG)
    def factory(M, N, dtype='float'):
        @T.prim_func
        def main(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
            with T.Kernel(M // 16, is_npu=True) as (cid, vid):
                x = T.alloc_ub((8, N), dtype)
                y = T.alloc_ub((8, N), dtype)
                with T.Scope('V'):
                    T.copy(X[cid * 16 + vid * 8, 0], x)
                    op(y, x)
                    T.copy(y, Y[cid * 16 + vid * 8, 0])

        return main

    return factory


@T.macro
def leaky(dst, src):
    T.tile.leaky_relu(dst, src, 0.1)


@T.macro
def softplus(dst, src):
    T.tile.exp(dst, src)
    T.tile.add(dst, dst, 1.0)
    T.tile.ln(dst, dst)


cases = [
    ('sigmoid', T.tile.sigmoid, torch.sigmoid), ('silu', T.tile.silu, F.silu), ('relu', T.tile.relu, torch.relu), ('abs', T.tile.abs, torch.abs),
    ('exp', T.tile.exp, torch.exp), ('leaky_relu', leaky, lambda x: F.leaky_relu(x, 0.1)), ('softplus', softplus, F.softplus),
    ('reciprocal', T.tile.reciprocal, torch.reciprocal), ('sin', T.tile.sin, torch.sin), ('cos', T.tile.cos, torch.cos),
]
x = torch.randn(32, 64, device='npu')
for name, op, ref in cases:
    torch.testing.assert_close(unary(op)(32, 64)(x), ref(x), rtol=1e-3, atol=1e-3)
    print(name, 'passed')
for name, op, ref in [('sqrt', T.tile.sqrt, torch.sqrt), ('rsqrt', T.tile.rsqrt, torch.rsqrt), ('ln', T.tile.ln, torch.log)]:
    torch.testing.assert_close(unary(op)(32, 64)(x.abs() + 0.1), ref(x.abs() + 0.1), rtol=1e-3, atol=1e-3)
    print(name, 'passed')
