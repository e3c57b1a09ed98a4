import tilelang
import tilelang.language as T


@tilelang.jit(out_idx=[-1])
def put(N):
    @T.prim_func
    def main(A: T.Tensor((N,), 'float'), B: T.Tensor((N,), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            T.shmem_put_nbi(B, A, N, 1)

    return main


put(64)
