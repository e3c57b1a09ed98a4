"""The reference kernels of the fidelity table compute what they should and run clean, at shapes small enough to do both."""

import pytest
import torch

from bench.fidelity.add import add, add_again, add_one_core
from bench.fidelity.data_copy import shared_to_l1, shared_to_ub, to_l1, to_ub
from bench.fidelity.gemm import Schedule, gemm

PRODUCTS = {
    'panels of four steps, two places each': ((256, 512, 512), Schedule(grid=(2, 2))),
    'tails in M, N and K': ((200, 300, 150), Schedule((64, 64, 64), 2, 1, grid=(2, 2))),
    'one step in L1 at a time': ((128, 256, 192), Schedule(steps_a=1, steps_b=1, slots=1, slots_b=1, grid=(1, 1))),
    'deep panels of A, three places for B': ((250, 500, 399), Schedule((128, 128, 64), 4, 2, slots_b=3, grid=(1, 2), accumulators=2)),
    'a core without tiles': ((128, 128, 128), Schedule((64, 64, 64), 1, 1, grid=(3, 2))),
    'tiles go round in rows': ((500, 700, 160), Schedule((64, 128, 64), 2, 2, grid=(0, 5), swizzle=3, accumulators=2)),
    'tiles go round in columns': ((500, 700, 160), Schedule((64, 128, 64), 2, 2, grid=(0, 5), swizzle=3, along_n=True, accumulators=2)),
}


def clean(kernel):
    kernel.last.verdict.require_clean()


@pytest.mark.parametrize('name', PRODUCTS)
def test_product(name):
    (M, N, K), plan = PRODUCTS[name]
    torch.manual_seed(1)
    a, b = torch.randn(M, K).half(), torch.randn(K, N).half()
    kernel = gemm(M, N, K, plan)
    torch.testing.assert_close(kernel(a, b), a.float() @ b.float(), atol=2e-4, rtol=2e-4)
    clean(kernel)


def test_product_rounded_to_half():
    a, b = torch.randn(128, 256).half(), torch.randn(256, 256).half()
    kernel = gemm(128, 256, 256, Schedule(grid=(1, 1)), out_dtype='float16')
    torch.testing.assert_close(kernel(a, b), (a.float() @ b.float()).half(), atol=2e-2, rtol=2e-3)
    clean(kernel)


def test_panels_that_do_not_end_together_are_refused():
    with pytest.raises(ValueError, match='3 and 2 steps'):
        gemm(128, 256, 512, Schedule(steps_a=3, steps_b=2))


@pytest.mark.parametrize('rows, cols, slices, times', [(16, 64, 1, 1), (1, 64, 1, 1), (16, 32, 4, 3), (64, 256, 1, 2)])
def test_loads_to_ub_end_with_the_last_tile_of_every_core(rows, cols, slices, times):
    x = torch.arange(128 * 256).reshape(128, 256).half()
    kernel = to_ub(128, 256, rows, cols, 2, slices, times)
    got = kernel(x)
    clean(kernel)
    # Tiles of one strip, row by row, in equal runs per core; the last strip is read last.
    strip = x[:, -256 // slices:]
    tiles = [strip[r:r + rows, c:c + cols] for r in range(0, 128, rows) for c in range(0, 256 // slices, cols)]
    each = -(-len(tiles) // 4)
    for core in range(-(-len(tiles) // each)):
        assert torch.equal(got[core * rows:(core + 1) * rows], tiles[min((core + 1) * each, len(tiles)) - 1])


@pytest.mark.parametrize('shape', [(256, 256), (255, 255)])
def test_loads_to_l1_run_clean(shape):
    kernel = to_l1(*shape, 16, 64, 2, 1, 2)
    kernel(torch.zeros(shape, dtype=torch.float16))
    clean(kernel)


def test_shared_loads_to_l1_run_clean():
    kernel = shared_to_l1(256, 64, 16, 2)
    kernel(torch.zeros(256, 64, dtype=torch.float16))
    clean(kernel)


@pytest.mark.parametrize('rotated', [False, True])
def test_every_core_reads_everything(rotated):
    x = torch.randn(256, 64).half()
    kernel = shared_to_ub(256, 64, 16, 2, rotated)
    got = kernel(x)
    clean(kernel)
    for core in range(4):
        last = (15 + (core * 4 if rotated else 0)) % 16
        assert torch.equal(got[core * 16:(core + 1) * 16], x[last * 16:last * 16 + 16])


@pytest.mark.parametrize('make', [lambda n: add_one_core(n, 4096), lambda n: add(n, 4096, 1, 2), lambda n: add(n, 4096, 2, 2)])
def test_additions(make):
    x, y = torch.randn(12 * 4096).half(), torch.randn(12 * 4096).half()
    kernel = make(12 * 4096)
    assert torch.equal(kernel(x, y), x + y)
    clean(kernel)


def test_addition_again_and_again():
    kernel = add_again(256, 10, 0, 1280, 65536)
    assert torch.equal(kernel(), torch.full((256,), 3.0))
    clean(kernel)


def test_product_with_gelu_on_the_vector_cores():
    a, b = torch.randn(256, 128).half() / 8, torch.randn(128, 512).half()
    kernel = gemm(256, 512, 128, Schedule(grid=(2, 1)), out_dtype='float16', gelu=True)
    expected = torch.nn.functional.gelu((a.float() @ b.float()).half().float(), approximate='tanh')
    torch.testing.assert_close(kernel(a, b).float(), expected, atol=4e-3, rtol=2e-3)
    clean(kernel)
    with pytest.raises(ValueError, match='whole tiles'):
        gemm(250, 512, 128, Schedule(grid=(2, 1)), out_dtype='float16', gelu=True)
