import tilelang
import tilelang.language as T
import torch
from tilelang.autotuner import AutoTuner
from tilelang.carver import MatmulTemplate
from tilelang.carver.arch.ascend import Ascend

M = N = K = 128
template = MatmulTemplate(M=M, N=N, K=K, in_dtype='float16', out_dtype='float16', accum_dtype='float').with_arch(Ascend())
hints = template.recommend_hints(topk=3)
configs = [{'block_M': h.block[0], 'block_N': h.block[1], 'block_K': h.rstep[0]} for h in hints]


def kernel(block_M=None, block_N=None, block_K=None):
    n_num = T.ceildiv(N, block_N)

    @T.prim_func
    def main(A: T.Tensor((M, K), 'float16'), B: T.Tensor((K, N), 'float16'), C: T.Tensor((M, N), 'float16')):
        with T.Kernel(T.ceildiv(M, block_M) * n_num, is_npu=True) as (cid, _):
            a = T.alloc_L1((block_M, block_K), 'float16')
            b = T.alloc_L1((block_K, block_N), 'float16')
            c = T.alloc_L0C((block_M, block_N), 'float')
            with T.Scope('C'):
                for k in T.serial(T.ceildiv(K, block_K)):
                    T.copy(A[(cid // n_num) * block_M, k * block_K], a)
                    T.copy(B[k * block_K, (cid % n_num) * block_N], b)
                    T.gemm_v0(a, b, c, init=(k == 0))
                T.copy(c, C[(cid // n_num) * block_M, (cid % n_num) * block_N])

    return main


tuner = AutoTuner.from_kernel(kernel, configs).set_compile_args(out_idx=[-1], target='auto').set_profile_args(
    supply_type=tilelang.TensorSupplyType.Integer, ref_prog=lambda A, B: A @ B, skip_check=False)
result = tuner.run(warmup=3, rep=20)
print(result.config, result.latency)
a, b = torch.randn(M, K).half().npu(), torch.randn(K, N).half().npu()
torch.testing.assert_close(result.kernel(a, b), a @ b, rtol=1e-2, atol=1e-2)
