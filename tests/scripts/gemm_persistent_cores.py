"""As many blocks as the chip has cube cores; every block walks its share of the tiles."""
import tilelang
import torch
import torch_npu  # noqa: F401
from tilelang import language as T

props = torch.npu.get_device_properties(0)
core_num = props.cube_core_num
assert props.vector_core_num == 2 * core_num
print('cores', core_num, torch.npu.get_device_name(0))


@tilelang.jit(out_idx=[2])
def matmul(M, N, K, tile, core_num):
    n_num = N // tile
    total = (M // tile) * n_num

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((K, N), 'float16'), C: T.Tensor((M, N), 'float16')):
        with T.Kernel(core_num, is_npu=True) as (cid, _):
            a = T.alloc_L1((tile, K), 'float16')
            b = T.alloc_L1((K, tile), 'float16')
            c = T.alloc_L0C((tile, tile), 'float')
            with T.Scope('C'):
                for i in T.serial(T.ceildiv(total, core_num)):
                    bid = i * core_num + cid
                    if bid < total:
                        bx = bid // n_num
                        by = bid % n_num
                        T.copy(A[bx * tile, 0], a)
                        T.copy(B[0, by * tile], b)
                        T.barrier_all()
                        T.gemm_v0(a, b, c, init=True)
                        T.barrier_all()
                        T.copy(c, C[bx * tile, by * tile])
                        T.barrier_all()

    return main


M, N, K = 192, 320, 64
func = matmul(M, N, K, 32, core_num)
a = torch.randn(M, K, dtype=torch.float16, device='npu')
b = torch.randn(K, N, dtype=torch.float16, device='npu')
torch.testing.assert_close(func(a, b), a @ b, rtol=1e-2, atol=1e-2)
print('pass')
