import tilelang
import tilelang.language as T
import torch

DT = 'bfloat16'


@tilelang.jit(out_idx=[-1], pass_configs={'tl.ascend_auto_sync': True})
def permute(tokens, D, per):
    @T.prim_func
    def main(X: T.Tensor((tokens, D), DT), Src: T.Tensor((tokens,), 'int32'), Y: T.Tensor((tokens, D), DT)):
        with T.Kernel(tokens // per, is_npu=True) as (cid, vid):
            row = T.alloc_ub((1, D), DT)
            with T.Scope('V'):
                for i in T.serial(per // 2):
                    at = cid * per + vid * (per // 2) + i
                    src = Src[at]
                    T.copy(X[src, 0], row)
                    T.copy(row, Y[at, 0])

    return main


tokens, D, experts = 32, 64, 4
x = torch.randn(tokens, D, dtype=torch.bfloat16, device='npu')
expert = torch.randint(0, experts, (tokens,), device='npu')
order = torch.argsort(expert, stable=True).to(torch.int32)
y = permute(tokens, D, 8)(x, order)
assert torch.equal(y, torch.index_select(x, 0, order))
print('permute ok')
