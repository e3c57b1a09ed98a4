import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[2, 3, 4, 5], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def bits(N, dtype='int16'):
    @T.prim_func
    def main(A: T.Tensor((N,), dtype), B: T.Tensor((N,), dtype), And: T.Tensor((N,), dtype), Or: T.Tensor((N,), dtype), Xor: T.Tensor((N,), dtype),
             Not: T.Tensor((N,), dtype)):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N // 2,), dtype)
            b = T.alloc_ub((N // 2,), dtype)
            c = T.alloc_ub((N // 2,), dtype)
            d = T.alloc_ub((N // 2,), dtype)
            e = T.alloc_ub((N // 2,), dtype)
            f = T.alloc_ub((N // 2,), dtype)
            at = vid * (N // 2)
            with T.Scope('V'):
                T.copy(A[at], a)
                T.copy(B[at], b)
                T.tile.bitwise_and(c, a, b)
                T.tile.bitwise_or(d, a, b)
                T.tile.bitwise_xor(e, a, b)
                T.tile.bitwise_not(f, a)
                T.copy(c, And[at])
                T.copy(d, Or[at])
                T.copy(e, Xor[at])
                T.copy(f, Not[at])

    return main


@tilelang.jit(out_idx=[1, 2], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def shifts(N, dtype='int32'):
    @T.prim_func
    def main(A: T.Tensor((N,), dtype), L: T.Tensor((N,), dtype), R: T.Tensor((N,), dtype)):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N // 2,), dtype)
            l = T.alloc_ub((N // 2,), dtype)
            r = T.alloc_ub((N // 2,), dtype)
            with T.Scope('V'):
                T.copy(A[vid * (N // 2)], a)
                T.tile.bitwise_lshift(l, a, 3)
                T.tile.bitwise_rshift(r, a, 2)
                T.copy(l, L[vid * (N // 2)])
                T.copy(r, R[vid * (N // 2)])

    return main


a = torch.randint(-1000, 1000, (256,), dtype=torch.int16, device='npu')
b = torch.randint(-1000, 1000, (256,), dtype=torch.int16, device='npu')
for got, want in zip(bits(256)(a, b), (a & b, a | b, a ^ b, ~a)):
    assert torch.equal(got, want)
x = torch.randint(-1000, 1000, (128,), dtype=torch.int32, device='npu')
left, right = shifts(128)(x)
assert torch.equal(left, x << 3) and torch.equal(right, x >> 2)
print('bits ok')
