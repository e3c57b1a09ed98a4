import os

import tilelang
import tilelang.language as T
import torch

os.environ.setdefault('ACL_OP_INIT_MODE', '1')
tilelang.cache.clear_cache()


@tilelang.jit(out_idx=[-1])
def vec_add(M, N, block_M, block_N, dtype='float'):
    m_num = M // block_M
    n_num = N // block_N
    VEC_NUM = 2

    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(m_num * n_num, is_npu=True) as (cid, vid):
            bx = cid // n_num
            by = cid % n_num
            a_ub = T.alloc_ub((block_M // VEC_NUM, block_N), dtype)
            b_ub = T.alloc_ub((block_M // VEC_NUM, block_N), dtype)
            c_ub = T.alloc_ub((block_M // VEC_NUM, block_N), dtype)
            with T.Scope('V'):
                T.copy(A[bx * block_M + vid * block_M // VEC_NUM, by * block_N], a_ub)
                T.copy(B[bx * block_M + vid * block_M // VEC_NUM, by * block_N], b_ub)
                T.barrier_all()
                T.tile.add(c_ub, a_ub, b_ub)
                T.barrier_all()
                T.copy(c_ub, C[bx * block_M + vid * block_M // VEC_NUM, by * block_N])

    return main


def main():
    func = vec_add(128, 256, 64, 128)
    a = torch.randn(128, 256).npu()
    b = torch.randn(128, 256).npu()
    torch.npu.synchronize()
    c = func(a, b)
    torch.testing.assert_close(c, a + b, rtol=1e-2, atol=1e-2)
    print('Kernel Output Match!')


if __name__ == '__main__':
    main()
