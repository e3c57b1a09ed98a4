"""The cube multiplies leading-dim slices with float32 or int32 accumulation (dialect 5.1, 5.2)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.build import at, bin_, chip, copy, cube, gm, kernel, loop, op, v
from tests.sim.chip import data, name_of, same
from tiletwin.ir import expr as E
from tiletwin.sim.execute import DataEngine

HALF, BF, F32, I8 = torch.float16, torch.bfloat16, torch.float32, torch.int8
SEED = st.integers(0, 1 << 20)
FEW = settings(max_examples=10)


def close(got, a, b, start=0.0):
    """Within float32 accumulation error of the float64 product."""
    want = a.double() @ b.double() + start
    bound = (a.double().abs() @ b.double().abs() + torch.as_tensor(start).abs()) * (a.shape[1] + 1) * 2 ** -23
    assert ((got.double() - want).abs() <= bound).all()


@pytest.mark.parametrize('dtype', [HALF, BF, F32, torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize('ta', [False, True])
@pytest.mark.parametrize('tb', [False, True])
@FEW
@given(m=st.integers(1, 40), n=st.integers(1, 40), k=st.integers(1, 40), init=st.booleans(), slot=st.integers(0, 1), seed=SEED)
def test_gemm_v0(dtype, ta, tb, m, n, k, init, slot, seed):
    a, b, c = data(seed, (m, k), dtype), data(seed + 1, (k, n), dtype), data(seed + 2, (m, n), F32)
    sa, sb = (a.T if ta else a).contiguous(), (b.T if tb else b).contiguous()
    d = name_of(dtype)
    A, B, C, I, O = gm('A', sa.shape, d), gm('B', sb.shape, d), gm('C', (m, m)), gm('I', (m, n)), gm('O', (m, n))
    la, lb = chip('la', 'L1', (2, *sa.shape), d), chip('lb', 'L1', sb.shape, d)
    eye, li, acc = chip('eye', 'L1', (m, m)), chip('li', 'L1', (m, n)), chip('acc', 'L0C', (m, n))
    body = [cube(copy(A, at(la, [slot, 0, 0], [1, *sa.shape])), copy(B, lb), copy(C, eye), copy(I, li),
                 op('gemm_v0', eye, li, acc, True, M=m, N=n, K=m),
                 op('gemm_v0', at(la, [slot, 0, 0], [1, *sa.shape]), lb, acc, init, M=m, N=n, K=k, transpose_A=ta, transpose_B=tb), copy(acc, O))]
    out = torch.zeros(m, n)
    DataEngine(kernel([A, B, C, I, O, la, lb, eye, li, acc], body)).run({'A': sa, 'B': sb, 'C': torch.eye(m), 'I': c, 'O': out})
    close(out, a.to(F32), b.to(F32), 0.0 if init else c.double())


@FEW
@given(m=st.integers(1, 20), n=st.integers(1, 20), k=st.sampled_from([1, 64, 1024, 1500, 2100]), steps=st.integers(1, 3), seed=SEED)
def test_int8_products_accumulate_exactly_in_int32(m, n, k, steps, seed):
    a, b = data(seed, (steps, m, k), I8), data(seed + 1, (steps, k, n), I8)
    a[0, 0], b[0, :, 0] = -128, -128
    A, B, O = gm('A', a.shape, 'int8'), gm('B', b.shape, 'int8'), gm('O', (m, n), 'int32')
    a1, b1 = chip('a1', 'L1', (m, k), 'int8'), chip('b1', 'L1', (k, n), 'int8')
    a0, b0, acc = chip('a0', 'L0A', (m, k), 'int8'), chip('b0', 'L0B', (k, n), 'int8'), chip('acc', 'L0C', (m, n), 'int32')
    s = v('s')
    body = [cube(loop('s', steps, copy(at(A, [s, 0, 0], [1, m, k]), a1), copy(at(B, [s, 0, 0], [1, k, n]), b1), copy(a1, a0), copy(b1, b0),
                      op('mma', a0, b0, acc, bin_('==', s, 0), M=m, N=n, K=k)), copy(acc, O))]
    out = torch.zeros(m, n, dtype=torch.int32)
    DataEngine(kernel([A, B, O, a1, b1, a0, b0, acc], body)).run({'A': a, 'B': b, 'O': out})
    same(out, sum(x.long() @ y.long() for x, y in zip(a, b)).to(torch.int32))


def test_int8_sums_beyond_the_precision_of_float32():
    k = 2101  # 2101 * 127 * 127 is odd and larger than 2 ** 24
    A, O = gm('A', (16, k), 'int8'), gm('O', (16, 16), 'int32')
    a1, acc = chip('a1', 'L1', (16, k), 'int8'), chip('acc', 'L0C', (16, 16), 'int32')
    out = torch.zeros(16, 16, dtype=torch.int32)
    body = [cube(copy(A, a1), op('gemm_v0', a1, a1, acc, True, M=16, N=16, K=k, transpose_A=False, transpose_B=True), copy(acc, O))]
    DataEngine(kernel([A, O, a1, acc], body)).run({'A': torch.full((16, k), 127, dtype=I8), 'O': out})
    same(out, torch.full((16, 16), k * 127 * 127, dtype=torch.int32))


def mma_program(order, k_loop):
    """Tiled product whose L0 tiles are filled in different places relative to the mma that reads them."""
    A, B, O = gm('A', (32, 64), 'float16'), gm('B', (64, 48), 'float16'), gm('O', (32, 48))
    a1, b1 = chip('a1', 'L1', (2, 32, 16), 'float16'), chip('b1', 'L1', (2, 16, 48), 'float16')
    a0, b0, acc = chip('a0', 'L0A', (2, 32, 16), 'float16'), chip('b0', 'L0B', (16, 48), 'float16'), chip('acc', 'L0C', (32, 48))
    k = v('k')
    s = bin_('%', k, 2)
    la = copy(at(A, [0, bin_('*', k, 16)], [32, 16]), at(a1, [s, 0, 0], [1, 32, 16]))
    lb = copy(at(B, [bin_('*', k, 16), 0], [16, 48]), at(b1, [s, 0, 0], [1, 16, 48]))
    fa, fb = copy(at(a1, [s, 0, 0], [1, 32, 16]), at(a0, [s, 0, 0], [1, 32, 16])), copy(at(b1, [s, 0, 0], [1, 16, 48]), b0)
    mul = op('mma', at(a0, [s, 0, 0], [1, 32, 16]), b0, acc, bin_('==', k, 0), M=32, N=48, K=16)
    spoil = copy(at(A, [0, 0], [32, 16]), at(a1, [s, 0, 0], [1, 32, 16]))
    body = {'straight': [la, lb, fa, fb, mul], 'spoiled': [la, lb, fa, fb, spoil, mul], 'nested': [la, lb, fa, fb, loop('one', 1, mul)],
            'spoiled inside': [la, lb, fa, fb, loop('one', 1, spoil), mul]}[order]
    return kernel([A, B, O, a1, b1, a0, b0, acc], [cube(loop('k', k_loop, *body), copy(acc, O))])


@pytest.mark.parametrize('order', ['straight', 'spoiled', 'nested', 'spoiled inside'])
def test_l0_holds_the_tile_as_it_was_when_copied(order):
    """Reading L1 in place of L0 must not show: not when L1 is overwritten, not when the mma sits in another block."""
    a, b = data(1, (32, 64), HALF), data(2, (64, 48), HALF)
    out = torch.zeros(32, 48)
    DataEngine(mma_program(order, 4)).run({'A': a, 'B': b, 'O': out})
    close(out, a, b)


def test_an_l0_tile_filled_both_ways():
    """The same L0B tile receives a tile as it is, then a transposed one, in other blocks than the products."""
    b = data(3, (2, 16, 16), HALF)
    B, E1, O = gm('B', (2, 16, 16), 'float16'), gm('E1', (16, 16), 'float16'), gm('O', (2, 16, 16))
    b1, e1 = chip('b1', 'L1', (2, 16, 16), 'float16'), chip('e1', 'L1', (16, 16), 'float16')
    a0, b0, acc = chip('a0', 'L0A', (16, 16), 'float16'), chip('b0', 'L0B', (16, 16), 'float16'), chip('acc', 'L0C', (16, 16))
    tiles = [at(b1, [i, 0, 0], [1, 16, 16]) for i in (0, 1)]
    work = [(copy(tiles[i], b0, transpose=bool(i)), loop(f'x{i}', 1, op('mma', a0, b0, acc, True, M=16, N=16, K=16), copy(acc, at(O, [i, 0, 0], [1, 16, 16]))))
            for i in (0, 1)]
    load = [copy(at(B, [i, 0, 0], [1, 16, 16]), tiles[i]) for i in (0, 1)]
    out = torch.zeros(2, 16, 16)
    DataEngine(kernel([B, E1, O, b1, e1, a0, b0, acc], [cube(*load, copy(E1, e1), copy(e1, a0), *work[0], *work[1])])).run(
        {'B': b, 'E1': torch.eye(16).half(), 'O': out})
    same(out, torch.stack([b[0], b[1].T]).float())


def test_unwritten_l0_is_poison():
    O = gm('O', (16, 16))
    a0, b0, acc = chip('a0', 'L0A', (16, 16), 'float16'), chip('b0', 'L0B', (16, 16), 'float16'), chip('acc', 'L0C', (16, 16))
    out = torch.zeros(16, 16)
    DataEngine(kernel([O, a0, b0, acc], [cube(op('mma', a0, b0, acc, True, M=16, N=16, K=16), copy(acc, O))])).run({'O': out})
    assert out.isnan().all()


@pytest.mark.parametrize('scale', [1.0, 0.25])
def test_int32_accumulators_leave_as_half_through_the_scale(scale):
    a, b = data(1, (16, 32), I8), data(2, (32, 16), I8)
    A, B, O = gm('A', (16, 32), 'int8'), gm('B', (32, 16), 'int8'), gm('O', (16, 16), 'float16')
    a1, b1, acc = chip('a1', 'L1', (16, 32), 'int8'), chip('b1', 'L1', (32, 16), 'int8'), chip('acc', 'L0C', (16, 16), 'int32')
    out = torch.zeros(16, 16).half()
    body = [cube(op('set_deq_scale', E.Const(scale, 'float16')), copy(A, a1), copy(B, b1), op('gemm_v0', a1, b1, acc, True, M=16, N=16, K=32),
                 copy(acc, O))]
    DataEngine(kernel([A, B, O, a1, b1, acc], body)).run({'A': a, 'B': b, 'O': out})
    same(out, ((a.long() @ b.long()).double() * scale).half())


def nz(x, c0):
    """The zN image of a tile, as a flat list padded with what lies behind it."""
    rows, cols = x.shape
    height = -(-rows // 16) * 16
    flat = torch.full((-(-cols // c0) * height * c0 * 4,), float('nan'), dtype=torch.float64)
    for i in range(rows):
        for j in range(cols):
            flat[i * c0 + j // c0 * height * c0 + j % c0] = x[i, j]
    return flat, height


@pytest.mark.parametrize('target,dtype,k,tb',
                         [('ascendc', F32, 160, True), ('ascendc', F32, 160, False), ('ascendc', HALF, 160, False), ('ascendc', I8, 160, False),
                                               ('pto', HALF, 160, True), ('pto', HALF, 160, False), ('pto', HALF, 256, False),
                                               ('pto', F32, 256, False)])
def test_gemm_v0_slices_of_128_start_where_the_template_puts_them(target, dtype, k, tb):
    m = n = 16
    a, b = data(1, (m, k), dtype), data(2, (k, n), dtype)
    d, acc_type = name_of(dtype), 'int32' if dtype == I8 else 'float32'
    sb = b.T.contiguous() if tb else b
    A, B, O = gm('A', (m, k), d), gm('B', sb.shape, d), gm('O', (m, n), acc_type)
    a1, b1, acc = chip('a1', 'L1', (m, k), d), chip('b1', 'L1', sb.shape, d), chip('acc', 'L0C', (m, n), acc_type)
    out = torch.zeros(m, n, dtype=getattr(torch, acc_type))
    body = [cube(copy(A, a1), copy(B, b1), op('gemm_v0', a1, b1, acc, True, M=m, N=n, K=k, transpose_A=False, transpose_B=tb), copy(acc, O))]
    DataEngine(kernel([A, B, O, a1, b1, acc], body), target).run({'A': a, 'B': b if not tb else sb, 'O': out})
    fa, fb = a.double(), b.double()
    want = fa[:, :128] @ fb[:128]
    tail = k - 128
    if target == 'pto':
        first = tail  # slice 1 starts at 1 x its own length
        want = want + fa[:, first:first + tail] @ fb[first:first + tail]
    elif tb or dtype == HALF:
        want = fa @ fb
    else:
        c0 = 32 // dtype.itemsize
        flat, height = nz(fb, c0)
        moved = torch.stack([torch.stack([flat[128 * 16 + i * c0 + j // c0 * height * c0 + j % c0] for j in range(n)]) for i in range(tail)])
        want = want + fa[:, 128:] @ moved
    known = ~want.isnan()
    if dtype == I8:
        assert torch.equal(out.double()[known], want[known])
    else:
        assert torch.equal(out.isnan(), ~known) and known.any() or not known.any()
        assert ((out.double() - want).abs()[known] <= 1e-3).all()
