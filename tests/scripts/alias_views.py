"""The bits of a float tile as integers; two tiles at one address; reshape."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[1, 2])
def sign_bits(N):
    @T.prim_func
    def main(X: T.Tensor((N,), 'float'), S: T.Tensor((N,), 'int32'), H: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            x = T.alloc_ub((N,), 'float')
            bits = T.alloc_ub((N,), 'int32')
            out = T.alloc_ub((N,), 'int32')
            again = T.alloc_ub((N,), 'float')
            T.annotate_address({x: 0, bits: 4096, out: 8192, again: 8192})
            T.reinterpretcast(bits, x, 'int32_t')
            with T.Scope('V'):
                if vid == 0:
                    T.copy(X, x)
                    T.barrier_all()
                    T.tile.bitwise_rshift(out, bits, 31)
                    T.barrier_all()
                    T.copy(out, S)
                    T.barrier_all()
                    half = T.reinterpret('float32', T.int32(0x3F000000))
                    T.tile.mul(again, x, half)
                    T.barrier_all()
                    T.copy(again, H)

    return main


x = torch.randn(64, device='npu')
s, h = sign_bits(64)(x)
assert torch.equal(s, -(x < 0).int())
torch.testing.assert_close(h, x / 2)
print('views ok')
