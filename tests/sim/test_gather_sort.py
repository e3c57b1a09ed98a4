"""Gathers, sorting, transposition and interpolation (dialect 5.3.10 to 5.3.13)."""

import math
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.build import op
from tests.sim.chip import data, run_ub, same
from tiletwin.ir import expr as E

HALF, F32, I32, U32, U8 = torch.float16, torch.float32, torch.int32, torch.uint32, torch.uint8
SEED = st.integers(0, 1 << 20)
FEW = settings(max_examples=8)
EXACT = pytest.mark.parametrize('exact', [False, True], ids=['shadow', 'bytes'])


# -- gathers ----------------------------------------------------------------------------------------------------------
@EXACT
@pytest.mark.parametrize('target', ['ascendc', 'pto'])
@pytest.mark.parametrize('dtype', [HALF, F32, torch.int16])
@FEW
@given(n=st.integers(1, 64), seed=SEED)
def test_gather_by_byte_offsets(dtype, target, exact, n, seed):
    es = dtype.itemsize
    x = data(seed, 80, dtype)
    index = data(seed + 1, n, I32).abs() % 64
    got = run_ub({'x': x, 'o': (index * es).to(U32), 'd': torch.zeros(64, dtype=dtype)}, lambda u: [op('gather', u['d'], u['x'], u['o'], 16 * es)],
                 target, exact)
    base = 0 if target == 'pto' else 16
    same(got['d'], torch.cat([x[index.long() + base], torch.zeros(64 - n, dtype=dtype)]))
    same(got['o'].to(torch.int64), index.long() * (1 if target == 'pto' else es))


@FEW
@given(seed=SEED)
def test_gatherb_fetches_blocks(seed):
    x, index = data(seed, 128, F32), data(seed + 1, 16, I32).abs() % 16
    got = run_ub({'x': x, 'o': (index * 32).to(U32), 'd': torch.zeros(128)}, lambda u: [op('gatherb', u['d'], u['x'], u['o'], 2, 1, 8)])
    same(got['d'], torch.cat([x.view(16, 8)[i] for i in index.tolist()]))


@EXACT
@pytest.mark.parametrize('pattern', ['P0101', 'P1010', 'P0001', 'P0010', 'P0100', 'P1000', 'P1111'])
@FEW
@given(n=st.integers(1, 16), seed=SEED)
def test_gather_mask_patterns(pattern, exact, n, seed):
    x = data(seed, n * 4, HALF)
    got = run_ub({'x': x, 'd': torch.zeros(n * 4, dtype=HALF)}, lambda u: [op('gather_mask', u['d'], u['x'], pattern)], exact=exact)
    digits = pattern[1:][::-1]
    kept = x[torch.tensor([digits[i % 4] == '1' for i in range(n * 4)])]
    same(got['d'], torch.cat([kept, torch.zeros(n * 4 - kept.numel(), dtype=HALF)]))


@pytest.mark.parametrize('target', ['ascendc', 'pto'])
@FEW
@given(n=st.integers(1, 32), seed=SEED)
def test_gather_mask_by_indices_destroys_them_on_ascendc(target, n, seed):
    x, index = data(seed, 64, HALF), (data(seed + 1, n, I32).abs() % 64)
    got = run_ub({'x': x, 'i': index.to(U32), 'd': torch.zeros(64, dtype=HALF)}, lambda u: [op('gather_mask', u['d'], u['x'], u['i'])], target)
    same(got['d'][:n], x[index.long()])
    assert got['i'].to(torch.int64).tolist() == (index.long() * (2 if target == 'ascendc' else 1)).tolist()


@FEW
@given(repeat=st.integers(1, 3), seed=SEED)
def test_gathermask_experiment_reads_a_bit_pattern(repeat, seed):
    x, mask = data(seed, 64 * repeat, F32), data(seed + 1, 32 * repeat, U8)
    got = run_ub({'x': x, 'p': mask, 'd': torch.zeros(64 * repeat)},
                 lambda u: [op('gathermask_experiment', u['d'], u['x'], u['p'], 'false', 0, 1, repeat, 8, 1, 0)])
    kept = [x[64 * r + i].item() for r in range(repeat) for i in range(64) if mask[32 * r + i // 8] >> (i % 8) & 1]
    same(got['d'], torch.tensor(kept + [0.0] * (64 * repeat - len(kept))))


# -- sorting and transposition ----------------------------------------------------------------------------------------
def pairs(values, order, dtype):
    return torch.stack([values[order], order.to(dtype)], 1).view(-1)


@EXACT
@pytest.mark.parametrize('dtype', [F32, HALF])
@FEW
@given(actual=st.integers(1, 96), seed=SEED)
def test_sort_writes_pairs_and_spoils_the_tail_of_its_source(dtype, exact, actual, seed):
    aligned = -(-actual // 32) * 32
    x = data(seed, 96, dtype, -3, 3).round() if seed % 2 else data(seed, 96, dtype)
    got = run_ub({'x': x, 'd': torch.zeros(192, dtype=dtype)}, lambda u: [op('sort', u['d'], u['x'], actual)], exact=exact)
    y = x.clone()
    y[actual:aligned] = -math.inf
    same(got['x'], y)
    order = torch.sort(y[:aligned].double(), descending=True, stable=True).indices
    same(got['d'], torch.cat([pairs(y, order, dtype), torch.zeros(192 - 2 * aligned, dtype=dtype)]))


@EXACT
@pytest.mark.parametrize('dtype', [F32, HALF])
@FEW
@given(k=st.integers(1, 40), seed=SEED)
def test_topk_keeps_whole_blocks_of_pairs(dtype, exact, k, seed):
    x = data(seed, 64, dtype)
    got = run_ub({'x': x, 'd': torch.zeros(96, dtype=dtype)}, lambda u: [op('topk', u['d'], u['x'], k, 60)], exact=exact)
    y = torch.cat([x[:60], torch.full((4,), -math.inf, dtype=dtype)])
    c0 = 32 // dtype.itemsize
    n = -(-2 * k // c0) * c0
    order = torch.sort(y.double(), descending=True, stable=True).indices
    same(got['d'], torch.cat([pairs(y, order, dtype)[:n], torch.zeros(96 - n, dtype=dtype)]))


@pytest.mark.parametrize('dtype', [F32, HALF])
@FEW
@given(groups=st.integers(1, 3), seed=SEED)
def test_sort32_sorts_groups_with_payload_bits(dtype, groups, seed):
    n = 32 * groups
    x, payload = data(seed, n, dtype), torch.arange(100, 100 + n).to(U32)
    slots = 8 // dtype.itemsize
    got = run_ub({'x': x, 'p': payload, 'd': torch.zeros(n * slots, dtype=dtype)}, lambda u: [op('sort32', u['d'], u['x'], u['p'])])
    raw = got['d'].view(U8).tolist()
    for g in range(groups):
        part = x[32 * g:32 * g + 32].double()
        order = torch.sort(part, descending=True, stable=True).indices.tolist()
        for k, i in enumerate(order):
            cell = bytes(raw[8 * (32 * g + k):8 * (32 * g + k) + 8])
            value = struct.unpack('<e' if dtype == HALF else '<f', cell[:dtype.itemsize])[0]
            assert (value, struct.unpack('<I', cell[4:])[0]) == (part[i].item(), 100 + 32 * g + i)


@FEW
@given(ways=st.integers(2, 4), seed=SEED)
def test_merge_sort_merges_descending_pair_lists(ways, seed):
    lists = {}
    for w in range(ways):
        x = torch.sort(data(seed + w, 16 + 8 * w, F32), descending=True).values
        lists[f'l{w}'] = torch.stack([x, torch.arange(x.numel(), dtype=F32) + 100 * w], 1).view(-1)
    total = sum(x.numel() for x in lists.values())
    got = run_ub({**lists, 'd': torch.zeros(total)}, lambda u: [op('merge_sort', u['d'], *(u[n] for n in lists))])
    every = torch.cat(list(lists.values())).view(-1, 2)
    order = torch.sort(every[:, 0], descending=True, stable=True).indices
    same(got['d'], every[order].view(-1))


@pytest.mark.parametrize('target', ['ascendc', 'pto'])
@FEW
@given(m=st.integers(1, 40), n=st.integers(1, 40), seed=SEED)
def test_transpose_skips_tails_on_ascendc(target, m, n, seed):
    x = data(seed, (m, n), HALF)
    got = run_ub({'x': x, 'd': torch.full((n, m), 7.0, dtype=HALF)}, lambda u: [op('transpose', u['d'], u['x'])], target)
    want = torch.full((n, m), 7.0, dtype=HALF)
    a, b = (m // 16 * 16, n // 16 * 16) if target == 'ascendc' else (m, n)
    want[:b, :a] = x[:a, :b].T
    same(got['d'], want)


@FEW
@given(h=st.integers(1, 3), v=st.integers(1, 2), per_block=st.booleans(), seed=SEED)
def test_bilinear_interpolation_sums_weighted_blocks(h, v, per_block, seed):
    src, weights = data(seed, 256, HALF), data(seed + 1, 64, HALF, 0, 1)
    index = data(seed + 2, 8 * h * v, I32).abs() % 16
    got = run_ub({'x': src, 'o': (index * 32).to(U32), 'w': weights, 'd': torch.zeros(128 * v, dtype=HALF)},
                 lambda u: [op('bilinear_interpolation', u['d'], u['x'], u['o'], u['w'], 128, h, E.Const(per_block, 'bool'), 1, 128, v)])
    want = torch.zeros(v, 8, 16, dtype=HALF)
    at_w = 0
    for r in range(v):
        for s in range(h):
            for b in range(8):
                k = weights[at_w + (b if per_block else 0)]
                part = (src.view(16, 16)[index[(r * h + s) * 8 + b]].float() * k.float()).half()
                want[r, b] = (want[r, b].float() + part.float()).half()
            at_w += 8 if per_block else 1
    same(got['d'], want.view(-1))
