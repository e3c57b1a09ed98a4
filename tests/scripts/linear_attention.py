"""One chunk at a time: the state is carried by the host between launches, cube only."""
import tilelang
import tilelang.language as T
import torch


@tilelang.jit(out_idx=[-1])
def kv_state(C, D):
    @T.prim_func
    def main(K: T.Tensor((C, D), 'float16'), V: T.Tensor((C, D), 'float16'), S: T.Tensor((D, D), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            k = T.alloc_L1((C, D), 'float16')
            v = T.alloc_L1((C, D), 'float16')
            s = T.alloc_L0C((D, D), 'float')
            with T.Scope('C'):
                T.copy(K, k)
                T.copy(V, v)
                T.gemm_v0(k, v, s, transpose_A=True, init=True)
                T.copy(s, S)

    return main


@tilelang.jit(out_idx=[-1])
def q_state(C, D):
    @T.prim_func
    def main(Q: T.Tensor((C, D), 'float16'), S: T.Tensor((D, D), 'float16'), O: T.Tensor((C, D), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            q = T.alloc_L1((C, D), 'float16')
            s = T.alloc_L1((D, D), 'float16')
            o = T.alloc_L0C((C, D), 'float')
            with T.Scope('C'):
                T.copy(Q, q)
                T.copy(S, s)
                T.gemm_v0(q, s, o, init=True)
                T.copy(o, O)

    return main


L, C, D = 64, 16, 32
q, k, v = (torch.randn(L, D).mul(0.3).half().npu() for _ in range(3))
state = torch.zeros(D, D, device='npu')
out = torch.empty(L, D, device='npu')
make, use = kv_state(C, D), q_state(C, D)
for start in range(0, L, C):
    part = slice(start, start + C)
    inner = torch.tril(q[part].float() @ k[part].float().T) @ v[part].float()
    out[part] = use(q[part], state.half()) + inner
    state += make(k[part], v[part])
ref = torch.tril(q.float() @ k.float().T) @ v.float()
torch.testing.assert_close(out, ref, rtol=1e-2, atol=1e-2)
print('linear attention ok')
