import itertools

import tilelang
import tilelang.language as T
import torch


def get_configs(args, kwargs):
    return [dict(block_M=m, block_N=n) for m, n in itertools.product([32, 64], [32, 64])]


def ref_prog(A, B):
    return A @ B


def supply_prog(params):
    torch.manual_seed(0)
    return [torch.randn(64, 64).half().npu(), torch.randn(64, 64).half().npu()]


@tilelang.autotune(configs=get_configs, ref_prog=ref_prog, supply_prog=supply_prog, atol=1e-2, rtol=1e-2)
@tilelang.jit(out_idx=[-1])
def matmul(M, N, K, block_M=64, block_N=64):
    n_num = N // block_N

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((K, N), 'float16'), C: T.Tensor((M, N), 'float16')):
        with T.Kernel((M // block_M) * n_num, is_npu=True) as (cid, _):
            a = T.alloc_L1((block_M, K), 'float16')
            b = T.alloc_L1((K, block_N), 'float16')
            c = T.alloc_L0C((block_M, block_N), 'float')
            with T.Scope('C'):
                T.copy(A[(cid // n_num) * block_M, 0], a)
                T.copy(B[0, (cid % n_num) * block_N], b)
                T.gemm_v0(a, b, c, init=True)
                T.copy(c, C[(cid // n_num) * block_M, (cid % n_num) * block_N])

    return main


kernel = matmul(64, 64, 64)
print('best config', kernel.config, 'latency', kernel.latency, 'ref', kernel.ref_latency)
assert kernel.latency > 0 and set(kernel.config) == {'block_M', 'block_N'}
a, b = supply_prog(None)
torch.testing.assert_close(kernel(a, b), a @ b, rtol=1e-2, atol=1e-2)
fixed = matmul(64, 64, 64, block_M=32, block_N=32)
torch.testing.assert_close(fixed(a, b), kernel(a, b))
