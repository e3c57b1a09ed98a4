import pytest
import tilelang
import tilelang.language as T
import torch
import tilelang.testing


@pytest.fixture(scope='session', autouse=True)
def clear_cache():
    tilelang.cache.clear_cache()
    yield


@tilelang.jit(out_idx=[-1], pass_configs={tilelang.PassConfigKey.TL_ASCEND_AUTO_SYNC: True})
def fused(M, N, dtype):
    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(M // 16, is_npu=True) as (cid, vid):
            a = T.alloc_ub((8, N), dtype)
            b = T.alloc_ub((8, N), dtype)
            with T.Scope('V'):
                T.copy(A[cid * 16 + vid * 8, 0], a)
                T.copy(B[cid * 16 + vid * 8, 0], b)
                T.tile.add(a, a, b)
                T.tile.relu(a, a)
                T.copy(a, C[cid * 16 + vid * 8, 0])

    return main


@pytest.mark.parametrize('dtype', ['float', 'float16'])
def test_fused(dtype):
    tilelang.testing.set_random_seed(1)
    kind = getattr(torch, 'float32' if dtype == 'float' else dtype)
    a, b = torch.randn(32, 64, dtype=kind, device='npu'), torch.randn(32, 64, dtype=kind, device='npu')
    torch.testing.assert_close(fused(32, 64, dtype)(a, b), torch.relu(a + b))


def test_bad_dtype():
    with pytest.raises(ValueError):
        fused(32, 64, 'float')(torch.zeros(32, 64).half().npu(), torch.zeros(32, 64).npu())


if __name__ == '__main__':
    tilelang.testing.main()
