"""Latency by events, by do_bench and by the profiler agree on the simulated clock."""
import tilelang
import tilelang.language as T
import torch
import torch_npu  # noqa: F401
from tilelang.profiler import do_bench


@tilelang.jit(out_idx=[-1])
def copy(M, N):
    @T.prim_func
    def main(A: T.Tensor((M, N), 'float16'), B: T.Tensor((M, N), 'float16')):
        with T.Kernel(M // 16, is_npu=True) as (cid, vid):
            a = T.alloc_ub((8, N), 'float16')
            with T.Scope('V'):
                T.copy(A[cid * 16 + vid * 8, 0], a)
                T.barrier_all()
                T.copy(a, B[cid * 16 + vid * 8, 0])

    return main


kernel = copy(64, 128)
a = torch.randn(64, 128, device='npu').half()
latency = do_bench(lambda: kernel(a), warmup=10, rep=20)
assert latency == kernel.get_profiler().do_bench()
start, end = torch.npu.Event(enable_timing=True), torch.npu.Event(enable_timing=True)
stream = torch.npu.current_stream()
start.record(stream)
for _ in range(10):
    kernel(a)
end.record(stream)
torch.npu.synchronize()
assert abs(start.elapsed_time(end) / 10 - latency) < 1e-9
with torch.npu.stream(torch.npu.Stream()):
    out = kernel(a)
torch.npu.empty_cache()
profiler = kernel.get_profiler(tilelang.TensorSupplyType.Randn)
profiler.assert_allclose(lambda x: x)
bandwidth = 2 * a.numel() * a.element_size() / latency * 1e-6
print(f'latency {latency} ms, bandwidth {bandwidth} GB/s')
