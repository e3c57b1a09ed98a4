"""Copies move rectangles clipped by their GM side (dialect 4.1), including the worked examples of 12.9."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.build import at, bin_, chip, copy, cube, gm, kernel, loop, op, ub, v, vec
from tests.sim.chip import data, name_of, run_ub, same
from tiletwin.ir import expr as E
from tiletwin.sim.execute import DataEngine

HALF, F32 = torch.float16, torch.float32
SEED = st.integers(0, 1 << 20)
FEW = settings(max_examples=8)
ALL = [torch.float16, torch.bfloat16, torch.float32, torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32]


def launch(buffers, body, tensors, blocks=1, target='ascendc', **kw):
    result = DataEngine(kernel(buffers, body, blocks=blocks, form='threads1'), target).run(tensors, **kw)
    assert result.stuck == ()
    return result


def load_tile(a, starts, extents, tile, dtype, pad=None, old=7.0, exact=False, start=(0, 0), cut=None, target='ascendc', form='region'):
    """UB tile filled with `old`, then loaded from A[starts : +extents]."""
    g, o = gm('A', a.shape, name_of(dtype)), gm('O', (math.prod(tile),), name_of(dtype))
    u = ub('u', tile, name_of(dtype), address=0 if exact else None)
    extra = [ub('over', (math.prod(tile) * u.es,), 'uint8', address=0)] if exact else []
    out = torch.zeros(math.prod(tile), dtype=dtype)
    attrs = {} if pad is None else {'pad': E.Const(pad, 'float32') if dtype.is_floating_point else E.Const(pad)}
    dst = at(u, start, cut or tile, form)
    flat = at(u, [0] * len(tile), [1] * (len(tile) - 1) + [u.elements])
    fill = op('fill', u, E.Const(float(old), 'float32') if dtype.is_floating_point else int(old))
    launch([g, o, u, *extra], [vec(fill, copy(at(g, starts, extents), dst, **attrs), copy(flat, o))], {'A': a, 'O': out}, target=target)
    return out.view(tile)


def pad_tile(a, r, c, rows, cols, pad):
    """What a clipped load leaves: the pad value around the part of `a` that exists."""
    want = torch.full((rows, cols), pad).to(a.dtype)
    part = a[r:r + rows, c:c + cols]
    want[:part.shape[0], :part.shape[1]] = part
    return want


@pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])
@pytest.mark.parametrize('dtype', ALL)
@FEW
@given(m=st.integers(1, 70), n=st.integers(1, 90), r=st.integers(0, 80), c=st.integers(0, 95), seed=SEED)
def test_gm_to_ub_clips_and_pads(dtype, exact, m, n, r, c, seed):
    a = data(seed, (m, n), dtype)
    got = load_tile(a, [r, c], [16, 32], (16, 32), dtype, exact=exact)
    clipped = r + 16 > m or c + 32 > n
    if clipped and a.element_size() == 1:  # one-byte tiles are not padded
        want = torch.full((16, 32), 7, dtype=dtype)
        part = a[r:r + 16, c:c + 32]
        want[:part.shape[0], :part.shape[1]] = part
    else:
        want = pad_tile(a, r, c, 16, 32, 0)
    same(got, want)


EXAMPLES = [([64, 0], 0.0), ([96, 0], 0.0), ([96, 64], -math.inf), ([128, 0], 0.0), ([36, 8], 0.0)]


@pytest.mark.parametrize('start,pad', EXAMPLES)
def test_worked_loads(start, pad):
    a = data(1, (100, 72), F32)
    same(load_tile(a, start, [32, 64], (32, 64), F32, pad=pad), pad_tile(a, *start, 32, 64, pad))


def test_worked_partial_destinations():
    a = data(2, (100, 72), F32)
    got = load_tile(a, [0, 0], [8, 64], (32, 64), F32, start=(0, 0), cut=(8, 64))
    same(got, torch.cat([a[:8, :64], torch.full((24, 64), 7.0)]))
    packed = load_tile(a, [0, 0], [8, 32], (32, 64), F32, start=(0, 0), cut=(8, 32)).view(-1)
    same(packed, torch.cat([a[:8, :32].reshape(-1), torch.full((32 * 64 - 256,), 7.0)]))
    row = load_tile(a, [5, 0], [1, 64], (32, 64), F32, start=(3, 0), cut=(1, 64))
    want = torch.full((32, 64), 7.0)
    want[3] = a[5, :64]
    same(row, want)


@pytest.mark.parametrize('starts,extents,pick', [
    ([1, 32, 2, 0], [1, 32, 1, 64], lambda b: b[1, 32:64, 2, :64]),
    ([1, 100, 2, 0], [1, 32, 1, 64], lambda b: torch.cat([b[1, 100:128, 2, :64], torch.zeros(4, 64)])),
    ([1, 3, 0, 0], [1, 1, 32, 64], lambda b: torch.cat([b[1, 3], torch.zeros(28, 64)])),
    ([0, 64, 0, 0], [1, 32, 1, 64], lambda b: b[0, 64:96, 0, :64]),
])
def test_worked_four_dimensional_tiles(starts, extents, pick):
    b = data(3, (2, 128, 4, 64), F32)
    same(load_tile(b, starts, extents, (32, 64), F32), pick(b))


def test_more_than_two_active_dims_copy_the_last_two():
    b = data(4, (3, 32, 64), F32)
    same(load_tile(b, [0, 0, 0], [3, 32, 64], (32, 64), F32), b[0])


@pytest.mark.parametrize('target,form,pad,filled', [('ascendc', 'region', 3.0, True), ('pto', 'region', 0.0, False), ('pto', 'buffer', 3.0, False),
                                                     ('pto', 'buffer', 0.0, True), ('pto', 'buffer', -math.inf, True)])
def test_padding_depends_on_the_target(target, form, pad, filled):
    a = data(5, (4, 64), F32)
    got = load_tile(a, [0, 0], [32, 64], (32, 64), F32, pad=pad, target=target, form=form)
    same(got, torch.cat([a, torch.full((28, 64), pad if filled else 7.0)]))


def test_narrow_rows_take_whole_blocks():
    """Rows of 20 bytes are 32 bytes apart in UB (dialect 4.1.7)."""
    a = data(6, (4, 5), F32)
    got = load_tile(a, [0, 0], [4, 5], (4, 8), F32, start=(0, 0), cut=(4, 5))
    want = torch.full((4, 8), 7.0)
    want[:, :5] = a
    same(got, want)


@pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])
@pytest.mark.parametrize('dtype', ALL)
@FEW
@given(m=st.integers(1, 70), n=st.integers(1, 90), r=st.integers(0, 80), c=st.integers(0, 95), seed=SEED)
def test_ub_to_gm_writes_inside_the_tensor_only(dtype, exact, m, n, r, c, seed):
    t, old = data(seed, (16, 32), dtype), data(seed + 1, (m, n), dtype)
    g, i = gm('O', (m, n), name_of(dtype)), gm('I', (16, 32), name_of(dtype))
    u = ub('u', (16, 32), name_of(dtype), address=0 if exact else None)
    extra = [ub('over', (16 * 32 * u.es,), 'uint8', address=0)] if exact else []
    out = old.clone()
    launch([g, i, u, *extra], [vec(copy(i, u), copy(u, at(g, [r, c], [16, 32])))], {'O': out, 'I': t})
    part = old[r:r + 16, c:c + 32]
    old[r:r + 16, c:c + 32] = t[:part.shape[0], :part.shape[1]]
    same(out, old)


@pytest.mark.parametrize('name,target', [('float16', HALF), ('bfloat16', torch.bfloat16), ('float32', F32)])
@pytest.mark.parametrize('relu', [False, True])
@FEW
@given(m=st.integers(1, 40), n=st.integers(1, 40), r=st.integers(0, 3), c=st.integers(0, 3), seed=SEED)
def test_l0c_to_gm_rounds_clips_and_clamps(name, target, relu, m, n, r, c, seed):
    r, c = min(r * 16, m - 1), min(c * 16, n - 1)
    x = data(seed, (16, 16), F32)
    a, o = gm('A', (16, 16)), gm('O', (m, n), name)
    one = gm('Eye', (16, 16))
    l1, e1 = chip('l1', 'L1', (16, 16)), chip('e1', 'L1', (16, 16))
    acc = chip('acc', 'L0C', (16, 16))
    out = torch.full((m, n), 9.0).to(target)
    want = out.clone()
    body = [cube(copy(a, l1), copy(one, e1), op('gemm_v0', l1, e1, acc, True, M=16, N=16, K=16), copy(acc, at(o, [r, c], [16, 16]), relu=relu))]
    launch([a, o, one, l1, e1, acc], body, {'A': x, 'Eye': torch.eye(16), 'O': out})
    part = want[r:r + 16, c:c + 16]
    want[r:r + 16, c:c + 16] = (x.clamp(min=0) if relu else x).to(target)[:part.shape[0], :part.shape[1]]
    same(out, want)


def through_l1(a, copies, tile, dtype='float32'):
    """L1 content after `copies` (region of A -> region of L1), read out by a product with the identity."""
    m, n = tile
    g, eye, o = gm('A', a.shape, dtype), gm('Eye', (n, n), dtype), gm('O', (m, n))
    l1, e1, acc = chip('l1', 'L1', tile, dtype), chip('e1', 'L1', (n, n), dtype), chip('acc', 'L0C', tile)
    out = torch.zeros(m, n)
    body = [cube(*(copy(at(g, *src), at(l1, *dst)) for src, dst in copies), copy(eye, e1), op('gemm_v0', l1, e1, acc, True, M=m, N=n, K=n),
                 copy(acc, o))]
    launch([g, eye, o, l1, e1, acc], body, {'A': a, 'Eye': torch.eye(n).to(a.dtype), 'O': out})
    return out


@FEW
@given(m=st.integers(1, 60), n=st.integers(1, 60), r=st.integers(0, 59), c=st.integers(0, 59), half=st.booleans(), seed=SEED)
def test_gm_to_l1_zero_fills_a_tail_tile(m, n, r, c, half, seed):
    r, c = r % m, c % n
    a = data(seed, (m, n), HALF if half else F32)
    got = through_l1(a, [(([r, c], [32, 16]), ([0, 0], [32, 16]))], (32, 16), 'float16' if half else 'float32')
    same(got, pad_tile(a, r, c, 32, 16, 0).to(F32))


def test_gm_to_l1_clears_only_from_offset_zero():
    a = data(8, (20, 16), F32)
    got = through_l1(a, [(([0, 0], [16, 16]), ([16, 0], [16, 16])), (([0, 0], [16, 16]), ([0, 0], [16, 16]))], (32, 16))
    same(got, torch.cat([a[:16], torch.zeros(16, 16)]))  # the second copy starts at 0 and erases the first
    got = through_l1(a, [(([16, 0], [16, 16]), ([16, 0], [16, 16]))], (32, 16))
    same(got[16:20], a[16:])
    assert got[:16].isnan().all() and got[20:].isnan().all()  # nothing cleared the rest


def test_a_tile_outside_the_tensor_reads_memory_of_nobody():
    a = data(9, (100, 16), F32)
    assert through_l1(a, [(([128, 0], [32, 16]), ([0, 0], [32, 16]))], (32, 16)).isnan().all()


@pytest.mark.parametrize('transpose', [False, True])
@FEW
@given(slot=st.integers(0, 1), seed=SEED)
def test_l1_to_l0_takes_the_tile_at_the_start(transpose, slot, seed):
    b = data(seed, (2, 32, 48), HALF)
    g, eye = gm('B', (2, 32, 48), 'float16'), gm('Eye', (32, 32), 'float16')
    k, n = (48, 32) if transpose else (32, 48)
    eye = gm('Eye', (k, k), 'float16')
    o = gm('O', (k, n))
    l1, e1 = chip('l1', 'L1', (2, 32, 48), 'float16'), chip('e1', 'L1', (k, k), 'float16')
    a0, b0, acc = chip('a0', 'L0A', (k, k), 'float16'), chip('b0', 'L0B', (k, n), 'float16'), chip('acc', 'L0C', (k, n))
    out = torch.zeros(k, n)
    body = [cube(*(copy(at(g, [s, 0, 0], [1, 32, 48]), at(l1, [s, 0, 0], [1, 32, 48])) for s in (0, 1)), copy(eye, e1),
                 copy(e1, a0), copy(at(l1, [slot, 0, 0], [1, 32, 48]), b0, transpose=transpose), op('mma', a0, b0, acc, True, M=k, N=n, K=k),
                 copy(acc, o))]
    launch([g, eye, o, l1, e1, a0, b0, acc], body, {'B': b, 'Eye': torch.eye(k).half(), 'O': out})
    same(out, (b[slot].T if transpose else b[slot]).to(F32))


PAIRS = [(HALF, F32), (torch.bfloat16, F32), (F32, HALF), (F32, torch.bfloat16), (F32, torch.int32), (torch.int32, F32), (torch.int16, F32),
         (HALF, torch.int8),
         (torch.int8, HALF), (F32, F32), (torch.int32, torch.int16), (torch.uint8, HALF)]


@pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])
@pytest.mark.parametrize('a,b', PAIRS)
@FEW
@given(n=st.integers(1, 100), seed=SEED)
def test_ub_to_ub_converts(a, b, exact, n, seed):
    x = data(seed, n, a, -200, 200)
    if a == torch.int32 and b == torch.int16:
        x = x % 30000
    got = run_ub({'x': x, 'y': torch.zeros(n, dtype=b)}, lambda u: [copy(u['x'], u['y'])], exact=exact)
    if b.is_floating_point or not a.is_floating_point:
        want = x.to(b)
    else:
        info = torch.iinfo(b)
        want = x.to(torch.float64).round().clamp(info.min, info.max).to(b)
    same(got['y'], want)


@pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])
def test_ub_to_ub_sub_rectangles_follow_their_own_row_lengths(exact):
    x = data(1, (8, 64), HALF)
    got = run_ub({'x': x, 'y': torch.zeros(8, 32, dtype=HALF)}, lambda u: [copy(at(u['x'], [2, 16], [4, 32]), at(u['y'], [1, 0], [4, 32]))],
                 exact=exact)
    want = torch.zeros(8, 32, dtype=HALF)
    want[1:5] = x[2:6, 16:48]
    same(got['y'], want)


def test_pto_converts_on_the_way_between_gm_and_ub():
    x = data(2, (8, 32), F32)
    a, o, u = gm('A', (8, 32)), gm('O', (8, 32)), ub('u', (8, 32), 'float16')
    out = torch.zeros(8, 32)
    launch([a, o, u], [vec(copy(a, u), copy(u, o))], {'A': x, 'O': out}, target='pto')
    same(out, x.half().float())


@pytest.mark.parametrize('dtype', [HALF, F32, torch.int32, torch.int16])
@FEW
@given(blocks=st.integers(1, 5), m=st.integers(1, 20), seed=SEED)
def test_atomic_add_accumulates_in_block_order(dtype, blocks, m, seed):
    x, start = data(seed, (blocks, 16, 16), dtype), data(seed + 1, (m, 16), dtype)
    a, o, u = gm('A', (blocks, 16, 16), name_of(dtype)), gm('O', (m, 16), name_of(dtype)), ub('u', (16, 16), name_of(dtype))
    out, want = start.clone(), start.clone()
    body = [vec(copy(at(a, [v('cid'), 0, 0], [1, 16, 16]), u), op('atomic_add', at(o, [0, 0], [16, 16]), u))]
    launch([a, o, u], body, {'A': x, 'O': out}, blocks=blocks)
    for b in range(blocks):
        want = (want.to(F32) + x[b, :m].to(F32)[:want.shape[0]] if dtype.is_floating_point else want + x[b, :m][:want.shape[0]]).to(dtype) \
            if m <= 16 else torch.cat([(want[:16].to(F32) + x[b].to(F32)).to(dtype) if dtype.is_floating_point else want[:16] + x[b], want[16:]])
    same(out, want)


@FEW
@given(steps=st.integers(1, 6), seed=SEED)
def test_slots_of_a_versioned_tile(steps, seed):
    """`buf[k % 2, :]` addresses one slot at a time."""
    x = data(seed, (8, 16, 16), F32)
    a, o, u = gm('A', (8, 16, 16)), gm('O', (8, 16, 16)), ub('u', (2, 16, 16))
    k = v('k')
    body = [vec(loop('k', steps, copy(at(a, [k, 0, 0], [1, 16, 16]), at(u, [bin_('%', k, 2), 0, 0], [1, 16, 16])),
                     copy(at(u, [bin_('%', k, 2), 0, 0], [1, 16, 16]), at(o, [k, 0, 0], [1, 16, 16]))))]
    out = torch.zeros(8, 16, 16)
    launch([a, o, u], body, {'A': x, 'O': out})
    same(out, torch.cat([x[:steps], torch.zeros(8 - steps, 16, 16)]))
